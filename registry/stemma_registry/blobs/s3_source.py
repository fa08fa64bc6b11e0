"""Reading what is to be uploaded: once, in parts, by several threads."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.s3_bucket import Bucket
from stemma_registry.blobs.s3_upload import part_size
from stemma_registry.blobs.streams import CHUNK, Progress, Tap, beside
from stemma_registry.errors import Damaged


def survey(
    bucket: Bucket,
    source: BinaryIO,
    size: int,
    progress: Progress | None = None,
    tap: Tap | None = None,
) -> tuple[Digest, list[bytes]]:
    """The digest of `size` bytes and of each part, in one pass on two threads.

    Raises Damaged where there are more bytes or fewer.
    """
    state, room, waiting = hashlib.sha256(), bucket.room, list[Future[bytes]]()

    def part_digest(data: bytes, taken: int) -> bytes:
        try:
            return hashlib.sha256(data).digest()
        finally:
            room.give(taken)

    with beside(tap() if tap is not None else None) as hand:
        for length in lengths(size, part_size(size)):
            taken = room.take(length)
            try:
                data = exactly(source, length)
                waiting.append(bucket.pool.submit(part_digest, data, taken))
            except BaseException:
                room.give(taken)
                raise
            hand(memoryview(data))
            state.update(data)
            if progress is not None:
                progress(length)
    if source.read(1):
        raise Damaged(f"a file of {size} bytes has another size now")
    return Digest("sha256", state.hexdigest()), [future.result() for future in waiting]


def lengths(size: int, count: int) -> Iterator[int]:
    """The lengths of the parts of a blob, each `count` bytes but the last."""
    for start in range(0, size, count):
        yield min(count, size - start)


def read_up_to(source: BinaryIO, limit: int, piece: int = CHUNK) -> bytes:
    """At most `limit` bytes, `piece` at a time; fewer only at the end."""
    kept, left = [], limit
    while left and (data := source.read(min(left, piece))):
        kept.append(data)
        left -= len(data)
    return kept[0] if len(kept) == 1 else b"".join(kept)


def exactly(source: BinaryIO, length: int) -> bytes:
    """So many bytes. Raises Damaged where there are fewer."""
    data = read_up_to(source, length, length)
    if len(data) != length:
        raise Damaged("a file became shorter while it was read")
    return data


def reader(source: BinaryIO) -> Callable[[int, int], bytes]:
    """A function for many threads: the bytes at an offset from where the source stands."""
    start = source.tell()
    try:
        fd = source.fileno()
    except (OSError, io.UnsupportedOperation):
        lock = threading.Lock()

        def seek_and_read(offset: int, length: int) -> bytes:
            with lock:
                source.seek(start + offset)
                return exactly(source, length)

        return seek_and_read

    def read_at(offset: int, length: int) -> bytes:
        data = os.pread(fd, length, start + offset)
        if len(data) == length:
            return data
        return exactly(_At(fd, start + offset), length)  # type: ignore[arg-type]  # interrupted: the rest, in pieces

    return read_at


class _At(io.RawIOBase):
    """A file from an offset on, read without moving anybody's position."""

    def __init__(self, fd: int, offset: int) -> None:
        self._fd, self._offset = fd, offset

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = os.pread(self._fd, len(buffer), self._offset)
        buffer[: len(data)] = data
        self._offset += len(data)
        return len(data)
