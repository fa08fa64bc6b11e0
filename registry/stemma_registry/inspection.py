"""Looking at every blob of a store: what is there, and whether it is what it is called."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, StoreError, Temporary

_UNKNOWN = -1


@dataclass
class Needed:
    """The blobs that something refers to, packed, since there may be millions.

    A size in bytes is known where a manifest says it.
    """

    _sizes: dict[bytes, int] = field(default_factory=dict)

    def add(self, digest: Digest, size: int | None = None) -> None:
        """Something refers to the blob."""
        if size is not None:
            self._sizes[bytes.fromhex(digest.value)] = size
        else:
            self._sizes.setdefault(bytes.fromhex(digest.value), _UNKNOWN)

    def size(self, digest: Digest) -> int | None:
        """The size it must have, if that is known."""
        size = self._sizes.get(bytes.fromhex(digest.value), _UNKNOWN)
        return None if size == _UNKNOWN else size

    def __contains__(self, digest: Digest) -> bool:
        return bytes.fromhex(digest.value) in self._sizes

    def __iter__(self) -> Iterator[Digest]:
        return (Digest("sha256", raw.hex()) for raw in self._sizes)

    @property
    def bytes(self) -> int:
        """All that is known of the sizes."""
        return sum(size for size in self._sizes.values() if size > 0)


@dataclass(frozen=True)
class Wrong:
    """A blob that is not what it must be. `what` is as in audit.Finding."""

    digest: Digest
    what: str
    detail: str


@dataclass
class Seen:
    """All blobs, as they are. `surplus` are those that nothing refers to, with their sizes."""

    count: int = 0
    bytes_read: int = 0
    wrong: list[Wrong] = field(default_factory=list)
    surplus: list[tuple[Digest, int]] = field(default_factory=list)
    absent: set[Digest] = field(default_factory=set)


@dataclass(frozen=True)
class _Look:
    """One blob: its size (None: not there), its damage, and the digest it has instead."""

    size: int | None
    what: str = ""
    detail: str = ""
    found: Digest | None = None


def inspect(
    store: Store, needed: Needed, read_data: bool, progress: Progress | None = None
) -> Seen:
    """Look at every blob; with `read_data` hash each. Raises Unavailable."""
    seen, present, damaged = Seen(), Needed(), list[tuple[Digest, _Look]]()
    if progress is not None and read_data:
        progress.expect(needed.bytes)
    for digest, look in _looks(store, read_data, progress):
        if look.size is None and not look.what:
            continue  # taken away meanwhile, or nothing that could be read
        present.add(digest)
        seen.count += 1
        seen.bytes_read += (look.size or 0) if read_data else 0
        if digest not in needed:
            seen.surplus.append((digest, look.size or 0))
        if look.what or needed.size(digest) not in (None, look.size):
            damaged.append((digest, look))
    seen.wrong += [
        _wrong(digest, look, needed.size(digest), (needed, present)) for digest, look in damaged
    ]
    seen.absent = {digest for digest in needed if digest not in present}
    return seen


def _looks(
    store: Store, read_data: bool, progress: Progress | None
) -> Iterator[tuple[Digest, _Look]]:
    if not read_data:
        return ahead(lambda digest: _Look(store.size(digest)), store.blobs(), LIMITS.transfers)
    return ahead(lambda digest: _read(store, digest, progress), store.blobs(), LIMITS.readers)


def _read(store: Store, digest: Digest, progress: Progress | None) -> _Look:
    size = 0
    try:
        for chunk in store.chunks(digest):
            size += len(chunk)
            if progress is not None:
                progress(len(chunk))
    except BlobMissing:
        return _Look(None)
    except Damaged as error:
        found, count = _identify(store, digest)
        return _Look(max(size, count), "damaged", str(error), found)
    except Temporary:
        raise
    except StoreError as error:
        return _Look(size, "unreadable", str(error))
    return _Look(size)


def _identify(store: Store, digest: Digest) -> tuple[Digest | None, int]:
    """Whose bytes these are, and how many; None where they cannot all be had."""
    state, count = hashlib.sha256(), 0
    try:
        for chunk in store.chunks(digest):
            state.update(chunk)
            count += len(chunk)
    except Damaged:
        return (Digest("sha256", state.hexdigest()) if count else None), count
    except (BlobMissing, StoreError):
        return None, count
    return None, count


def _wrong(digest: Digest, look: _Look, size: int | None, others: Iterable[Needed]) -> Wrong:
    if look.found is not None and any(look.found in known for known in others):
        return Wrong(digest, "swapped", f"it holds the bytes of {look.found}")
    if look.what == "unreadable":
        return Wrong(digest, look.what, look.detail)
    if size is not None and look.size is not None and look.size < size:
        return Wrong(digest, "truncated", f"{look.size} of {size} bytes")
    if size is not None and look.size != size:
        return Wrong(digest, "damaged", f"{look.size} bytes, not {size}")
    return Wrong(digest, "damaged", look.detail)
