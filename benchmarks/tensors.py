"""`python -m benchmarks.tensors [MIB]`: what the digests of tensors cost a push.

A model in one safetensors file, and the same in eight: read and hashed only; stored as a push
does; stored, and its tensors hashed on the way. In turn, the best of five, warm.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_registry import directory
from stemma_registry.blobs.local import LocalStore
from stemma_registry.intake import Intake
from stemma_registry.stat_cache import StatCache
from stemma_registry.tensors.reading import Told

RUNS = 5
MIB = 1024 * 1024
TENSOR = 4 * MIB


def write(path: Path, size: int) -> None:
    """A safetensors file with so many bytes of tensors of 4 MiB."""
    header = {
        f"layers.{n}.weight": {
            "dtype": "BF16",
            "shape": [1024, TENSOR // 2048],
            "data_offsets": [n * TENSOR, (n + 1) * TENSOR],
        }
        for n in range(size // TENSOR)
    }
    raw = json.dumps(header).encode()
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(raw)) + raw)
        for _ in header:
            out.write(os.urandom(TENSOR))


def store(root: Path, work: Path, tensors: bool) -> None:
    """Store a directory, with its tensors or without."""
    with tempfile.TemporaryDirectory(dir=work) as target:
        tree = directory.scan(root)
        heard: dict[Digest, Told] | None = {} if tensors else None
        Intake(LocalStore(Path(target)), tree, StatCache.off(), None, heard).take_in()


def measure(root: Path, work: Path) -> dict[str, float]:
    """Way -> the best time of `RUNS`, in seconds."""
    ways: dict[str, Callable[[], object]] = {
        "hash": lambda: directory.observe(directory.scan(root)),
        "store": lambda: store(root, work, False),
        "store and tensors": lambda: store(root, work, True),
    }
    best = dict.fromkeys(ways, float("inf"))
    for _ in range(RUNS + 1):
        for name, way in ways.items():
            began = time.perf_counter()
            way()
            best[name] = min(best[name], time.perf_counter() - began)
    return best


def main() -> None:
    """Print one line for each layout."""
    size = (int(sys.argv[1]) if len(sys.argv) > 1 else 512) * MIB
    with tempfile.TemporaryDirectory() as folder:
        for count in (1, 8):
            root, work = Path(folder, f"model-{count}"), Path(folder, f"work-{count}")
            root.mkdir()
            work.mkdir()
            for number in range(count):
                write(root / f"model-{number}.safetensors", size // count)
            best = measure(root, work)
            times = ", ".join(f"{name} {seconds:.2f} s" for name, seconds in best.items())
            ratio = best["store and tensors"] / best["store"]
            floor = best["store and tensors"] / best["hash"]
            print(f"{count} files, {size // MIB} MiB: {times}")
            print(f"  tensors cost {ratio:.2f} of a store without, {floor:.2f} of hashing alone")


if __name__ == "__main__":
    main()
