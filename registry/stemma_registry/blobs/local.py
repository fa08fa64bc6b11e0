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
import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs import streams
from stemma_registry.blobs.contract import Stray, check_removable, hashed, pieces
from stemma_registry.blobs.strays import strays_in
from stemma_registry.blobs.streams import Progress, Tap, copy_hashed, hash_stream, write_all
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
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_KEY = re.compile(r"(?:ledger|status)(?:/[A-Za-z0-9][A-Za-z0-9._-]*)+\Z")
_HEX2, _HEX62 = re.compile(r"[0-9a-f]{2}\Z"), re.compile(r"[0-9a-f]{62}\Z")


class LocalStore:
    """A store under `root`, which must exist."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._durable: set[tuple[str, ...]] = set()  # directories whose names are on disk
        # Of a batch: directories to fsync at its end, and those whose names hang on that.
        self._waiting: set[tuple[str, ...]] | None = None
        self._made: set[tuple[str, ...]] = set()

    @property
    def location(self) -> str:
        return f"file:{os.path.realpath(self.root)}"

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        parts = blob_parts(digest)
        with _wrapped(f"cannot store blob {digest.short}"):
            if self._is_right(parts, digest, size):
                self._settle(parts)
                return False
            with self._temporary(size) as made:
                found, count = hash_stream(source, size, made.write)
                if found != digest or count != size:
                    raise Damaged(f"blob {digest}: the bytes are not those of its name")
                self._name(made, parts)
            return True

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        with _wrapped("cannot store a file"), self._temporary() as made:
            # Hashed is what arrived here, where nobody else writes: what is kept.
            digest, count = copy_hashed(source, made.fd, size, progress, tap)
            if count != size:
                raise Damaged(f"a file of {size} bytes has another size now")
            self._name(made, blob_parts(digest))
        return digest

    def keep(self, digest: Digest, size: int) -> bool:
        parts = blob_parts(digest)
        with _wrapped(f"cannot keep blob {digest.short}"):
            if self.size(digest) != size:
                return False
            try:
                self._settle(parts)
            except FileNotFoundError:
                return False
            return True

    @contextlib.contextmanager
    def batch(self) -> Iterator[LocalStore]:
        inside = LocalStore(self.root)
        inside._durable, inside._waiting = set(self._durable), set()
        yield inside
        with _wrapped("cannot make the stored blobs durable"):
            for parts in sorted(inside._waiting, key=len, reverse=True):
                with self._directory(parts) as d:
                    os.fsync(d)
        self._durable |= inside._made

    def size(self, digest: Digest) -> int | None:
        parts = blob_parts(digest)
        with _wrapped(f"cannot look for blob {digest.short}"):
            try:
                with self._directory(parts[:-1]) as d:
                    return _file_size(parts[-1], d)
            except FileNotFoundError:
                return None

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        with _wrapped(f"cannot read blob {digest.short}"), self._blob(digest) as source:
            yield from hashed(pieces(source), digest)

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        with _wrapped(f"cannot copy blob {digest.short}"), self._blob(digest) as source:
            size = os.fstat(source.fileno()).st_size
            found, _ = copy_hashed(source, out.fileno(), size, progress)
        if found != digest:
            raise Damaged(f"blob {digest}: the bytes are not those of its name")

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        # A local disk reads a blob faster than anybody could keep digests of its parts.
        kept, position = bytearray(), 0
        for chunk in self.chunks(digest):
            low, high = start - position, start + length - position
            kept += chunk[max(0, low) : max(0, high)]
            position += len(chunk)
        return bytes(kept)

    def blobs(self) -> Iterator[Digest]:
        for first in self._list(("blobs", "sha256")):
            if not _HEX2.match(first):
                continue
            for rest in self._list(("blobs", "sha256", first)):
                if _HEX62.match(rest):
                    yield Digest("sha256", first + rest)

    def delete(self, digest: Digest) -> None:
        parts = blob_parts(digest)
        gone, doing = contextlib.suppress(FileNotFoundError), f"cannot delete blob {digest.short}"
        with _wrapped(doing), gone, self._directory(parts[:-1]) as d:
            os.unlink(parts[-1], dir_fd=d)
            os.fsync(d)

    def create(self, key: str, data: bytes) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot create {key}"), self._directory(parts[:-1], True) as d:
            try:
                self._write(data, lambda tmp, t: _link(tmp, t, parts[-1], d))
            except FileExistsError as error:
                os.fsync(d)  # whoever builds on it must not outlive it
                raise AlreadyThere(f"{key} is already there") from error
            os.fsync(d)

    def read(self, key: str) -> bytes:
        with _wrapped(f"cannot read {key}"):
            try:
                with self._open(_key_parts(key)) as source:
                    return b"".join(pieces(source))
            except FileNotFoundError as error:
                raise NotFound(f"the store has no {key}") from error

    def replace(self, key: str, data: bytes) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot write {key}"), self._directory(parts[:-1], True) as d:
            self._write(data, lambda tmp, t: os.replace(tmp, parts[-1], src_dir_fd=t, dst_dir_fd=d))
            os.fsync(d)

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        parts = _key_parts(key)
        with _wrapped(f"cannot write {key}"), self._directory(parts[:-1], True) as d:
            fcntl.flock(d, fcntl.LOCK_EX)  # let go of when the directory is closed
            with contextlib.suppress(NotFound):
                if self.read(key) != old:
                    return False
                old = None
            if old is None:
                self.replace(key, data)
            return old is None

    def remove(self, key: str) -> None:
        parts = _key_parts(check_removable(key))
        gone = contextlib.suppress(FileNotFoundError)
        with _wrapped(f"cannot remove {key}"), gone, self._directory(parts[:-1]) as d:
            os.unlink(parts[-1], dir_fd=d)
            os.fsync(d)

    def settle(self, key: str) -> None:
        parts = _key_parts(key)
        with _wrapped(f"cannot settle {key}"):
            try:
                self._settle(parts)
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

    def strays(self) -> Iterator[Stray]:
        with _wrapped("cannot look for what does not belong into the store"):
            yield from strays_in(self.root)

    def sweep(self, older_than_seconds: float) -> int:
        swept, now = 0, time.time()
        with _wrapped("cannot sweep temporary files"), self._directory(("tmp",), True) as d:
            for name in os.listdir(d):
                with contextlib.suppress(FileNotFoundError):
                    found = os.stat(name, dir_fd=d, follow_symlinks=False)
                    if now - found.st_mtime > older_than_seconds:
                        os.unlink(name, dir_fd=d)
                        swept += 1
        return swept

    def _is_right(self, parts: tuple[str, ...], digest: Digest, size: int) -> bool:
        """Whether the blob is there with the bytes of its name."""
        try:
            with self._open(parts) as found:
                return os.fstat(found.fileno()).st_size == size and (
                    hash_stream(found, size)[0] == digest
                )
        except Damaged:
            return False
        except OSError as error:
            # Not there, a link, or a disk that cannot read it: written anew it is right.
            if error.errno in (errno.ENOENT, errno.ELOOP, errno.EIO):
                return False
            raise

    def _settle(self, parts: tuple[str, ...]) -> None:
        """Make an object durable: whoever wrote it may have been cut off before he did."""
        with self._directory(parts[:-1], True) as d:
            _sync_file(parts[-1], d)
        self._sync(parts[:-1])

    def _name(self, made: _Temporary, parts: tuple[str, ...]) -> None:
        """Make a temporary file durable and give it its place."""
        os.fsync(made.fd)
        with self._directory(parts[:-1], True) as d:
            os.replace(made.name, parts[-1], src_dir_fd=made.directory, dst_dir_fd=d)
        self._sync(parts[:-1])

    def _sync(self, parts: tuple[str, ...]) -> None:
        """Make the names in a directory durable: now, or at the end of the batch."""
        if self._waiting is not None:
            self._waiting.add(parts)
            return
        with self._directory(parts) as d:
            os.fsync(d)

    def _write(self, data: bytes, place: _Place) -> None:
        """Write a small object durably and let `place` give it its name."""
        with self._temporary() as made:
            made.write(memoryview(data))
            os.fsync(made.fd)
            place(made.name, made.directory)

    @contextlib.contextmanager
    def _temporary(self, size: int = 0) -> Iterator[_Temporary]:
        """A new file in tmp/; its name is gone afterwards unless it was given another."""
        name = secrets.token_hex(16)
        with self._directory(("tmp",), True) as directory:
            fd = os.open(name, _NEW, 0o444, dir_fd=directory)
            try:
                streams.reserve(fd, size)
                yield _Temporary(name, fd, directory)
            finally:
                os.close(fd)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(name, dir_fd=directory)

    @contextlib.contextmanager
    def _directory(self, parts: tuple[str, ...], make: bool = False) -> Iterator[int]:
        """A descriptor of a directory below the root, walked without following links."""
        fd = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for depth, part in enumerate(parts, 1):
                if make and parts[:depth] not in self._durable:
                    self._make(fd, parts[:depth])
                child = os.open(part, _DIR, dir_fd=fd)
                os.close(fd)
                fd = child
            yield fd
        finally:
            os.close(fd)

    def _make(self, parent: int, parts: tuple[str, ...]) -> None:
        """Make a directory; its name is durable now, or at the end of the batch."""
        if parts in self._made:
            return
        with contextlib.suppress(FileExistsError):
            os.mkdir(parts[-1], 0o755, dir_fd=parent)
        if self._waiting is not None:
            self._waiting.add(parts[:-1])
            self._made.add(parts)
            return
        os.fsync(parent)  # also for one that another process made a moment ago
        self._durable.add(parts)

    def _blob(self, digest: Digest) -> BinaryIO:
        try:
            return self._open(blob_parts(digest))
        except FileNotFoundError as error:
            raise BlobMissing(f"the store has no blob {digest}") from error

    def _open(self, parts: tuple[str, ...]) -> BinaryIO:
        with self._directory(parts[:-1]) as d:
            fd = os.open(parts[-1], _READ, dir_fd=d)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Damaged(f"{'/'.join(parts)} in the store is not a regular file")
        return os.fdopen(fd, "rb", buffering=0)

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


@dataclass(frozen=True)
class _Temporary:
    """A file that is being written, open for reading too, and the directory it is in."""

    name: str
    fd: int
    directory: int

    def write(self, piece: memoryview) -> None:
        write_all(self.fd, piece)


_Place = Callable[[str, int], None]


def blob_parts(digest: Digest) -> tuple[str, ...]:
    """Where a blob is, below the root. Raises StoreError."""
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
