"""A directory that is the user's alone, for as long as somebody uses it.

    BASE/stemma-run-TOKEN/lock      held (flock) by whoever uses the rest
    BASE/stemma-run-TOKEN/NAME/...  a tree, read-only

A run's directory is stale when nobody holds its lock, whatever became of who made it,
and the next one who makes one removes it. It gets its name when its lock is held.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from stemma_attestations.errors import BytesDiffer
from stemma_attestations.manifest import Entry, Manifest
from stemma_registry import directory
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress, copy_hashed
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import BlobMissing, Damaged, Refused, Unavailable

RUN, NEW, LOCK = "stemma-run-", ".stemma-new-", "lock"
_OURS = re.compile(rf"({RUN}|{re.escape(NEW)})[0-9a-f]{{16}}\Z")
DIRECTORY_MODE, FILE_MODE = 0o500, 0o400
_OPEN = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_MAKE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC

# Writes the bytes of an entry to a new file, or raises.
Fetch = Callable[[Entry, BinaryIO, Progress | None], None]


def base_for(home: Home, environ: Mapping[str, str], size: int) -> Path:
    """Where private directories go: the user's run-time directory if `size` fits, else the home.

    A run-time directory is memory: what takes more than half of its room goes to the home.
    """
    runtime = environ.get("XDG_RUNTIME_DIR")
    if runtime and os.path.isabs(runtime):
        with contextlib.suppress(OSError, Refused):
            check_guarded(Path(runtime))
            room = os.statvfs(runtime)
            if size <= room.f_bavail * room.f_frsize // 2:
                return Path(runtime) / "stemma"
    return home.serving


class PrivateDirectory:
    """A new directory below `base`, of mode 0700, with a tree for each name put into it.

    Raises Refused where others could change what is in it, Unavailable.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.path = base / f"{RUN}{secrets.token_hex(8)}"
        self._made_by = os.getpid()
        try:
            _make_base(base)
            _sweep(base)
            self.lock = self._make()
        except OSError as error:
            raise Unavailable(f"cannot make a directory in {base}: {error.strerror}") from error

    def _make(self) -> int:
        new = self.base / f"{NEW}{secrets.token_hex(8)}"
        os.mkdir(new, 0o700)
        lock = -1
        try:
            lock = os.open(new / LOCK, _MAKE, 0o600)
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.rename(new, self.path)
        except OSError:
            if lock >= 0:
                os.close(lock)
            _remove(new)
            raise
        return lock

    def put(
        self, name: str, manifest: Manifest, fetch: Fetch, progress: Progress | None = None
    ) -> Path:
        """Write a tree: the manifest's files and nothing else, each hashed while it is written.

        Raises BytesDiffer for bytes that are not the manifest's, and Unavailable.
        """
        root = self.path / name
        try:
            _write_tree(root, manifest, fetch, progress)
        except (Damaged, BlobMissing) as error:
            raise BytesDiffer(f"the bytes are not those that were judged: {error}") from error
        except OSError as error:
            raise Unavailable(f"cannot write {root}: {error.strerror or error}") from error
        return root

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """A folder that trees are put into, read-only from the end of the block on."""
        root = self.path / name
        try:
            root.mkdir(mode=0o700)
            yield root
            root.chmod(DIRECTORY_MODE)
        except OSError as error:
            raise Unavailable(f"cannot write {root}: {error.strerror or error}") from error

    def close(self) -> None:
        """Remove everything. What cannot be removed now is stale, and removed later.

        A fork of the process that made it only lets go of it.
        """
        if self.lock >= 0:
            if os.getpid() == self._made_by:
                _remove(self.path)
            os.close(self.lock)
            self.lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def from_store(store: Store) -> Fetch:
    """Bytes from a store, which hashes them."""

    def fetch(entry: Entry, out: BinaryIO, progress: Progress | None) -> None:
        store.fetch(entry.sha256, out, progress)

    return fetch


def from_directory(root: Path) -> Fetch:
    """Bytes from a directory, hashed where they arrive, following no link below it."""

    def fetch(entry: Entry, out: BinaryIO, progress: Progress | None) -> None:
        try:
            source = directory.open_beneath(root, entry.path)
        except OSError as error:
            raise Damaged(f"{entry.path}: {error.strerror}") from error
        with source:
            if not stat.S_ISREG(os.fstat(source.fileno()).st_mode):
                raise Damaged(f"{entry.path} is not a regular file")
            found, size = copy_hashed(source, out.fileno(), entry.size, progress)
        if (found, size) != (entry.sha256, entry.size):
            raise Damaged(f"{entry.path} changed")

    return fetch


def check_guarded(path: Path) -> None:
    """Refuse a directory that somebody else could replace, or one above it. Raises OSError."""
    real = path.resolve(strict=True)
    user = os.geteuid()
    for one in (real, *real.parents):
        found = os.stat(one)
        if found.st_uid not in (0, user):
            raise Refused(f"{path}: {one} belongs to another user, who could replace what is there")
        # A group that is the user's own (its number is the user's), or root's, is nobody else.
        shared = found.st_mode & stat.S_IWGRP and found.st_gid not in (0, user)
        if (found.st_mode & stat.S_IWOTH or shared) and not found.st_mode & stat.S_ISVTX:
            raise Refused(
                f"{path}: others may write to {one}, and replace what is there (chmod +t)"
            )


def _make_base(base: Path) -> None:
    os.makedirs(base.parent, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        os.mkdir(base, 0o700)
    check_guarded(base)


def _sweep(base: Path) -> None:
    """Remove what was left behind by those who were killed."""
    user = os.geteuid()
    for name in os.listdir(base):
        path = base / name
        with contextlib.suppress(OSError):
            found = os.lstat(path)
            if not _OURS.match(name) or not stat.S_ISDIR(found.st_mode) or found.st_uid != user:
                continue
            aged = time.time() - found.st_mtime > LIMITS.stale_temporary_seconds
            if name.startswith(RUN):
                with _unlocked(path):
                    _remove(path)
            elif aged:
                _remove(path)


@contextlib.contextmanager
def _unlocked(path: Path) -> Iterator[None]:
    """Hold the lock of a directory nobody uses. Raises BlockingIOError where somebody does."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        yield  # it is made before the directory has its name: somebody was removing this one
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _remove(path: Path) -> None:
    """Remove a tree, its lock last, following no link."""
    with contextlib.suppress(OSError):
        for _, _, _, fd in os.fwalk(path, follow_symlinks=False):
            os.fchmod(fd, 0o700)
    with contextlib.suppress(OSError):
        for inside in os.listdir(path):
            if inside != LOCK:
                shutil.rmtree(path / inside, ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


def _write_tree(root: Path, manifest: Manifest, fetch: Fetch, progress: Progress | None) -> None:
    if progress is not None:
        progress.expect(manifest.size)
    root.mkdir(mode=0o700)
    for parent in sorted({(root / entry.path).parent for entry in manifest.entries}):
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(entry: Entry) -> None:
        fd = os.open(root / entry.path, _MAKE, 0o600)
        with os.fdopen(fd, "w+b", buffering=0) as out:
            fetch(entry, out, progress)
            if os.fstat(fd).st_size != entry.size:
                raise Damaged(f"{entry.path} has another size")
            os.fchmod(fd, FILE_MODE)

    largest_first = sorted(manifest.entries, key=lambda entry: -entry.size)
    for _ in directory.in_parallel(write, largest_first, LIMITS.transfers):
        pass
    for _, _, _, fd in os.fwalk(root, topdown=False):
        os.fchmod(fd, DIRECTORY_MODE)
