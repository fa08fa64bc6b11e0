"""Files for the scanner, good and bad, made by hand. Nothing here is ever loaded."""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import json
import lzma
import os
import pickle
import struct
import subprocess
import sys
import tarfile
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import joblib
import numpy as np
import zstandard

Files = dict[str, bytes]
TORCH_MAGIC = 0x1950A86A20F9469CFC6C
SYSTEM = b"cos\nsystem\n(S'id'\ntR."
EVAL4 = b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R."


class Calls:
    """An object whose pickle calls something."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.reduced = (function, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


def zipped(files: Mapping[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


def tarred(files: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def storage(key: str = "0", kind: str = "FloatStorage", count: int = 4) -> bytes:
    """The persistent id of a storage, as PyTorch pickles it."""
    named = b"ctorch\n" + kind.encode() + b"\n"
    return b"(" + text("storage") + named + text(key) + text("cpu") + b"K" + bytes([count]) + b"tQ"


def tensor(key: str = "0") -> bytes:
    hooks = b"ccollections\nOrderedDict\n)R"
    shape = b"K\x00K\x02K\x02\x86K\x02K\x01\x86\x89"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage(key) + shape + hooks + b"tR"


def state_dict(more: bytes = b"") -> bytes:
    """data.pkl of a model with one tensor."""
    weights = b"ccollections\nOrderedDict\n)R" + text("weight") + tensor() + b"s"
    built = b"}" + text("_metadata") + b"ccollections\nOrderedDict\n)Rsb"
    return b"\x80\x02" + weights + built + more + b"."


def torch_zip(data: bytes | None = None, more: Mapping[str, bytes] | None = None) -> bytes:
    return zipped(
        {
            "archive/data.pkl": state_dict() if data is None else data,
            "archive/byteorder": b"little",
            "archive/data/0": struct.pack("<4f", 1, 2, 3, 4),
            "archive/version": b"3\n",
            **(more or {}),
        }
    )


def torch_legacy(data: bytes | None = None, raw: bytes | None = None) -> bytes:
    head = [
        pickle.dumps(TORCH_MAGIC, 2),
        pickle.dumps(1001, 2),
        pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2),
    ]
    bytes_ = struct.pack("<q4f", 4, 1, 2, 3, 4) if raw is None else raw
    return b"".join([*head, state_dict() if data is None else data, pickle.dumps(["0"], 2), bytes_])


def npy(array: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


def npz(compressed: bool = False, **arrays: Any) -> bytes:
    out = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(out, **arrays)
    return out.getvalue()


def joblibbed(value: Any, **options: Any) -> bytes:
    out = io.BytesIO()
    joblib.dump(value, out, **options)
    return out.getvalue()


def wrapped(raw: bytes) -> bytes:
    """joblib's wrapper of an array of bytes, with those bytes behind it."""
    kind = b"cnumpy\ndtype\n" + text("u1") + b"\x89\x88\x87R"
    state = b"(" + text("subclass") + b"cnumpy\nndarray\n" + text("shape")
    state += b"K" + bytes([len(raw)]) + b"\x85" + text("order") + text("C")
    state += text("dtype") + kind + text("allow_mmap") + b"\x89u"
    head = b"\x80\x02cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81}"
    return head + state + b"b" + raw + b"."


def safetensors(header: Any = None, data: bytes = bytes(16), length: int | None = None) -> bytes:
    if header is None:
        header = {
            "__metadata__": {"format": "pt"},
            "a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]},
            "b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [8, 16]},
        }
    raw = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(raw) if length is None else length) + raw + data


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf(
    values: Any = None,
    tensors: Any = None,
    data: bytes = bytes(64),
    version: int = 3,
    counts: tuple[int, int] | None = None,
) -> bytes:
    """`values`: key and its bytes, type included; `tensors`: name, shape, type and offset."""
    values = [("general.architecture", struct.pack("<I", 8) + gguf_text("llama"))] + (values or [])
    tensors = [("a", [8], 0, 0), ("b", [2, 4], 0, 32)] if tensors is None else tensors
    n_tensors, n_values = counts or (len(tensors), len(values))
    out = b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_values)
    for key, value in values:
        out += gguf_text(key) + value
    for name, shape, kind, offset in tensors:
        out += gguf_text(name) + struct.pack("<I", len(shape))
        out += b"".join(struct.pack("<Q", n) for n in shape) + struct.pack("<IQ", kind, offset)
    return out + bytes(-len(out) % 32) + data


def field(number: int, value: int | bytes) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out, value = out + bytes([value & 127 | 128]), value >> 7
    return out + bytes([value])


def onnx(domain: str = "", location: str = "weights.bin") -> bytes:
    entry = field(1, b"location") + field(2, location.encode())
    initializer = field(1, 4) + field(2, 1) + field(8, b"w") + field(13, entry) + field(14, 1)
    node = field(1, b"x") + field(2, b"y") + field(4, b"Relu") + field(7, domain.encode())
    graph = field(1, node) + field(2, b"main") + field(5, initializer)
    return field(1, 8) + field(2, b"pytorch") + field(7, graph) + field(8, field(2, 17))


def savedmodel(*operations: str) -> bytes:
    nodes = b"".join(field(1, field(1, b"n") + field(2, op.encode())) for op in operations)
    return field(1, 1) + field(2, field(2, nodes))


def keras(*layers: Mapping[str, Any]) -> bytes:
    config = {
        "module": "keras",
        "class_name": "Sequential",
        "config": {"layers": [{"module": "keras.layers", "class_name": "Dense"}, *layers]},
    }
    return zipped(
        {
            "metadata.json": b'{"keras_version": "3.6.0"}',
            "config.json": json.dumps(config).encode(),
            "model.weights.h5": b"\x89HDF\r\n\x1a\n" + bytes(100),
        }
    )


def proto(operations: bytes, version: int = 4) -> bytes:
    return bytes([0x80, version]) + operations + b"."


def short(value: str) -> bytes:
    return b"\x8c" + bytes([len(value)]) + value.encode()


def malicious_pickles() -> Files:
    """Pickles that run, or import, what they should not."""
    found: Files = {
        f"system-{p}.pkl": pickle.dumps(Calls(os.system, "id"), p)
        for p in range(pickle.HIGHEST_PROTOCOL + 1)
    }
    for name, function, *arguments in (
        ("eval", eval, "1"),
        ("exec", exec, "1"),
        ("import", __import__, "os"),
        ("getattr", getattr, 1, "real"),
        ("popen", subprocess.Popen, ["id"]),
        ("open", open, "x", "w"),
        ("exit", sys.exit, 1),
        ("decode", codecs.decode, b"", "rot13"),
    ):
        found[f"{name}.pkl"] = pickle.dumps(Calls(function, *arguments))
    return found | {
        "text.txt": SYSTEM,
        "config.json": SYSTEM,
        "no-suffix": b"cposix\nsystem\n(Vid\ntR.",
        "model.safetensors": EVAL4,
        "weights.bin": SYSTEM,
        "inst.pkl": b"(S'id'\nios\nsystem\n.",
        "obj.pkl": b"(cos\nsystem\nS'id'\no.",
        "newobj.pkl": proto(b"csubprocess\nPopen\n" + short("id") + b"\x85\x81", 2),
        "newobj-ex.pkl": proto(short("subprocess") + short("Popen") + b"\x93)}\x92"),
        "memo.pkl": proto(short("os") + b"\x94" + short("system") + b"\x940h\x00h\x01\x93)R"),
        "long-memo.pkl": proto(
            short("os") + b"r\x00\x01\x00\x000" + short("system") + b"p7\n0"
            b"j\x00\x01\x00\x00g7\n\x93)R"
        ),
        "swapped.pkl": proto(short("system") + short("os") + b"2\x93)R"),
        "made-name.pkl": proto(
            short("os") + b"cbuiltins\nstr\n" + short("system") + b"\x85R\x93)R"
        ),
        "escaped.pkl": proto(b"S'\\x6fs'\nS'system'\n\x93)R", 2),
        "unicode-escape.pkl": proto(b"V\\u006fs\nVsystem\n\x93)R", 2),
        "bytes-name.pkl": proto(b"U\x02osU\x06system\x93)R", 2),
        "dotted.pkl": proto(short("os") + short("path.os.system") + b"\x93)R"),
        "torch-dotted.pkl": proto(short("torch") + short("FloatStorage.from_file") + b"\x93)R"),
        "load-bytes.pkl": proto(b"ctorch.storage\n_load_from_bytes\nC\x00\x85R", 2),
        "ext1.pkl": proto(b"\x82\x01)R"),
        "ext2.pkl": proto(b"\x83\x01\x01)R"),
        "ext4.pkl": proto(b"\x84\x01\x01\x00\x00)R"),
        "persid.pkl": b"Pos.system\n.",
        "binpersid.pkl": proto(short("x") + b"Q", 2),
        "storage-outside.pkl": proto(storage(), 2),
        "build-function.pkl": proto(
            b"ctorch._utils\n_rebuild_tensor_v2\n}" + short("__code__") + b"Nsb"
        ),
        "call-value.pkl": proto(b"ctorch\nFloatStorage\n)R", 2),
        "call-result.pkl": proto(b"ccollections\nOrderedDict\n)R)R", 2),
        "set-on-class.pkl": proto(b"ccollections\nOrderedDict\n" + short("a") + b"Ns"),
        "encode.pkl": proto(b"c_codecs\nencode\n" + short("x") + short("rot13") + b"\x86R"),
        "second.pkl": pickle.dumps({"a": 1}) + SYSTEM,
        "third.pkl": pickle.dumps(1) * 2 + EVAL4,
        "behind.pkl": pickle.dumps({"a": 1}) + b"#!/bin/sh\n",
        "broken-after.pkl": SYSTEM[:-1] + b"\xff\xff",
        "cut.pkl": EVAL4[:-1],
        "popped.pkl": proto(b"cos\nsystem\n0N", 2),
        "import-only.pkl": b"cthis\ns\nxxx",
        "no-header.bin": EVAL4[2:],
        "old-module.pkl": b"c__builtin__\neval\n(S'1'\ntR.",
        "long-line.pkl": b"V" + b"x" * 70_000 + b"\n0" + SYSTEM,
        "headerless-line.dat": b"V" + b"x" * 70_000 + b"\n0" + SYSTEM,
        "two-headerless.bin": b"N." + SYSTEM,
        "magic-in-text.pt": b"L%dL\n.I1001\n.(d.%s" % (TORCH_MAGIC, SYSTEM),
        "far-memo": b"Np99999999\n" + SYSTEM,
        "unended.pkl": b"cos\nsystem",
        "odd-name.bin": b"cantigravity\n!\n",
        "framed.pkl": proto(b"\x95\x04\x00\x00\x00\x00\x00\x00\x00" + EVAL4[2:-1]),
        "nested-bytes-name.pkl": proto(b"\x8c\x02os\x94\x8c\x06system\x94\x86\x94\x93", 4),
        "huge-memo.pkl": proto(b"Nr\xff\xff\xff\xff", 2),
        "protocol-9.pkl": b"\x80\x09N.",
    }


def malicious_files() -> Files:
    """The same in archives, arrays, compressed, and under other names."""
    bad = pickle.dumps(Calls(os.system, "id"))
    objects = np.array([Calls(os.system, "id")], dtype=object)
    plain = np.zeros(2)
    return {
        "torch.pt": torch_zip(bad),
        "torch-call.pt": torch_zip(state_dict(b"0" + SYSTEM[:-1])),
        "torch-persid.pt": torch_zip(b"\x80\x02(" + text("storage") + b"cos\nsystem\nNNNtQ."),
        "torch-extra.pt": torch_zip(more={"archive/extra.pkl": bad}),
        "torch-renamed.txt": torch_zip(bad),
        "deflated.pt": zipped({"a/data.pkl": bad}, zipfile.ZIP_DEFLATED),
        "bzipped.zip": zipped({"x": bad}, zipfile.ZIP_BZIP2),
        "nested.zip": zipped({"inner.zip": zipped({"x.txt": SYSTEM})}),
        "prefixed.pt": b"junk" * 10 + torch_zip(),
        "polyglot.pt": EVAL4 + torch_zip(),
        "duplicate.zip": _twice(bad),
        "legacy.pt": torch_legacy(bad),
        "legacy-storages.pt": torch_legacy(raw=SYSTEM),
        "legacy-persid.pt": torch_legacy(b"\x80\x02X\x01\x00\x00\x00xQ."),
        "torch.tar": tarred({"pickle": bad, "sys_info": b"", "storages": b"", "tensors": b""}),
        "plain.tar": tarred({"a/b": bad}),
        "objects.npy": npy(objects),
        "objects.npz": npz(x=objects),
        "objects-compressed.npz": npz(compressed=True, x=objects),
        "not-an-array.npy": bad,
        "x.joblib": joblibbed(Calls(os.system, "id")),
        "compressed.joblib": joblibbed(Calls(os.system, "id"), compress=3),
        "objects.joblib": joblibbed({"a": np.zeros(3), "b": objects}),
        "behind-array.joblib": joblibbed([np.zeros(300), Calls(os.system, "id")]),
        # joblib takes the bytes behind the wrapper for an array, pickle.load for opcodes.
        "in-array.joblib": wrapped(SYSTEM),
        "objects-twice.joblib": joblibbed({"o": np.array([1, "x"], dtype=object), "w": plain}),
        "x.gz": gzip.compress(bad),
        "two.gz": gzip.compress(bad[:5]) + gzip.compress(bad[5:]),
        "x.bz2": bz2.compress(bad),
        "x.xz": lzma.compress(bad),
        "x.lzma": lzma.compress(bad, lzma.FORMAT_ALONE),
        "x.zst": zstandard.ZstdCompressor().compress(bad),
        "x.zlib": zlib.compress(bad),
        "x.json": gzip.compress(bad),
        "gz-in-zip.zip": zipped({"x": gzip.compress(torch_zip(bad))}),
        "tail.safetensors": safetensors() + bad,
        "ops.pb": savedmodel("Const", "WriteFile"),
        "outside.onnx": onnx(location="../../etc/passwd"),
        "module.keras": keras({"module": "subprocess", "class_name": "Popen"}),
        "escaped.yaml": b"a: !!pyth%6Fn/object/apply:os.system ['id']\n",
        "short.yaml": b"%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!name:os.system\n",
        "object.yaml": b"a: !!python/object/apply:os.system ['id']\n",
    }


def _twice(bad: bytes) -> bytes:
    data = zipped({"archive/data.pkl": state_dict(), "archive/data.pkx": bad})
    return data.replace(b"data.pkx", b"data.pkl")


def benign_files() -> Files:
    """What is what it says, and runs nothing."""
    rng = np.random.default_rng(1)
    weights = rng.standard_normal((16, 16)).astype(np.float32)
    plain: Any = OrderedDict(a=1, b=[1.5, None, True], c=("x", b"y"), d={1, 2})
    found = {f"plain-{p}.pkl": pickle.dumps(plain, p) for p in range(pickle.HIGHEST_PROTOCOL + 1)}
    found |= {f"array-{p}.pkl": pickle.dumps({"w": weights}, p) for p in (2, 4, 5)}
    return found | {
        "scalar.pkl": pickle.dumps([np.float32(1), np.int64(2), np.dtype("<f8")]),
        "several.pkl": pickle.dumps(1) + pickle.dumps([2]) + pickle.dumps({"x": 3}),
        "frozen.pkl": pickle.dumps([frozenset({1}), {2}, bytearray(b"x"), complex(1, 2)]),
        "many.pkl": pickle.dumps({str(i): (i, float(i), f"{i}" * 99) for i in range(3_000)}),
        "torch.pt": torch_zip(),
        "pytorch_model.bin": torch_zip(),
        "legacy.pt": torch_legacy(),
        "model.safetensors": safetensors(),
        "padded.safetensors": safetensors(
            json.dumps({"a": {"dtype": "F64", "shape": [2], "data_offsets": [0, 16]}}).encode()
            + b"   "
        ),
        "empty.safetensors": safetensors({}, b""),
        "model.gguf": gguf(),
        "v2.gguf": gguf(version=2),
        "array.npy": npy(weights),
        "names.npy": npy(np.array(["a", "bcd"])),
        "structured.npy": npy(np.zeros(3, dtype=[("a", "<f4"), ("b", "S4")])),
        "none.npy": npy(np.array([None, "x", 1.5], dtype=object)),
        "arrays.npz": npz(a=weights, b=np.arange(5)),
        "compressed.npz": npz(compressed=True, a=weights),
        "wrapped.joblib": wrapped(bytes(range(200, 240))),
        "arrays.joblib": joblibbed({"w": weights, "b": np.arange(7), "s": "text"}),
        "compressed.joblib": joblibbed({"w": weights}, compress=3),
        "model.onnx": onnx(),
        "model.keras": keras(),
        "model.h5": b"\x89HDF\r\n\x1a\n" + bytes(64) + b"model_config" + bytes(64),
        "data.tar": tarred({"a.txt": b"hello\n", "b.json": b"{}"}),
        "data.zip": zipped(
            {"a.txt": b"hello\n", "b/c.csv": b"city\nParis\n"}, zipfile.ZIP_DEFLATED
        ),
        "data.csv.gz": gzip.compress(b"a,b\n1,2\n"),
        "data.jsonl.zst": zstandard.ZstdCompressor().compress(b'{"a": 1}\n' * 100),
        "config.json": b'{"model_type": "llama", "auto_map": null}',
        "trainer_state.json": b'{"loss": NaN}',
        "tagged.yaml": b"%TAG ! tag:example.org,2002:\n---\na: !!str 1\nb: !x 2\n",
        "vocab.txt": b"cat\ndog\nfish\n",
        "code-words.txt": b"class Foo\nconst bar\n",
        "README.md": "# Model\n\nÜber: `!!python/object` is dangerous.\n".encode(),
        "train.csv": b"col1,col2\n1,2\n",
        "tokens.bin": np.arange(5_000, dtype=np.uint16).tobytes(),
        "noise.bin": rng.bytes(100_000),
        "merges.txt": b"#version: 0.2\nt h\n",
        "image.png": b"\x89PNG\r\n\x1a\n" + bytes(20),
        "data.parquet": b"PAR1" + bytes(20) + b"PAR1",
        "empty": b"",
        "LICENSE": b"Copyright 2026 somebody\nPermission is granted\n" * 30,
    }


def codelike_files() -> dict[str, tuple[bytes, str]]:
    """Code, and the rule that reports it."""
    lambdas = {"module": "keras.layers", "class_name": "Lambda"}
    script = {"archive/code/__torch__.py": b"def forward(self):\n  return 1\n"}
    typed = b"\x80\x02c__torch__.models\nNet\n)\x81}" + text("w") + tensor() + b"sb."
    template = [("tokenizer.chat_template", struct.pack("<I", 8) + gguf_text("{{ x }}"))]
    config_h5 = (
        b'model_config{"class_name": "Sequential", "layers": [{"class_name": "Lam\\u0062da"}]}'
    )
    return {
        "modeling.py": (b"x = 1\n", "code-python"),
        "lib.so.1.2": (b"whatever", "code-native"),
        "weights.dat": (b"\x7fELF" + bytes(60), "code-native"),
        "cached": (b"\xa7\x0d\r\n" + bytes(60), "code-python"),
        "run": (b"#!/bin/sh\nid\n", "code-script"),
        "note.ipynb": (b'{"cells": [], "nbformat": 4}', "code-notebook"),
        "x/config.json": (b'{"auto_map": {"AutoModel": "m.M"}}', "auto-map"),
        "escaped.json": (b'{"auto\\u005fmap": {"AutoModel": "m.M"}}', "auto-map"),
        "nan.json": (b'{"loss": NaN, "auto\\u005fmap": {"AutoModel": "m.M"}}', "auto-map"),
        "remote.json": (b'{"a": [{"trust_remote_code": true}]}', "remote-code"),
        "tokenizer_config.json": (b'{"chat_template": "{{ x }}"}', "chat-template"),
        "chat_template.jinja": (b"{{ x }}", "chat-template"),
        "model.gguf": (gguf(template), "chat-template"),
        "lambda.keras": (keras(lambdas), "keras-lambda"),
        "lambda.h5": (b"\x89HDF\r\n\x1a\n" + bytes(64) + config_h5, "keras-lambda"),
        "script.pt": (torch_zip(typed, script), "torchscript-code"),
        "saved_model.pb": (savedmodel("Const", "MatMul"), "savedmodel-graph"),
        "custom.onnx": (onnx(domain="com.acme"), "onnx-operator"),
        "site.pth": (b"import os; os.getcwd()\n", "code-python"),
    }
