"""How fast the records of a Parquet file are indexed, and in how much memory.

    python -m benchmarks.records [--records N] [--folder FOLDER]

Rows of about 400 bytes in five columns, written by pyarrow with its defaults. Measured is what
`stemma index` does with one file: it is fetched from a local store, read by processes, and its
sorted runs are stored. Wall clock means little on a busy machine, so the processor time is
printed beside it.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from stemma_attestations.manifest import Entry, Manifest
from stemma_registry.blobs.local import LocalStore
from stemma_registry.records.building import Builder, Wish
from stemma_registry.records.children import Children, children
from stemma_registry.records.keys import NO_KEY

GROUP = 100_000  # rows of a row group


def write(path: Path, count: int) -> None:
    """A seeded file of `count` records."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng = np.random.default_rng(1)
    words = np.array([rng.bytes(4).hex() for _ in range(5_000)])
    writer: Any = None
    for start in range(0, count, GROUP):
        size = min(GROUP, count - start)
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


def measure(path: Path, folder: Path, readers: Children) -> dict[str, float]:
    """Index a file once: seconds, processor seconds of the children, and records."""
    (folder / "store").mkdir(exist_ok=True)
    store, size = LocalStore(folder / "store"), path.stat().st_size
    with open(path, "rb") as source:
        manifest = Manifest.of([Entry(path.name, size, store.receive(source, size))])
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        started = time.perf_counter()
        built = Builder(store, Path(scratch), readers, Wish(NO_KEY)).build(manifest, {})
        seconds = time.perf_counter() - started
    memory = max(_peak(child) for child in Path("/proc").glob("[0-9]*") if _is_ours(child))
    index = sum(built.sizes.values())
    return {
        "records": built.shards[0].records,
        "seconds": seconds,
        "bytes": index,
        "file": size,
        "memory": memory,
    }


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
    parser.add_argument("--folder", type=Path)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as name:
        path = Path(name) / "records.parquet"
        # In a process of its own: what a child holds is counted from what its parent did.
        writer = multiprocessing.get_context("spawn").Process(
            target=write, args=(path, chosen.records)
        )
        writer.start()
        writer.join()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with children() as readers:
            found = measure(path, Path(name), readers)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
    records = found["records"]
    processor = used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime
    print(f"{records:,.0f} records, {found['file'] / records:.0f} bytes each in the file")
    print(f"{records / found['seconds'] / 1e6:.2f} million records/s")
    print(f"{processor / records * 1e6:.2f} us of processor time each, {os.cpu_count()} processors")
    print(f"{found['memory'] / 2**20:.0f} MiB at most in one process")
    print(f"{found['bytes'] / records:.1f} bytes of index each")


if __name__ == "__main__":
    main()
