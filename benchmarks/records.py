"""How fast the records of a Parquet file are indexed, and in how much memory.

    python -m benchmarks.records [--records N] [--files N] [--rounds N] [--folder FOLDER]

Rows of about 400 bytes in five columns, written by pyarrow with its defaults. Measured is what
`stemma index` does with the files: they are verified in a local store, read by processes, and
their sorted runs are stored. The floor is what nobody can do without: pyarrow reads the file, and
hashlib hashes the canonical bytes, which are there already; in one process, processor time. Wall
clock means little on a busy machine, so the processor time is printed beside it, and each round
has the floor and the index behind each other. The processes are started before.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stemma_attestations.manifest import Entry, Manifest
from stemma_registry.blobs.local import LocalStore
from stemma_registry.records.building import Builder, Wish
from stemma_registry.records.children import Children, children
from stemma_registry.records.keys import NO_KEY

GROUP = 100_000  # rows of a row group


def write(path: Path, count: int, begin: int = 0) -> None:
    """A seeded file of `count` records."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(begin + 1)
    words = np.array([rng.bytes(4).hex() for _ in range(5_000)])
    writer: Any = None
    for start in range(begin, begin + count, GROUP):
        size = min(GROUP, begin + count - start)
        table = pa.table(
            {
                "id": np.arange(start, start + size),
                "text": [" ".join(row) for row in words[rng.integers(0, 5_000, (size, 38))]],
                "label": [("ham", "spam")[number % 2] for number in range(size)],
                "score": rng.random(size),
                "source": [f"https://example.org/{start + number}" for number in range(size)],
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table, row_group_size=GROUP)
    writer.close()


def floor(path: Path, chunk: int = 16_384) -> float:
    """Processor seconds a record of reading a file, and of hashing its canonical bytes."""
    import hashlib

    import pyarrow.parquet as pq

    from stemma_registry.records import columns

    count, seconds, sha256 = 0, 0.0, hashlib.sha256
    batches = pq.ParquetFile(path, pre_buffer=False).iter_batches(chunk, use_threads=False)
    while True:
        started = time.process_time()
        batch = next(batches, None)
        seconds += time.process_time() - started
        if batch is None:
            return seconds / count
        messages = [NO_KEY.block + m for m in columns.messages(batch, None).to_pylist()]
        started = time.process_time()
        for message in messages:
            sha256(message).digest()
        seconds += time.process_time() - started
        count += len(messages)


def measure(paths: Sequence[Path], folder: Path, readers: Children) -> dict[str, float]:
    """Index files once: seconds, processor seconds of all processes, and records."""
    (folder / "store").mkdir(exist_ok=True)
    store, entries = LocalStore(folder / "store"), []
    for path in paths:
        with open(path, "rb") as source:
            size = path.stat().st_size
            entries.append(Entry(path.name, size, store.receive(source, size)))
    manifest = Manifest.of(entries)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        before, started = _processor(), time.perf_counter()
        built = Builder(store, Path(scratch), readers, Wish(NO_KEY)).build(manifest, {})
        seconds, used = time.perf_counter() - started, _processor() - before
    memory = max(_peak(child) for child in Path("/proc").glob("[0-9]*") if _is_ours(child))
    return {
        "records": sum(shard.records for shard in built.shards),
        "seconds": seconds,
        "processor": used,
        "bytes": sum(built.sizes.values()),
        "file": sum(entry.size for entry in entries),
        "memory": memory,
    }


def _processor() -> float:
    """Processor seconds of this process and of its children, ended or not (Linux)."""
    found = time.process_time()
    for child in Path("/proc").glob("[0-9]*"):
        if _is_ours(child):
            said = (child / "stat").read_text().rpartition(")")[2].split()
            found += (int(said[11]) + int(said[12])) / os.sysconf("SC_CLK_TCK")
    return found


def _is_ours(process: Path) -> bool:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1]) == os.getpid()
    except OSError:
        return False


def _peak(process: Path) -> int:
    """Bytes that a process held at most (Linux)."""
    status = (process / "status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, default=2_000_000)
    parser.add_argument("--files", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        paths = [Path(name) / f"records-{number}.parquet" for number in range(chosen.files)]
        each = chosen.records // chosen.files
        for number, path in enumerate(paths):
            # In a process of its own: what a child holds is counted from what its parent did.
            writer = multiprocessing.get_context("spawn").Process(
                target=write, args=(path, each, number * each)
            )
            writer.start()
            writer.join()
        with children() as readers:
            measure(paths, Path(name), readers)  # that starts them
            rounds = [
                (floor(paths[0]), measure(paths, Path(name), readers)) for _ in range(chosen.rounds)
            ]
    found = rounds[0][1]
    records = found["records"]
    print(f"{records:,.0f} records in {len(paths)}, {found['file'] / records:.0f} bytes each there")
    for least, found in rounds:
        took = found["processor"] / records
        print(
            f"{records / found['seconds'] / 1e6:.2f} million records/s; processor time of each "
            f"{took * 1e6:.2f} us, floor {least * 1e6:.2f} us: {took / least:.2f} times"
        )
    print(f"{found['memory'] / 2**20:.0f} MiB at most in one process, {os.cpu_count()} processors")
    print(f"{found['bytes'] / records:.1f} bytes of index each")


if __name__ == "__main__":
    main()
