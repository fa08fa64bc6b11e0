"""A store in a local directory.

    blobs/sha256/ab/cdef...        immutable
    ledger/000/000/000123.json     immutable, created with link(2)
    status/checkpoint.json         replaced by rename
    tmp/                           what is being written

Durability: write to tmp/, fsync the file, rename or link it into place, fsync
the directory. A directory that had to be made is fsynced in its parent too.
No component below the root is followed if it is a symbolic link.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import hashed, pieces
from stemma_registry.errors import (
    AlreadyThere,
    BlobMissing,
    Damaged,
    NotFound,
    StoreError,
    Unavailable,
)

_DIR = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEY = re.compile(r"(?:ledger|status)(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+\Z")
_HEX2, _HEX62 = re.compile(r"[0-9a-f]{2}\Z"), re.compile(r"[0-9a-f]{62}\Z")


class LocalStore:
    """A store under `root`, which must exist."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[tuple[str, ...]] = set()  # directories whose names are on disk

    @property
    def location(self) -> str:
        return f"file:{os.path.realpath(self.root)}"

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        parts = _blob_parts(digest)
        with _wrapped(f"cannot store blob {digest.short}"), self._directory(parts[:-1], True) as d:
            if _file_size(parts[-1], d) == size:
                # Another writer may have been cut off between rename and fsync.
                _sync_file(parts[-1], d)
                os.fsync(d)
                return False
            chunks = hashed(pieces(source), digest, size)
            self._write(
                chunks, lambda tmp, t: os.replace(tmp, parts[-1], src_dir_fd=t, dst_dir_fd=d)
            )
            os.fsync(d)
            return True

    def size(self, digest: Digest) -> int | None:
        parts = _blob_parts(digest)
        with _wrapped(f"cannot look for blob {digest.short}"):
            try:
                with self._directory(parts[:-1]) as d:
                    return _file_size(parts[-1], d)
            except FileNotFoundError:
                return None

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        with _wrapped(f"cannot read blob {digest.short}"):
            try:
                source = self._open(_blob_parts(digest))
            except FileNotFoundError as error:
                raise BlobMissing(f"the store has no blob {digest}") from error
            with source:
                yield from hashed(pieces(source), digest)

    def blobs(self) -> Iterator[Digest]:
        for first in self._list(("blobs", "sha256")):
            if not _HEX2.match(first):
                continue
            for rest in self._list(("blobs", "sha256", first)):
                if _HEX62.match(rest):
                    yield Digest("sha256", first + rest)

    def create(self, key: str, data: bytes) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot create {key}"), self._directory(parts[:-1], True) as d:
            try:
                self._write([data], lambda tmp, t: _link(tmp, t, parts[-1], d))
            except FileExistsError as error:
                os.fsync(d)  # whoever builds on it must not outlive it
                raise AlreadyThere(f"{key} is already there") from error
            os.fsync(d)

    def read(self, key: str) -> bytes:
        with _wrapped(f"cannot read {key}"):
            try:
                with self._open(_key_parts(key)) as source:
                    return source.read()
            except FileNotFoundError as error:
                raise NotFound(f"the store has no {key}") from error

    def replace(self, key: str, data: bytes) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot write {key}"), self._directory(parts[:-1], True) as d:
            self._write(
                [data], lambda tmp, t: os.replace(tmp, parts[-1], src_dir_fd=t, dst_dir_fd=d)
            )
            os.fsync(d)

    def settle(self, key: str) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot settle {key}"):
            try:
                with self._directory(parts[:-1], True) as d:
                    _sync_file(parts[-1], d)
                    os.fsync(d)
            except FileNotFoundError as error:
                raise NotFound(f"the store has no {key}") from error

    def keys(self, prefix: str) -> Iterator[str]:
        # A folder sorts as its name with the slash behind it, as its keys do.
        stack = ["status/", "ledger/"]
        while stack:
            path = stack.pop()
            if not path.endswith("/"):
                yield path
                continue
            below = [path + name for name in self._list(tuple(path[:-1].split("/")), marked=True)]
            stack += sorted(
                (p for p in below if p.startswith(prefix) or prefix.startswith(p)), reverse=True
            )

    def sweep(self, older_than_seconds: float) -> int:
        swept, now = 0, time.time()
        with _wrapped("cannot sweep temporary files"), self._directory(("tmp",), True) as d:
            for name in os.listdir(d):
                with contextlib.suppress(FileNotFoundError):
                    if now - os.stat(name, dir_fd=d, follow_symlinks=False).st_mtime > (
                        older_than_seconds
                    ):
                        os.unlink(name, dir_fd=d)
                        swept += 1
        return swept

    def _write(self, chunks: Iterator[bytes] | Sequence[bytes], place: _Place) -> None:
        """Write a temporary file durably and let `place` give it its name."""
        name = secrets.token_hex(16)
        with self._directory(("tmp",), True) as tmp:
            fd = os.open(name, _NEW, 0o444, dir_fd=tmp)
            try:
                with os.fdopen(fd, "wb") as out:
                    for chunk in chunks:
                        out.write(chunk)
                    out.flush()
                    os.fsync(out.fileno())
                place(name, tmp)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=tmp)

    @contextlib.contextmanager
    def _directory(self, parts: tuple[str, ...], make: bool = False) -> Iterator[int]:
        """A descriptor of a directory below the root, walked without following links."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, part in enumerate(parts, 1):
                if make and parts[:depth] not in self._durable:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(part, 0o755, dir_fd=fd)
                    os.fsync(fd)  # also for one that another process made a moment ago
                    self._durable.add(tuple(parts[:depth]))
                child = os.open(part, _DIR, dir_fd=fd)
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    def _open(self, parts: tuple[str, ...]) -> BinaryIO:
        with self._directory(parts[:-1]) as d:
            fd = os.open(parts[-1], _READ, dir_fd=d)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Damaged(f"{'/'.join(parts)} in the store is not a regular file")
        return os.fdopen(fd, "rb")

    def _list(self, parts: tuple[str, ...], marked: bool = False) -> list[str]:
        """The names in a directory, sorted; `marked`, those of directories end with a slash."""
        with _wrapped(f"cannot list {'/'.join(parts)}"):
            try:
                with self._directory(parts) as d, os.scandir(d) as found:
                    return sorted(
                        e.name + "/" * (marked and e.is_dir(follow_symlinks=False)) for e in found
                    )
            except (FileNotFoundError, NotADirectoryError):
                return []


_Place = Callable[[str, int], None]


def _blob_parts(digest: Digest) -> tuple[str, ...]:
    if digest.algorithm != "sha256":
        raise StoreError(f"blobs are named by SHA-256, not by {digest.algorithm}")
    return ("blobs", "sha256", digest.value[:2], digest.value[2:])


def _key_parts(key: str) -> tuple[str, ...]:
    if not _KEY.match(key):
        raise StoreError(f"not a key of the store: {key!r:.80}")
    return tuple(key.split("/"))


def _file_size(name: str, directory: int) -> int | None:
    try:
        found = os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _sync_file(name: str, directory: int) -> None:
    fd = os.open(name, _READ, dir_fd=directory)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _link(tmp: str, tmp_directory: int, name: str, directory: int) -> None:
    os.link(tmp, name, src_dir_fd=tmp_directory, dst_dir_fd=directory, follow_symlinks=False)


@contextlib.contextmanager
def _wrapped(doing: str) -> Iterator[None]:
    """Turn what the operating system says into our errors."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Damaged(f"{doing}: a symbolic link inside the store") from error
        raise Unavailable(f"{doing}: {error.strerror or error}") from error
