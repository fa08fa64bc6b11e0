"""Tensors out of a safetensors file: what is handed out is what was hashed.

The file is read once, into memory of this process; that memory is hashed, and the tensors
are views of it. https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from stemma_attestations.errors import BytesDiffer, NotVerified
from stemma_attestations.manifest import Entry
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.formats import safetensors

# What NumPy has, by the names of both; little-endian, as the file is.
_NUMPY: Mapping[str, str] = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "F16": "<f2",
    "I32": "<i4",
    "U32": "<u4",
    "F32": "<f4",
    "I64": "<i8",
    "U64": "<u8",
    "F64": "<f8",
    "C64": "<c8",
}


@dataclass(frozen=True)
class Tensor:
    """A tensor that NumPy has no type for, or is not there for: read-only bytes and their shape."""

    dtype: str
    shape: tuple[int, ...]
    data: memoryview


@dataclass(frozen=True)
class _Buffer:
    """Bytes in memory, by position."""

    data: memoryview

    @property
    def size(self) -> int:
        return len(self.data)

    def read_at(self, start: int, length: int) -> bytes:
        return bytes(self.data[start : start + length])


def read_hashed(source: BinaryIO, entry: Entry) -> memoryview:
    """A file's bytes in private memory, read once. Raises BytesDiffer, OSError."""
    data = memoryview(bytearray(entry.size))
    state, done = hashlib.sha256(), 0
    while done < entry.size:
        count = source.readinto(data[done : done + CHUNK])  # type: ignore[attr-defined]
        if not count:
            break
        state.update(data[done : done + count])
        done += count
    if done != entry.size or source.read(1) or state.hexdigest() != entry.sha256.value:
        raise BytesDiffer(f"{entry.path}: the bytes are not those that were judged")
    return data.toreadonly()


def load(source: BinaryIO, entry: Entry) -> dict[str, Any]:
    """Name -> a read-only NumPy array, or a Tensor where NumPy has none.

    Raises BytesDiffer, and NotVerified for a header that breaks a rule of the format.
    """
    data = read_hashed(source, entry)
    try:
        header, start = safetensors.tensors(_Buffer(data))
    except (safetensors.Malformed, safetensors.TooMuch) as error:
        raise NotVerified(f"{entry.path}: {error}") from error
    numpy = _numpy()
    return {name: _tensor(said, data[start:], numpy) for name, said in header.items()}


def _tensor(said: Mapping[str, Any], data: memoryview, numpy: Any) -> Any:
    first, end = said["data_offsets"]
    dtype, shape = str(said["dtype"]), tuple(said["shape"])
    known = _NUMPY.get(dtype)
    if numpy is None or known is None:
        return Tensor(dtype, shape, data[first:end])
    return numpy.frombuffer(data[first:end], dtype=known).reshape(shape)


def _numpy() -> Any:
    try:
        return importlib.import_module("numpy")
    except ImportError:
        return None
