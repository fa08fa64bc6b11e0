"""Reading blobs from a bucket: ranges fetched ahead, and the digests of their chunks.

Beside a large blob lies a record of the SHA-256 of each of its chunks, at
chunks/sha256/ab/cd...:

    {"chunk_size": 8388608, "chunks": ["<64 hex>", ...], "format": "urn:stemma:chunks:v0.1",
     "size": 123456789}

It is canonical JSON (RFC 8785), written before the blob can be seen, and lets
a part of a blob be checked without the rest. It is believed only where it fits
the blob's checksum of the server, which shows damage to either; against who may
write to the bucket only the blob's name helps, so nothing is decided by a part.
"""

from __future__ import annotations

import hashlib
import re
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass

from stemma_attestations import canonical, json_strict
from stemma_attestations.errors import Malformed
from stemma_registry.blobs.s3_bucket import PART, THREADS, Bucket, Found, Piece, again, composite
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.errors import Damaged, NotFound, Temporary

FORMAT = "urn:stemma:chunks:v0.1"
RECORD_BYTES = 1024 * 1024  # ten thousand digests take two thirds of that
ALONE = 2 * 1024 * 1024  # a range that is read where there is no room to read ahead
_HEX64 = re.compile(r"[0-9a-f]{64}\Z")
_KEYS = {"format", "size", "chunk_size", "chunks"}


@dataclass(frozen=True)
class Record:
    """The SHA-256 of each chunk of a blob, as hex; sizes in bytes."""

    size: int
    chunk_size: int
    chunks: tuple[str, ...]

    @classmethod
    def of(cls, size: int, chunk_size: int, digests: Sequence[bytes]) -> Record:
        """From the digests themselves."""
        return cls(size, chunk_size, tuple(digest.hex() for digest in digests))

    def encode(self) -> bytes:
        """The bytes that are stored."""
        return canonical.dumps(
            {
                "format": FORMAT,
                "size": self.size,
                "chunk_size": self.chunk_size,
                "chunks": list(self.chunks),
            }
        )

    def is_of(self, found: Found | None) -> bool:
        """Whether it fits the checksum of the blob that is there."""
        if found is None or found.size != self.size:
            return False
        return found.checksum == composite(map(bytes.fromhex, self.chunks))

    @classmethod
    def parse(cls, data: bytes) -> Record | None:
        """The inverse of `encode`; None for anything else."""
        try:
            found = json_strict.load_object(data, max_bytes=RECORD_BYTES)
        except Malformed:
            return None
        if set(found) != _KEYS or found["format"] != FORMAT:
            return None
        size, chunk_size, chunks = found["size"], found["chunk_size"], found["chunks"]
        if type(size) is not int or type(chunk_size) is not int or not isinstance(chunks, list):
            return None
        right = all(isinstance(each, str) and _HEX64.match(each) for each in chunks)
        if not right or size < 0 or chunk_size < 1 or len(chunks) != -(-size // chunk_size):
            return None
        return cls(size, chunk_size, tuple(chunks))


def record_at(bucket: Bucket, key: str) -> Record | None:
    """The record under a key, or None: the blob must then be read whole."""
    try:
        return Record.parse(bucket.read(key, RECORD_BYTES))
    except NotFound:
        return None


def stream(bucket: Bucket, key: str) -> Iterator[bytes]:
    """An object's bytes, several ranges under way at once. Raises NotFound, Temporary.

    All ranges are of one object, also if it is replaced in between.
    """
    counted = bucket.ahead.try_take(PART)
    try:
        piece = again(lambda: bucket.piece(key, 0, PART if counted else ALONE))
    finally:
        if counted:
            bucket.ahead.give(PART)
    total, etag = piece.total, piece.etag
    ahead: deque[Future[Piece]] = deque()
    following = position = len(piece.data)
    try:
        while True:
            yield from _chunks(piece.data)
            del piece  # not kept while the next one is waited for
            if position >= total:
                return
            while following < total and len(ahead) < THREADS and bucket.ahead.try_take(PART):
                ahead.append(bucket.pool.submit(_piece, bucket, key, following, PART, total, etag))
                following += PART
            if ahead:
                future = ahead.popleft()
                try:
                    piece = future.result()
                finally:
                    bucket.ahead.give(PART)
                    del future
            else:  # no room to read ahead: others have it, and nobody waits for anybody
                piece = _piece(bucket, key, position, ALONE, total, etag)
                following = position + len(piece.data)
            position += len(piece.data)
    finally:
        for future in ahead:
            future.cancel()
            future.add_done_callback(lambda _: bucket.ahead.give(PART))


def _chunks(data: bytes) -> Iterator[bytes]:
    """Small copies: whoever keeps a few of them must not keep whole ranges."""
    for start in range(0, len(data), CHUNK):
        yield data[start : start + CHUNK]


def checked_range(bucket: Bucket, key: str, record: Record, start: int, length: int) -> bytes:
    """Bytes of a blob, of which every chunk they lie in was checked. Raises NotFound, Damaged."""
    end = min(start + length, record.size)
    if start >= end:
        return b""
    first, last = start // record.chunk_size, (end - 1) // record.chunk_size
    kept = bytearray()
    for number in range(first, last + 1):
        low = number * record.chunk_size
        piece = again(lambda low=low: bucket.piece(key, low, record.chunk_size))  # type: ignore[misc]
        found = hashlib.sha256(piece.data).hexdigest()
        if piece.total != record.size or found != record.chunks[number]:
            raise Damaged(f"{key}: chunk {number} is not what was stored")
        kept += piece.data[max(0, start - low) : end - low]
    return bytes(kept)


def _piece(bucket: Bucket, key: str, start: int, length: int, total: int, etag: str) -> Piece:
    def get() -> Piece:
        piece = bucket.piece(key, start, length, etag)
        if piece.total != total:
            raise Temporary(f"cannot read {key}: it was replaced while it was read")
        return piece

    return again(get)
