"""The least that must be done with the bytes: what the store is measured against.

Each does its work in one process that runs already, with no manifest, signature,
ledger or catalogue. Where there is more than one way, `candidates` lists them
and the fastest is taken for the floor.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.datasets import DataSet

PIECE = 1024 * 1024
_RESERVED = 8 * PIECE
_FICLONE = 0x40049409  # linux/fs.h
CORES = os.cpu_count() or 1


def each(job: Callable[[Path], object], paths: Iterable[Path], threads: int) -> None:
    """Do the job for every file, the largest first."""
    largest_first = sorted(paths, key=lambda path: -path.stat().st_size)
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(job, largest_first):
            pass


def hash_file(path: Path) -> str:
    """SHA-256 of one file."""
    with path.open("rb", buffering=0) as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


def hash_all(data: DataSet, threads: int = CORES) -> None:
    """SHA-256 of every file, one hashing thread a core; a large file is not split."""
    each(hash_file, data.paths, threads)


def stat_all(data: DataSet) -> None:
    """`stat` of everything in the tree."""
    for folder, _, names in os.walk(data.root):
        for name in names:
            os.lstat(os.path.join(folder, name))


@dataclass(frozen=True)
class Way:
    """How bytes are copied: with hashing or not, made durable or not, by so many threads."""

    name: str
    threads: int
    copy: Callable[[int, int], None]

    def run(
        self, data: DataSet, target: Path, sync: bool = True, only: list[Path] | None = None
    ) -> None:
        """Copy the files (or `only` some) to a new directory; everything is synced once."""
        paths = data.paths if only is None else only
        folders = {target / path.parent.relative_to(data.root) for path in paths} | {target}
        for folder in sorted(folders):
            folder.mkdir(parents=True, exist_ok=True)

        def one(path: Path) -> None:
            with path.open("rb", buffering=0) as source:
                place = target / path.relative_to(data.root)
                with place.open("x+b", buffering=0) as out:
                    size = os.fstat(source.fileno()).st_size
                    if size >= _RESERVED and self.copy is not clone:
                        os.ftruncate(out.fileno(), size)  # ext4 is faster when it knows
                    self.copy(source.fileno(), out.fileno())
                    if sync:
                        os.fsync(out.fileno())

        each(one, paths, self.threads)
        if sync:
            sync_folders([*folders, target.parent])


def sync_folders(folders: Iterable[Path]) -> None:
    """Make the names in directories durable."""
    for folder in folders:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def sync_tree(root: Path) -> None:
    """Sync every file and folder below `root`: what a peer left out."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]

    def one(path: Path) -> None:
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    each(one, files, 8)
    sync_folders([root, *(path for path in root.rglob("*") if path.is_dir())])


def hash_and_write(source: int, out: int) -> None:
    """Read, hash and write in one thread."""
    state, buffer = hashlib.sha256(), memoryview(bytearray(PIECE))
    while count := os.readv(source, [buffer]):
        state.update(buffer[:count])
        _write(out, buffer[:count])


def hash_beside_write(source: int, out: int) -> None:
    """Read and hash in one thread, write in another, a few buffers between them."""
    state, size = hashlib.sha256(), os.fstat(source).st_size
    if size <= PIECE:
        hash_and_write(source, out)
        return
    free: queue.Queue[memoryview] = queue.Queue()
    for _ in range(4):
        free.put(memoryview(bytearray(PIECE)))
    full: queue.Queue[tuple[memoryview, int] | None] = queue.Queue()
    failed: list[OSError] = []

    def write() -> None:
        while (item := full.get()) is not None:
            buffer, count = item
            try:
                _write(out, buffer[:count])
            except OSError as error:
                failed.append(error)
            free.put(buffer)

    writer = threading.Thread(target=write)
    writer.start()
    while True:
        buffer = free.get()
        count = os.readv(source, [buffer])
        if not count:
            break
        state.update(buffer[:count])
        full.put((buffer, count))
    full.put(None)
    writer.join()
    if failed:
        raise failed[0]


def hash_beside_kernel_copy(source: int, out: int) -> None:
    """Hash in one thread while the kernel copies in another."""
    size = os.fstat(source).st_size
    if size <= PIECE:
        hash_and_write(source, out)
        return
    copier = threading.Thread(target=kernel_copy, args=(source, out))
    copier.start()
    state, buffer, at = hashlib.sha256(), memoryview(bytearray(PIECE)), 0
    while count := os.preadv(source, [buffer], at):
        state.update(buffer[:count])
        at += count
    copier.join()


def kernel_copy(source: int, out: int) -> None:
    """`copy_file_range` of the whole file."""
    at, size = 0, os.fstat(source).st_size
    while at < size:
        count = os.copy_file_range(source, out, min(size - at, 64 * PIECE), at, at)
        if count == 0:
            raise OSError("the file became shorter")
        at += count


def plain_copy(source: int, out: int) -> None:
    """Read and write."""
    buffer = memoryview(bytearray(PIECE))
    while count := os.readv(source, [buffer]):
        _write(out, buffer[:count])


def clone(source: int, out: int) -> None:
    """A reflink. Raises OSError where the file system has none."""
    fcntl.ioctl(out, _FICLONE, source)


def stores() -> list[Way]:
    """Ways to read, hash, write and sync in one pass."""
    return [
        Way(f"{name}, {threads} threads", threads, copy)
        for name, copy in (
            ("hash and write in one thread a file", hash_and_write),
            ("hash beside write", hash_beside_write),
            ("hash beside copy_file_range", hash_beside_kernel_copy),
        )
        for threads in (CORES, 4 * CORES)
    ]


def copies(folder: Path) -> list[Way]:
    """Ways to copy, those that work in `folder`."""
    kinds = [("copy_file_range", kernel_copy), ("read and write", plain_copy)]
    if can_clone(folder):
        kinds.insert(0, ("reflink", clone))
    return [Way(f"{n}, {t} threads", t, copy) for n, copy in kinds for t in (CORES, 4 * CORES)]


def can_clone(folder: Path) -> bool:
    """Whether the file system makes reflinks."""
    one, two = folder / "reflink-1", folder / "reflink-2"
    try:
        one.write_bytes(b"x" * 4096)
        with one.open("rb") as source, two.open("wb") as out:
            clone(source.fileno(), out.fileno())
    except OSError:
        return False
    finally:
        for path in (one, two):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
    return True


def _write(out: int, piece: memoryview) -> None:
    while piece:
        piece = piece[os.write(out, piece) :]
