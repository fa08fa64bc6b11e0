"""Headers that lie: safetensors, GGUF, NumPy, ONNX."""

from __future__ import annotations

import json
import struct
from typing import Any

import pytest

from tests.formats import making
from tests.formats.looking import bad, rules, scan


def one(**changes: Any) -> dict[str, Any]:
    said = {"dtype": "F32", "shape": [4], "data_offsets": [0, 16], **changes}
    return {"a": said}


def two(first: list[int], second: list[int]) -> dict[str, Any]:
    return {
        "a": {"dtype": "U8", "shape": [first[1] - first[0]], "data_offsets": first},
        "b": {"dtype": "U8", "shape": [second[1] - second[0]], "data_offsets": second},
    }


WRONG = {
    "overlap": making.safetensors(two([0, 9], [8, 16])),
    "the same twice": making.safetensors(two([0, 16], [0, 16])),
    "gap": making.safetensors(two([0, 7], [8, 16])),
    "gap in front": making.safetensors(two([1, 8], [8, 16])),
    "trailing": making.safetensors(data=bytes(17)),
    "short": making.safetensors(data=bytes(15)),
    "length beyond the file": making.safetensors(length=10_000),
    "length of 2^64 - 1": making.safetensors(length=2**64 - 1),
    "length of 2^63": making.safetensors(length=2**63),
    "length zero": making.safetensors(length=0),
    "shape and range": making.safetensors(one(shape=[5])),
    "a product beyond 2^64": making.safetensors(one(shape=[2**40, 2**40, 0])),
    "overflow": making.safetensors(one(shape=[2**32, 2**32, 4])),
    "negative": making.safetensors(one(shape=[-4])),
    "true": making.safetensors(one(shape=[4, True])),
    "reversed": making.safetensors(one(data_offsets=[16, 0])),
    "dtype": making.safetensors(one(dtype="F33")),
    "no dtype": making.safetensors({"a": {"shape": [4], "data_offsets": [0, 16]}}),
    "more fields": making.safetensors(one(more=1)),
    "no object": making.safetensors({"a": 1}),
    "metadata of numbers": making.safetensors({"__metadata__": {"a": 1}, **one()}),
    "metadata as a list": making.safetensors({"__metadata__": [], **one()}),
    "duplicate": making.safetensors(
        b'{"a":{"dtype":"U8","shape":[16],"data_offsets":[0,16]},'
        b'"\\u0061":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}}'
    ),
    "not JSON": making.safetensors(b'{"a":}'),
    "behind the JSON": making.safetensors(json.dumps(one()).encode() + b"x"),
    "deep": making.safetensors(b'{"a":' + b"[" * 100 + b"]" * 100 + b"}"),
    "a sub-byte range": making.safetensors(one(dtype="F4", shape=[31])),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_safetensors_header(what: str) -> None:
    found = scan("model.safetensors", WRONG[what])
    assert "safetensors-malformed" in rules(found)


def test_a_safetensors_file_is_known_without_its_suffix() -> None:
    assert scan("weights", making.safetensors()).format == "safetensors"
    assert bad(scan("weights", making.safetensors(data=bytes(17))))


def test_a_pointer_is_no_model() -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"
    assert "not-what-it-is-called" in rules(scan("model.safetensors", pointer))


def test_zero_length_tensors_and_small_types_are_right() -> None:
    header = {
        "a": {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]},
        "b": {"dtype": "F4", "shape": [32], "data_offsets": [0, 16]},
    }
    assert scan("m.safetensors", making.safetensors(header)).findings == ()


U32 = struct.pack("<I", 4) + struct.pack("<I", 1)
STRING = struct.pack("<I", 8)
ARRAY = struct.pack("<I", 9)
WRONG_GGUF = {
    "version 1": making.gguf(version=1),
    "big-endian": making.gguf(version=3 << 24),
    "keys": making.gguf(counts=(2, 2**40)),
    "tensors": making.gguf(counts=(2**40, 1)),
    "cut": making.gguf()[:40],
    "cut data": making.gguf()[:-1],
    "trailing": making.gguf(data=bytes(200)),
    "duplicate key": making.gguf([("a", U32), ("a", U32)]),
    "unknown type": making.gguf([("a", struct.pack("<I", 13))]),
    "a long string": making.gguf([("a", STRING + struct.pack("<Q", 2**62))]),
    "a long array": making.gguf([("a", ARRAY + struct.pack("<IQ", 4, 2**62))]),
    "many strings": making.gguf([("a", ARRAY + struct.pack("<IQ", 8, 2**40))]),
    "array of arrays": making.gguf([("a", ARRAY + struct.pack("<IQ", 9, 1))]),
    "alignment": making.gguf([("general.alignment", struct.pack("<II", 4, 24))]),
    "alignment zero": making.gguf([("general.alignment", struct.pack("<II", 4, 0))]),
    "alignment as text": making.gguf([("general.alignment", STRING + making.gguf_text("8"))]),
    "duplicate tensor": making.gguf(tensors=[("a", [8], 0, 0), ("a", [8], 0, 32)]),
    "overlap": making.gguf(tensors=[("a", [8], 0, 0), ("b", [8], 0, 0)]),
    "unaligned": making.gguf(tensors=[("a", [8], 0, 0), ("b", [8], 0, 33)]),
    "gap": making.gguf(tensors=[("a", [8], 0, 0), ("b", [8], 0, 64)], data=bytes(96)),
    "beyond the end": making.gguf(tensors=[("a", [8], 0, 0), ("b", [2**30], 0, 32)]),
    "tensor type": making.gguf(tensors=[("a", [8], 99, 0)]),
    "dimensions": making.gguf(tensors=[("a", [1] * 5, 0, 0)]),
    "overflow": making.gguf(tensors=[("a", [2**33, 2**33], 0, 0)]),
    "half a block": making.gguf(tensors=[("a", [33], 2, 0)]),
}


@pytest.mark.parametrize("what", WRONG_GGUF)
def test_a_wrong_gguf_header(what: str) -> None:
    assert "gguf-malformed" in rules(scan("model.gguf", WRONG_GGUF[what]))


def test_quantised_tensors_and_another_alignment_are_right() -> None:
    alignment = [("general.alignment", struct.pack("<II", 4, 64))]
    tensors = [("a", [64], 2, 0), ("b", [256], 12, 64)]
    data = making.gguf(alignment, tensors, b"")
    data += bytes(-len(data) % 64) + bytes(64 + 144)
    assert scan("q.gguf", data).findings == ()


@pytest.mark.parametrize(
    "data",
    [
        b"\x93NUMPY\x01\x00\x10\x00{'descr': 1}    ",
        b"\x93NUMPY\x09\x00\x10\x00",
        b"\x93NUMPY\x02\x00\xff\xff\xff\x7f" + bytes(100),
        making.npy([1.0, 2.0])[:-1],
        making.npy([1.0, 2.0]) + b"x",
        making.npy([1.0]).replace(b"(1,)", b"(-1,"),
        making.npy([1.0]).replace(b"{'descr'", b"__import__"),
        making.npy([1.0]).replace(b"False", b"((((("),
    ],
)
def test_a_wrong_numpy_header(data: bytes) -> None:
    assert "numpy-malformed" in rules(scan("a.npy", data))


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "../x", "a/../../x", "C:\\x", "..\\x", "file:x"]
)
def test_onnx_data_outside_its_directory(location: str) -> None:
    assert rules(scan("m.onnx", making.onnx(location=location))) == {"onnx-external-path"}


def test_onnx_that_breaks_off() -> None:
    broken = making.field(1, 8) + making.field(7, b"\x0a\x7f") + making.field(8, b"")
    assert rules(scan("m.onnx", broken)) == {"protobuf-malformed"}
