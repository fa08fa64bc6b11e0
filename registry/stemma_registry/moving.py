"""Blobs from one store to another: as a stream that is hashed on the way, in little memory."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.errors import BlobMissing


class Reader(io.RawIOBase):
    """A blob of a store as a file that is read once, from front to back.

    The store is asked when the first byte is wanted. Reading raises what
    `Store.chunks` raises.
    """

    def __init__(self, store: Store, digest: Digest, progress: Progress | None = None) -> None:
        self._store, self._digest, self._progress = store, digest, progress
        self._chunks: Iterator[bytes] | None = None
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._chunks is None:
            self._chunks = self._store.chunks(self._digest)
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        if self._progress is not None:
            self._progress(count)
        return count


def move(
    source: Store, target: Store, digest: Digest, size: int, progress: Progress | None = None
) -> bool:
    """Put a blob of one store into the other. False if it was there, whole.

    What is there already is not read from the source. Raises what the stores
    raise; Damaged and BlobMissing mean the source.
    """
    return target.put(cast(BinaryIO, Reader(source, digest, progress)), digest, size)


def size_of(store: Store, digest: Digest) -> int:
    """The size of a blob in bytes. Raises BlobMissing."""
    size = store.size(digest)
    if size is None:
        raise BlobMissing(f"the store has no blob {digest}")
    return size
