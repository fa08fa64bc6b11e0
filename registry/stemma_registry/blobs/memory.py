"""A store in memory, for tests: same contract, no durability."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, Stray, check_removable, hashed, pieces
from stemma_registry.blobs.streams import CHUNK, Progress, Tap, write_chunks
from stemma_registry.errors import AlreadyThere, BlobMissing, Damaged, NotFound


class MemoryStore:
    """Dictionaries behind a lock."""

    def __init__(self) -> None:
        self.blob_bytes: dict[Digest, bytes] = {}
        self.objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    @property
    def location(self) -> str:
        return f"memory:{id(self):x}"

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        data = b"".join(hashed(pieces(source), digest, size))
        with self._lock:
            new = digest not in self.blob_bytes
            self.blob_bytes[digest] = data
        return new

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        data = source.read(size + 1)
        if len(data) != size:
            raise Damaged(f"a file of {size} bytes has another size now")
        if progress is not None:
            progress(size)
        if tap is not None:
            tap()(memoryview(data))
        digest = Digest.of(data)
        with self._lock:
            self.blob_bytes[digest] = data
        return digest

    def keep(self, digest: Digest, size: int) -> bool:
        return self.size(digest) == size

    def batch(self) -> AbstractContextManager[Store]:
        return nullcontext(self)

    def size(self, digest: Digest) -> int | None:
        data = self.blob_bytes.get(digest)
        return None if data is None else len(data)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        data = self.blob_bytes.get(digest)
        if data is None:
            raise BlobMissing(f"the store has no blob {digest}")
        yield from hashed((data[i : i + CHUNK] for i in range(0, len(data), CHUNK)), digest)

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        write_chunks(self.chunks(digest), out, progress)

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        return b"".join(self.chunks(digest))[start : start + length]

    def delete(self, digest: Digest) -> None:
        with self._lock:
            self.blob_bytes.pop(digest, None)

    def blobs(self) -> Iterator[Digest]:
        yield from sorted(self.blob_bytes)

    def create(self, key: str, data: bytes) -> None:
        with self._lock:
            if key in self.objects:
                raise AlreadyThere(f"{key} is already there")
            self.objects[key] = data

    def read(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError as error:
            raise NotFound(f"the store has no {key}") from error

    def replace(self, key: str, data: bytes) -> None:
        self.objects[key] = data

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        with self._lock:
            if self.objects.get(key) != old:
                return False
            self.objects[key] = data
            return True

    def remove(self, key: str) -> None:
        self.objects.pop(check_removable(key), None)

    def settle(self, key: str) -> None:
        self.read(key)

    def keys(self, prefix: str) -> Iterator[str]:
        yield from sorted(key for key in self.objects if key.startswith(prefix))

    def strays(self) -> Iterator[Stray]:
        yield from ()

    def sweep(self, older_than_seconds: float) -> int:
        return 0
