"""A store around a remote store: blobs that were read are kept on the local disk.

    FOLDER/blobs/sha256/ab/cdef...   copies, the time of the last use as their mtime
    FOLDER/tmp/                      copies in the making, each locked by whoever makes it
    FOLDER/total                     bytes of all copies, or more; locked while it changes

A copy is checked whenever it is read. A wrong one is thrown away and the store
is asked; a cache that cannot be read or written is as good as none. So nothing
here is fsynced, and nothing here is ever the reason of an error.

Bytes come from the cache without asking the store whether it still has the
blob: that is what makes a repeated pull fast. Whether a blob is there (`size`,
`keep`, `blobs`) is answered by the store alone, and who looks after the store
(audit, replicate, gc) uses it without a cache.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, Stray, hashed, pieces
from stemma_registry.blobs.local import LocalStore
from stemma_registry.blobs.retrying import Onward
from stemma_registry.blobs.streams import Progress, Tap, clone, write_all
from stemma_registry.errors import BlobMissing, Damaged, StoreError, Temporary

# A part of a larger blob comes from the store, which can check it without the rest.
RANGE_FROM_COPY = 16 * 1024 * 1024
FREED = 0.1  # of the limit is freed beyond what is needed, so that not every copy frees some
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_SENT = 64 * 1024 * 1024  # bytes that one call of the kernel copies


class Cached:
    """A Store that reads blobs from `folder` where it has copies of those of `below`.

    The copies take at most `limit_bytes`; 0 keeps none. Those used longest ago go
    first. Blobs larger than the limit are not kept.
    """

    def __init__(self, below: Store, folder: Path, limit_bytes: int) -> None:
        self.below = below
        self.folder = folder
        self.limit = limit_bytes
        self._copies = LocalStore(folder)
        self._swept = False

    @property
    def location(self) -> str:
        return self.below.location

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        return self.below.put(source, digest, size)

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        return self.below.receive(source, size, progress, tap)

    def keep(self, digest: Digest, size: int) -> bool:
        return self.below.keep(digest, size)

    @contextlib.contextmanager
    def batch(self) -> Iterator[Store]:
        with self.below.batch() as inner:
            yield self if inner is self.below else Cached(inner, self.folder, self.limit)

    def size(self, digest: Digest) -> int | None:
        return self.below.size(digest)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        source = self._checked(digest)
        if source is None:
            yield from self._kept_on_the_way(digest)
            return
        with source:
            try:
                yield from hashed(pieces(source), digest)
            except (Damaged, OSError) as error:
                # It was right a moment ago, and some of it has been handed out.
                self._drop(digest)
                raise Temporary(f"the cached copy of blob {digest} changed: try again") from error

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        counted, start = Onward.over(progress), out.tell()
        if self.limit > 0:
            try:
                self._copies.fetch(digest, out, counted and counted.anew())
                self._used(digest)
                return
            except Damaged:
                self._drop(digest)
            except (BlobMissing, StoreError):
                pass  # no copy, or none that can be read
            out.seek(start)
            out.truncate()
        self.below.fetch(digest, out, counted and counted.anew())
        self._keep_file(digest, out)

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        source = self._checked(digest, RANGE_FROM_COPY)
        if source is None:
            return self.below.read_range(digest, start, length)
        try:
            with source:
                data = b"".join(hashed(pieces(source), digest))
        except (Damaged, OSError):
            return self.below.read_range(digest, start, length)
        return data[start : start + length]

    def blobs(self) -> Iterator[Digest]:
        return self.below.blobs()

    def delete(self, digest: Digest) -> None:
        # Again afterwards, for whoever was reading it meanwhile.
        self._drop(digest)
        try:
            self.below.delete(digest)
        finally:
            self._drop(digest)

    def create(self, key: str, data: bytes) -> None:
        self.below.create(key, data)

    def read(self, key: str) -> bytes:
        return self.below.read(key)

    def replace(self, key: str, data: bytes) -> None:
        self.below.replace(key, data)

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        return self.below.swap(key, old, data)

    def remove(self, key: str) -> None:
        self.below.remove(key)

    def settle(self, key: str) -> None:
        self.below.settle(key)

    def keys(self, prefix: str) -> Iterator[str]:
        return self.below.keys(prefix)

    def strays(self) -> Iterator[Stray]:
        return self.below.strays()

    def sweep(self, older_than_seconds: float) -> int:
        with contextlib.suppress(OSError):
            self._sweep_unfinished()
        return self.below.sweep(older_than_seconds)

    # Reading copies.

    def _checked(self, digest: Digest, most: int | None = None) -> BinaryIO | None:
        """The copy, whole and right, at its beginning; None where there is none of that kind.

        It is read before any of it is handed out: what was handed out cannot be taken back.
        """
        if self.limit <= 0:
            return None
        try:
            source = _open(self._path(digest))
        except OSError:
            return None
        try:
            found = os.fstat(source.fileno())
            if stat.S_ISREG(found.st_mode) and (most is None or found.st_size <= most):
                for _ in hashed(pieces(source), digest):
                    pass
                source.seek(0)
                self._used(digest)
                return source
        except Damaged:
            self._drop(digest)
        except OSError:
            pass  # a disk that cannot read it
        source.close()
        return None

    def _used(self, digest: Digest) -> None:
        with contextlib.suppress(OSError):
            os.utime(self._path(digest))

    def _drop(self, digest: Digest) -> None:
        with contextlib.suppress(OSError):
            self._path(digest).unlink()

    def _path(self, digest: Digest) -> Path:
        return self.folder / "blobs" / digest.algorithm / digest.value[:2] / digest.value[2:]

    # Making copies.

    def _kept_on_the_way(self, digest: Digest) -> Iterator[bytes]:
        """The store's chunks; what they make together is kept if it is what it should be."""
        copy = _Copy.begin(self)
        try:
            for chunk in self.below.chunks(digest):
                copy.write(chunk)
                yield chunk
            copy.finish(digest)  # the store ends without an error only if all was right
        finally:
            copy.close()

    def _keep_file(self, digest: Digest, out: BinaryIO) -> None:
        """Keep a copy of what was fetched into a file."""
        copy = _Copy.begin(self)
        try:
            out.flush()
            copy.take(out.fileno())
            copy.finish(digest)
        except OSError:
            pass  # `out` is no file of the system
        finally:
            copy.close()

    def _place(self, digest: Digest, temporary: Path, size: int) -> None:
        """Give a finished copy its name, with room made for it. Raises OSError."""
        path = self._path(digest)
        path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(self.folder / "total") as fd:
            if path.exists():
                return
            # Counted before it is there: a process that is killed here leaves too large a total.
            total = _number(fd) + size
            if total > self.limit:
                total = self._make_room(size) + size
            os.ftruncate(fd, 0)
            os.pwrite(fd, str(total).encode(), 0)
            os.replace(temporary, path)

    def _make_room(self, size: int) -> int:
        """Delete what was used longest ago, until there is room; the bytes that are left."""
        copies = sorted(self._all(), key=lambda found: found[1].st_mtime_ns)
        total = sum(found.st_size for _, found in copies)
        wanted = max(0, int(self.limit * (1 - FREED)) - size)
        for path, found in copies:
            if total <= wanted:
                break
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            total -= found.st_size
        return total

    def _all(self) -> Iterator[tuple[str, os.stat_result]]:
        for folder, _, names in os.walk(self.folder / "blobs"):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(FileNotFoundError):  # dropped meanwhile
                    yield path, os.stat(path, follow_symlinks=False)

    def _sweep_unfinished(self) -> None:
        """Remove the temporary files of processes that were killed. Raises OSError."""
        for found in os.scandir(self.folder / "tmp"):
            with contextlib.suppress(OSError), _open(Path(found.path)) as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # its maker is gone
                os.unlink(found.path)

    def _temporary(self) -> tuple[Path, int]:
        """A new file, locked while it is being made. Raises OSError."""
        tmp = self.folder / "tmp"
        tmp.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self._swept:
            self._swept = True
            self._sweep_unfinished()
        path = tmp / secrets.token_hex(16)
        fd = os.open(path, _NEW, 0o600)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
        except OSError:
            os.close(fd)
            path.unlink()
            raise
        return path, fd


class _Copy:
    """A copy in the making. Whatever fails ends it silently."""

    def __init__(self, cache: Cached, path: Path, fd: int) -> None:
        self._cache, self._path, self._fd, self._size = cache, path, fd, 0

    @classmethod
    def begin(cls, cache: Cached) -> _Copy:
        """A new one; one that keeps nothing where that cannot be."""
        if cache.limit > 0:
            with contextlib.suppress(OSError):
                return cls(cache, *cache._temporary())
        return cls(cache, Path(), -1)

    def write(self, chunk: bytes) -> None:
        """Add a chunk."""
        self._try(len(chunk), lambda: write_all(self._fd, chunk))

    def take(self, source: int) -> None:
        """Make it a copy of a file, by its descriptor. Raises OSError where that is none."""
        size = os.fstat(source).st_size

        def copy() -> None:
            if clone(source, self._fd):
                return
            at = 0
            while at < size and (count := os.sendfile(self._fd, source, at, _SENT)):
                at += count

        self._try(size, copy)

    def finish(self, digest: Digest) -> None:
        """It is whole and right: give it its name."""
        if self._fd >= 0:
            self._try(0, lambda: self._cache._place(digest, self._path, self._size))

    def close(self) -> None:
        """End it; without its name it is gone."""
        if self._fd >= 0:
            with contextlib.suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            self._fd = -1

    def _try(self, count: int, job: Callable[[], None]) -> None:
        self._size += count
        if self._fd < 0:
            return
        if self._size > self._cache.limit:
            self.close()
            return
        try:
            job()
        except OSError:
            self.close()


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[int]:
    """The file, open, and nobody else in this block. Raises OSError."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield fd
    finally:
        os.close(fd)


def _open(path: Path) -> BinaryIO:
    """A file to read; it does not wait for whoever writes into a pipe. Raises OSError."""
    return os.fdopen(os.open(path, _READ), "rb", buffering=0)


def _number(fd: int) -> int:
    """The total that a file says; where it says none, so much that it is counted anew."""
    text = os.pread(fd, 32, 0)
    return int(text) if text.isdigit() else 1 << 62
