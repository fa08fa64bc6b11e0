"""Tensors are told apart while a file is read, however it is cut into pieces."""

from __future__ import annotations

import hashlib
import random
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_attestations.tensor_table import MAX_TENSORS
from stemma_registry.tensors.reading import Reading, Told
from tests.formats import making
from tests.tensors import models


def read(data: bytes, *cuts: int, size: int | None = None) -> Told:
    """What is told of a file that is read in these pieces."""
    reading = Reading(len(data) if size is None else size)
    for low, high in zip([0, *sorted(cuts)], [*sorted(cuts), len(data)], strict=True):
        reading(memoryview(data)[low:high])
    return reading.told()


def test_the_digest_is_that_of_type_shape_and_bytes() -> None:
    (dtype, shape, data) = models.weights(1, "w")["w"]
    told = read(models.safetensors({"w": (dtype, shape, data)}))
    (one,) = told.tensors
    raw = b"urn:stemma:tensor:v0.1\nF32\n16,32\n" + data
    assert one.digest.value == hashlib.sha256(raw).hexdigest()
    assert (one.name, one.dtype, one.shape, one.size) == ("w", "F32", (16, 32), 2048)
    assert not one.constant


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_neither_pieces_nor_order_nor_format_matter(rng: random.Random, packed: bool) -> None:
    tensors = dict(models.layers(rng.randrange(9), rng.randrange(1, 5)))
    tensors["empty"] = ("F32", (0,), b"")
    plain = read(models.safetensors(tensors, {"format": "pt"}))
    items = list(tensors.items())
    rng.shuffle(items)
    data = (models.gguf if packed else models.safetensors)(dict(items))
    cuts = [rng.randrange(len(data) + 1) for _ in range(rng.randrange(40))]
    told = read(data, *cuts)
    assert not told.note
    assert {(t.name, t.digest, t.shape) for t in told.tensors} == {
        (t.name, t.digest, t.shape) for t in plain.tensors
    }


def test_what_real_writers_write_is_read() -> None:
    import numpy as np
    from safetensors.numpy import save

    arrays = {"a": np.arange(600, dtype="<f4").reshape(20, 30), "b": np.ones(5, "<i8")}
    told = read(save(arrays))
    assert {t.name: (t.dtype, t.shape) for t in told.tensors} == {
        "a": ("F32", (20, 30)),
        "b": ("I64", (5,)),
    }


def test_types_and_shapes_tell_tensors_apart() -> None:
    data = models.weights(1, "w")["w"][2]
    forms = [("F32", (16, 32)), ("F32", (32, 16)), ("F32", (512,)), ("I32", (16, 32))]
    told = [read(models.safetensors({"w": (d, s, data)})).tensors[0].digest for d, s in forms]
    assert len(set(told)) == len(forms)


@pytest.mark.parametrize("value", [0.0, 1.0, -3.5])
@pytest.mark.parametrize("cut", [0, 1, 7, 99, 1111])
def test_constant_tensors_are_seen(value: float, cut: int) -> None:
    data = struct.pack("<f", value) * 100_000
    whole = models.safetensors({"w": ("F32", (100_000,), data)})
    assert read(whole, 60 + cut, 300 + cut, 70_000 + cut).tensors[0].constant
    other = bytearray(whole)
    other[-1] ^= 1
    assert not read(bytes(other), 60 + cut, 70_000 + cut).tensors[0].constant


def header(**tensors: Any) -> bytes:
    return making.safetensors(tensors, bytes(4096))


HOSTILE = {
    "overlap": header(
        a={"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]},
        b={"dtype": "F32", "shape": [2], "data_offsets": [8, 16]},
    ),
    "overflow": header(a={"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 4096]}),
    "negative": header(a={"dtype": "F32", "shape": [-1], "data_offsets": [0, 4096]}),
    "nothing, and endless": header(
        a={"dtype": "F32", "shape": [2**63, 0], "data_offsets": [0, 0]},
        b={"dtype": "F32", "shape": [1024], "data_offsets": [0, 4096]},
    ),
    "gap": header(a={"dtype": "F32", "shape": [1], "data_offsets": [8, 12]}),
    "dtype": header(a={"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4096]}),
    "twice": making.safetensors(b'{"a": 1, "a": 2}', bytes(4096)),
    "deep": making.safetensors(b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", bytes(4096)),
    "longer than the file": struct.pack("<Q", 99_999_999) + b'{"' + bytes(4096),
    "gguf, many": making.gguf(counts=(MAX_TENSORS * 3, 1)) + bytes(4096),
    "gguf, more keys": making.gguf(counts=(1, 2**60)) + bytes(4096),
    "gguf, far string": b"GGUF" + struct.pack("<IQQQ", 3, 1, 1, 2**62) + bytes(4096),
    "gguf, short": making.gguf()[:60],
    "gguf, version": making.gguf(version=77),
    "gguf, overlap": making.gguf(None, [("a", [8], 0, 0), ("b", [8], 0, 0)]),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("step", [7, 100_000])
def test_a_hostile_header_is_a_note(name: str, step: int) -> None:
    data = HOSTILE[name]
    told = read(data, *range(step, len(data), step))
    assert told.note, told
    assert "\n" not in told.note
    assert len(told.note) < 300
    assert not told.tensors


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.booleans())
def test_no_bytes_whatever_raise(data: bytes, at: int, packed: bool) -> None:
    tensors = models.weights(1, "a", "b", shape=(4, 8))
    whole = bytearray((models.gguf if packed else models.safetensors)(tensors))
    whole[at : at + len(data)] = data
    told = read(bytes(whole), 11, 64)
    assert told.note or told.tensors or not told.format


def test_a_file_that_is_shorter_than_it_was_said_to_be_has_no_tensors() -> None:
    data = models.safetensors(models.layers(1))
    told = read(data[:-1], size=len(data))
    assert told.note == "it ends before its tensors do"


def test_other_files_are_of_no_interest() -> None:
    for data in (b"", b"x", bytes(2000), b"PK\x03\x04" + bytes(2000), b'{"a": 1}' * 300):
        assert read(data) == Told()
