"""Small models for tests: tensors, and the files they are packed into."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Mapping, Sequence

from tests.formats import making

Weights = Mapping[str, tuple[str, tuple[int, ...], bytes]]

_KINDS = {"F32": 0, "F16": 1, "I8": 24, "BF16": 30}
_WIDTH = {"F32": 4, "F16": 2, "BF16": 2, "I8": 1}


def weights(seed: int, *names: str, dtype: str = "F32", shape: Sequence[int] = (16, 32)) -> Weights:
    """Tensors of that seed, one for each name: the same names give the same bytes."""
    found = {}
    for name in names:
        count = _WIDTH[dtype]
        for n in shape:
            count *= n
        found[name] = (dtype, tuple(shape), random.Random(f"{seed} {name}").randbytes(count))
    return found


def layers(seed: int, count: int = 8) -> Weights:
    """A model of so many layers."""
    return weights(seed, *(f"model.layers.{n}.weight" for n in range(count)))


def safetensors(tensors: Weights, metadata: Mapping[str, str] | None = None) -> bytes:
    """A file with the tensors in the order they are given."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    at = 0
    for name, (dtype, shape, data) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(shape),
            "data_offsets": [at, at + len(data)],
        }
        at += len(data)
    raw = json.dumps(header).encode()
    return struct.pack("<Q", len(raw)) + raw + b"".join(d for _, _, d in tensors.values())


def gguf(tensors: Weights) -> bytes:
    """The same as GGUF: dimensions the other way round, each tensor aligned."""
    rows, data = [], b""
    for name, (dtype, shape, raw) in tensors.items():
        rows.append((name, list(shape[::-1]), _KINDS[dtype], len(data)))
        data += raw + bytes(-len(raw) % 32)
    return making.gguf(None, rows, data)


def sharded(tensors: Weights, count: int) -> dict[str, bytes]:
    """So many files, keys backwards."""
    items = list(tensors.items())[::-1]
    shards = [dict(items[n::count]) for n in range(count)]
    return {
        f"model-{n:05}-of-{count:05}.safetensors": safetensors(shard)
        for n, shard in enumerate(shards, 1)
    }


def tuned(base: Weights, seed: int, changed: int) -> Weights:
    """A fine-tune of `base` whose last tensors changed, the others frozen."""
    names = list(base)[len(base) - changed :]
    return {**base, **weights(seed, *names)}
