"""`python -m benchmarks`: what the first release can say about its speed."""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.chain import chain_ratios
from benchmarks.measure import HEADER, Ratio, pair, process, wall
from stemma_registry import directory
from stemma_registry.blobs.local import LocalStore

MEGABYTE = 1_000_000


def make_files(root: Path, count: int, size: int) -> list[Path]:
    """Files of random bytes."""
    root.mkdir()
    paths = [root / f"part-{i:04d}.bin" for i in range(count)]
    for path in paths:
        path.write_bytes(os.urandom(size))
    return paths


def hash_all(paths: list[Path]) -> None:
    """SHA-256 of the files, one thread a core: the floor of verifying."""

    def one(path: Path) -> str:
        with path.open("rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, paths))


def write_all(paths: list[Path], target: Path) -> None:
    """Read, hash, write and fsync each file: the floor of storing."""
    target.mkdir(exist_ok=True)
    for path in paths:
        state = hashlib.sha256()
        with path.open("rb") as source, (target / path.name).open("wb") as out:
            while chunk := source.read(MEGABYTE):
                state.update(chunk)
                out.write(chunk)
            out.flush()
            os.fsync(out.fileno())


def store_all(root: Path, target: Path) -> None:
    """What a push does with the bytes: hash the tree, then put every blob."""
    target.mkdir()
    store = LocalStore(target)
    manifest = directory.manifest_of(root, directory.observe(directory.scan(root)))
    for entry in manifest.entries:
        with directory.open_beneath(root, entry.path) as source:
            store.put(source, entry.sha256, entry.size)


def byte_ratios(folder: Path) -> list[Ratio]:
    """Hashing and storing, large files and small ones."""
    large = _byte_ratios(folder / "large", "4 x 64 MB", 4, 64 * MEGABYTE)
    return [*large, *_byte_ratios(folder / "small", "2000 x 4 kB", 2000, 4000)]


def _byte_ratios(folder: Path, label: str, count: int, size: int) -> list[Ratio]:
    folder.mkdir()
    root = folder / "data"
    paths = make_files(root, count, size)
    fresh = (folder / f"target{number}" for number in itertools.count())
    return [
        pair(
            f"hash a directory, {label}",
            wall(lambda: directory.observe(directory.scan(root))),
            wall(lambda: hash_all(paths)),
        ),
        pair(
            f"hash and store, {label}",
            wall(lambda: store_all(root, next(fresh))),
            wall(lambda: write_all(paths, next(fresh))),
            runs=3,
        ),
    ]


def start_ratios(folder: Path) -> list[Ratio]:
    """Starting the command."""
    (folder / "tiny").mkdir()
    (folder / "tiny/a").write_text("a")
    os.environ["STEMMA_HOME"] = str(folder / "home")
    stemma = ["-m", "stemma_cli.main"]
    process([*stemma, "init"])()
    process([*stemma, "push", str(folder / "tiny"), "tiny:1", "--kind", "dataset"])()
    verify = [*stemma, "verify", str(folder / "tiny"), "--as", "tiny:1"]
    subprocess.run(["git", "init", "-q", str(folder / "untagged")], check=True)
    floor = ["-c", "import click, sqlalchemy"]
    return [
        pair(
            "stemma --help / import click (user CPU)",
            process([*stemma, "--help"], user=True),
            process(["-c", "import click"], user=True),
        ),
        pair(
            "stemma verify DIR / import click, sqlalchemy",
            process(verify),
            process(floor),
        ),
        pair(
            "stemma list / import click, sqlalchemy",
            process([*stemma, "list"]),
            process(floor),
        ),
        pair(
            "stemma tags sync, no tags / import click, sqlalchemy",
            process([*stemma, "tags", "sync", str(folder / "untagged")]),
            process(floor),
        ),
    ]


def main() -> None:
    """Measure everything and print a table."""
    print(f"Python {platform.python_version()}, {os.cpu_count()} cores")
    print(HEADER)
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as name:
        folder = Path(name)
        for measure in (start_ratios, byte_ratios, chain_ratios):
            for ratio in measure(folder):
                print(ratio.line(), flush=True)


if __name__ == "__main__":
    main()
