"""Which format a file is, by its bytes: magic numbers first, then what has none.

The first that applies counts; a file to which two apply is a polyglot.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import BinaryIO

from stemma_registry.formats import gguf, numpy_arrays, pickles, protobufs, safetensors, tars, zips
from stemma_registry.formats.expanding import BEGINNINGS
from stemma_registry.formats.findings import BOUNDS, Stop
from stemma_registry.formats.sources import Opened, Source

TEXT_HEAD = 64 * 1024
HDF5 = b"\x89HDF\r\n\x1a\n"
# Formats with nothing in them that is looked at here, by how they begin.
PLAIN: Mapping[bytes, str] = {
    b"PAR1": "parquet",
    b"ARROW1\0\0": "arrow",
    b"\x89PNG\r\n\x1a\n": "png",
    b"\xff\xd8\xff": "jpeg",
    b"GIF8": "gif",
    b"OggS": "ogg",
    b"fLaC": "flac",
    b"%PDF-": "pdf",
    b"SQLite format 3\0": "sqlite",
    b"\x04\x22\x4d\x18": "lz4",
    b"ZF0x": "zfile",  # joblib's own of before 0.10
}
NATIVE: Mapping[bytes, str] = {
    b"\x7fELF": "elf",
    b"MZ": "pe",
    b"\xcf\xfa\xed\xfe": "macho",
    b"\xce\xfa\xed\xfe": "macho",
    b"\xca\xfe\xba\xbe": "macho",
    b"!<arch>\n": "ar",
    b"\0asm": "wasm",
}
# Suffix -> the formats that it may be. What says nothing certain is not listed.
CLAIMS: Mapping[str, frozenset[str]] = {
    ".safetensors": frozenset({"safetensors"}),
    ".gguf": frozenset({"gguf"}),
    ".npy": frozenset({"numpy", "numpy-object"}),
    ".npz": frozenset({"npz", "zip"}),
    ".onnx": frozenset({"onnx"}),
    ".keras": frozenset({"keras"}),
    ".h5": frozenset({"hdf5", "keras-hdf5"}),
    ".hdf5": frozenset({"hdf5", "keras-hdf5"}),
    ".json": frozenset({"json", "notebook"}),
    ".parquet": frozenset({"parquet"}),
    ".png": frozenset({"png"}),
}
# What is decided by the bytes alone, in the order in which it counts.
_STRONG: tuple[tuple[str, Callable[[Source], bool]], ...] = (
    ("safetensors", safetensors.is_one),
    ("gguf", lambda source: source.read_at(0, 4) == gguf.MAGIC),
    ("zip", zips.is_one),
    ("numpy", lambda source: source.read_at(0, 6) == numpy_arrays.MAGIC),
    ("hdf5", lambda source: hdf5_at(source) is not None),
    ("tar", tars.is_one),
    ("pickle", lambda source: pickles.has_header(source) or pickles.is_torch_magic(source)),
)


def strong(source: Source) -> list[str]:
    """Every format that the bytes alone decide. More than one is a polyglot."""
    found = [name for name, test in _STRONG if test(source)]
    compressed = compression(source)
    if compressed is not None:
        found.append(compressed)
    return found


def detect(stream: BinaryIO, name: str) -> str:
    """The format of a file by its bytes: cheap, for policies, and without findings.

    `name` tells JSON from lines of JSON. Archives are told by their members' names.
    A pickle without a header, and anything unreadable, is `data` or `text`: only a scan finds out.
    Raises OSError.
    """
    return detect_source(Opened(stream), name)


def detect_source(source: Source, name: str) -> str:
    """The same for any source."""
    if not source.size:
        return "empty"
    found = strong(source)
    if not found:
        return weak(source, name)
    try:
        return refined(source, found[0])
    except Stop:
        return found[0]


def refined(source: Source, form: str) -> str:
    """The form of an archive, of an array."""
    if form == "zip":
        return zips.read(source, BOUNDS.directory).form
    if form == "numpy":
        try:
            return "numpy-object" if numpy_arrays.read(source).has_objects else "numpy"
        except numpy_arrays.Malformed:
            return "numpy"
    if form == "pickle" and pickles.is_torch_magic(source):
        return "torch-legacy"
    return form


def weak(source: Source, name: str) -> str:
    """The format of what has no magic number that is searched for elsewhere."""
    head = source.read_at(0, TEXT_HEAD)
    for kinds in (NATIVE, PLAIN):
        for magic, kind in kinds.items():
            if head.startswith(magic):
                return "native" if kinds is NATIVE else kind
    if head[2:4] == b"\r\n" and head[1:2] in (b"\x0c", b"\x0d", b"\x0e"):
        return "bytecode"
    if head.startswith(b"RIFF"):
        return {b"WAVE": "wav", b"WEBP": "webp"}.get(head[8:12], "data")
    buffers = protobufs.kind_of(source)
    if buffers is not None:
        return buffers
    if not is_text(head, source.size):
        return "data"
    if head.lstrip()[:1] in (b"{", b"[") and not name.lower().endswith((".jsonl", ".md", ".jinja")):
        return "json"
    return "text"


def hdf5_at(source: Source) -> int | None:
    """Where an HDF5 file begins: at 0, 512, 1024, ... as its specification has it."""
    at = 0
    while at < min(source.size, 1 << 20):
        if source.read_at(at, 8) == HDF5:
            return at
        at = at * 2 or 512
    return None


def compression(source: Source) -> str | None:
    """The compression that the bytes begin with."""
    head = source.read_at(0, 4096)
    for form, beginnings in BEGINNINGS.items():
        if head.startswith(beginnings or (b"\xff\0never",)) and _expands(form, head):
            return form
    # zlib has no magic number: two bytes with a check sum, and data that expands.
    if head[:1] == b"\x78" and int.from_bytes(head[:2]) % 31 == 0 and _expands("zlib", head):
        return "zlib"
    return None


def _expands(form: str, head: bytes) -> bool:
    if form == "bzip2":
        return head[4:10] in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
    if form == "lzma":
        return head[5:13] == b"\xff" * 8 or int.from_bytes(head[5:13], "little") < 1 << 40
    if form != "zlib":
        return True
    try:
        return bool(zlib.decompressobj().decompress(head, 1) or len(head) < 4096)
    except zlib.error:
        return False


def is_text(head: bytes, size: int) -> bool:
    """Whether the beginning of a file is UTF-8 without control characters."""
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return size > len(head) and error.start > len(head) - 4
    return True
