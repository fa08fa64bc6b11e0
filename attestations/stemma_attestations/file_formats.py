"""The formats of files that policies may name. See docs/formats/format-scan.md."""

from __future__ import annotations

NAMES = (
    *("safetensors", "gguf", "zip", "torch", "torchscript", "npz", "keras"),
    *("numpy", "numpy-object", "hdf5", "keras-hdf5", "tar", "torch-tar"),
    *("pickle", "torch-legacy", "gzip", "bzip2", "xz", "lzma", "zstd", "zlib", "lz4", "zfile"),
    *("onnx", "savedmodel", "native", "bytecode", "parquet", "arrow", "png", "jpeg", "gif"),
    *("webp", "wav", "ogg", "flac", "pdf", "sqlite", "json", "notebook", "script", "text"),
    *("data", "empty"),
)
