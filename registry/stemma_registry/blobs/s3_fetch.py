"""Fetching a blob from a bucket into a file.

A large blob comes in ranges, several at once, each written where it belongs as
it arrives. Its digest is taken from the file, in order, behind the ranges that
are complete: so nothing is held in memory, and what is hashed is what is kept.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, wait
from typing import BinaryIO

from stemma_registry.blobs.s3_bucket import Bucket, Range, again
from stemma_registry.blobs.streams import CHUNK, Progress
from stemma_registry.errors import Temporary

RANGE = 32 * 1024 * 1024  # of one request: with small ones the server works more
AT_ONCE = 4  # ranges of one blob under way


def into_file(bucket: Bucket, key: str, out: BinaryIO, progress: Progress | None) -> str | None:
    """Write an object to the end of a file; the SHA-256 of what is there now, as hex.

    None, and nothing was done, where `out` is no file that can be read again.
    Raises NotFound, Temporary, and OSError where the file cannot be written.
    """
    try:
        fd = out.fileno()
    except (OSError, io.UnsupportedOperation):
        return None
    if not out.readable():
        return None
    out.flush()
    begin = out.tell()
    first = _Part(bucket, key, 0)
    again(lambda: first.arrive(fd, begin))
    state = hashlib.sha256()
    buffer = memoryview(bytearray(min(CHUNK, max(1, first.total))))
    position = 0
    for end in _arrivals(first, fd, begin):
        while position < end:
            wanted = buffer[: min(len(buffer), end - position)]
            count = os.preadv(fd, [wanted], begin + position)
            if count == 0:
                raise Temporary(f"cannot read {key}: the file it was written to was cut off")
            state.update(wanted[:count])
            position += count
            if progress is not None:
                progress(count)
    out.seek(begin + position)
    return state.hexdigest()


class _Part:
    """One range of an object on its way into a file; what broke off is taken up there."""

    def __init__(self, bucket: Bucket, key: str, start: int, first: _Part | None = None) -> None:
        self.bucket, self.key, self.start, self.position = bucket, key, start, start
        self.total: int = first.total if first else 0
        self.etag: str | None = first.etag if first else None

    @property
    def end(self) -> int:
        """Behind its last byte."""
        return min(self.start + RANGE, self.total)

    def arrive(self, fd: int, begin: int) -> None:
        """Write what is still missing of it. Raises NotFound, Temporary, OSError."""
        known = self.etag is not None
        length = self.start + RANGE - self.position
        with self.bucket.range(self.key, self.position, length, self.etag) as found:
            if known and found.total != self.total:
                raise Temporary(f"cannot read {self.key}: it was replaced while it was read")
            self.total, self.etag = found.total, found.etag
            self._write(found, fd, begin)

    def _write(self, found: Range, fd: int, begin: int) -> None:
        for data in found.pieces(CHUNK):
            view = memoryview(data)
            while view:
                count = os.pwrite(fd, view, begin + self.position)
                view = view[count:]
                self.position += count


def _arrivals(first: _Part, fd: int, begin: int) -> Iterator[int]:
    """How far everything has come, each time that is further. Nobody writes any more at the end."""
    yield first.end
    parts = (
        _Part(first.bucket, first.key, start, first) for start in range(RANGE, first.total, RANGE)
    )
    waiting: deque[tuple[_Part, Future[None]]] = deque()

    def begin_next() -> None:
        part = next(parts, None)
        if part is not None:
            job = first.bucket.pool.submit(again, lambda: part.arrive(fd, begin))
            waiting.append((part, job))

    try:
        for _ in range(AT_ONCE):
            begin_next()
        while waiting:
            part, job = waiting.popleft()
            try:
                job.result()
            finally:
                wait([job])
            begin_next()
            yield part.end
    finally:
        # The file is closed next, and its number given to another.
        for _, job in waiting:
            job.cancel()
        wait([job for _, job in waiting])
