"""What every store promises, and what is the same for all of them.

A store holds blobs, named by the SHA-256 of their bytes, and small objects
under `ledger/` and `status/`. One test suite (tests/contracts) runs over all
stores; the numbers below are the ones it cites.

1. A blob is there whole or not at all. No reader sees part of one.
2. `put`, `receive` and `keep` return only when the blob would survive a power cut;
   what goes through a `batch` is safe when the batch ends. What cannot be made
   durable is an error, never an acknowledgement.
3. Bytes that do not match the digest are refused at `put`, and leave nothing. A
   blob that is there is acknowledged only if its bytes are right; wrong ones are
   replaced.
4. `chunks` ends without an error only if the bytes match the name. `read_range`
   returns bytes only if they match what was recorded when the blob was stored, or
   what follows from the name.
5. Any number of writers of the same blob are harmless to each other.
6. `create` is atomic: of any number of writers of one key exactly one wins, and
   the object is durable when it returns. Nobody sees half of it. AlreadyThere is
   raised when what is there is durable too. Between being seen and being durable
   lies a moment in which a writer can die: `settle` ends it, before anybody
   promises something about what was seen.
7. `replace` is atomic: a reader sees the old bytes or the new.
8. Errors are BlobMissing, NotFound, AlreadyThere, Damaged or Unavailable, never
   what the system underneath raises. Unanswered (an Unavailable) is raised only
   where a write may have arrived and would be durable if it had. Temporary (also an
   Unavailable) is what may succeed when it is repeated.
9. `delete` is durable, and nothing for a blob that is not there. It is for
   collecting, erasing and repairing; nobody else takes bytes away.
10. One store may be used by many threads at once.
11. `swap` is atomic and durable: of any number of writers that expect the same bytes under
   a key exactly one writes, and the others are told. It is for keys that nobody writes by
   `replace`. `remove` is durable, and takes away objects under `status/` only.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from stemma_attestations.digest import Digest
from stemma_registry.blobs.streams import CHUNK, Progress, Tap
from stemma_registry.errors import Damaged, StoreError


@dataclass(frozen=True)
class Stray:
    """Something in a store that is no blob and no object: its name there and size in bytes.

    `unfinished` is what a writer has left that was interrupted, or is at work.
    """

    name: str
    size: int
    unfinished: bool


class Store(Protocol):
    """See the promises above. Keys are `ledger/...` and `status/...` paths."""

    @property
    def location(self) -> str:
        """Where it is; two stores with one location are the same store."""
        ...

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        """Store `size` bytes of `source`. False if the blob was there, whole. Raises Damaged."""
        ...

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        """Store `size` bytes of a seekable `source` under the name found on the way.

        For bytes whose digest is not known yet: a store that can name a blob
        afterwards reads them once. `tap` is handed the bytes that were hashed. Raises
        Damaged where there are more or fewer.
        """
        ...

    def keep(self, digest: Digest, size: int) -> bool:
        """Whether a blob of that size is there, and if so durably. Its bytes are not read."""
        ...

    def batch(self) -> AbstractContextManager[Store]:
        """The store, for many blobs that are made durable together.

        What is put through it is safe when the block has ended without an error.
        """
        ...

    def size(self, digest: Digest) -> int | None:
        """The blob's size in bytes, or None if it is not there."""
        ...

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        """The blob's bytes, hashed on the way. Raises BlobMissing, and Damaged at the end."""
        ...

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        """Write the blob to a new, empty file `out`. Raises as `chunks` does.

        After an error `out` holds bytes that nobody vouches for: throw it away.
        """
        ...

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`; fewer only at the blob's end.

        Raises BlobMissing, Damaged.
        """
        ...

    def blobs(self) -> Iterator[Digest]:
        """Every blob, in order."""
        ...

    def delete(self, digest: Digest) -> None:
        """Take a blob away, durably. No error if it is not there."""
        ...

    def create(self, key: str, data: bytes) -> None:
        """Write a new object. Raises AlreadyThere."""
        ...

    def read(self, key: str) -> bytes:
        """An object's bytes. Raises NotFound."""
        ...

    def replace(self, key: str, data: bytes) -> None:
        """Write an object, new or not."""
        ...

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        """Write an object where it holds `old` (None: where none is); whether that was so."""
        ...

    def remove(self, key: str) -> None:
        """Take an object under `status/` away, durably. No error if it is not there."""
        ...

    def settle(self, key: str) -> None:
        """Return when an object that can be seen is durable too. Raises NotFound."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """The keys that begin with `prefix`, in order."""
        ...

    def strays(self) -> Iterator[Stray]:
        """What is there and is neither a blob nor an object: for `audit`."""
        ...

    def sweep(self, older_than_seconds: float) -> int:
        """Remove what interrupted writers left behind; how many things that was."""
        ...


def check_removable(key: str) -> str:
    """The key, where its object may be taken away. Raises StoreError."""
    if not key.startswith("status/"):
        raise StoreError(f"only what is under status/ is taken away, not {key!r:.80}")
    return key


def put_bytes(store: Store, data: bytes) -> Digest:
    """Store small `data` as a blob."""
    digest = Digest.of(data)
    store.put(io.BytesIO(data), digest, len(data))
    return digest


def get_bytes(store: Store, digest: Digest, limit: int) -> bytes:
    """A whole blob of at most `limit` bytes. Raises BlobMissing, Damaged."""
    kept, size = [], 0
    for chunk in store.chunks(digest):
        kept.append(chunk)
        size += len(chunk)
        if size > limit:  # seen on the way: asking for the size first is a request more
            raise Damaged(f"blob {digest.short} is too large: at most {limit} bytes are read here")
    return b"".join(kept)


def hashed(source: Iterable[bytes], digest: Digest, size: int | None = None) -> Iterator[bytes]:
    """Pass chunks through; raise Damaged at the end unless they match digest (and size)."""
    state, count = hashlib.sha256(), 0
    for chunk in source:
        state.update(chunk)
        count += len(chunk)
        if size is not None and count > size:
            break
        yield chunk
    if state.hexdigest() != digest.value or (size is not None and count != size):
        raise Damaged(f"blob {digest}: the bytes are not those of its name")


def pieces(source: BinaryIO) -> Iterator[bytes]:
    """The rest of a file in chunks."""
    while chunk := source.read(CHUNK):
        yield chunk
