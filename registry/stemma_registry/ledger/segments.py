"""Entries by the thousand: one object for what would be a thousand reads.

See docs/formats/segment.md. A segment says nothing of its own. It is used only
where its last entry is, byte for byte, the one that the ledger holds, and every
entry in it continues the chain: since each names the one before it by its
digest, no other thousand entries can end in that one. Anything else is passed
over, and the entries are read one by one.
"""

from __future__ import annotations

import itertools
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store
from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, LedgerBroken, NotFound, StoreError
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, read_entry

SIZE = 1_000  # entries
MAGIC = b"urn:stemma:segment:v0.1\n"
# A reader that has come so far into a thousand one by one asks whether it is there as a whole.
PATIENCE = 16
# Whoever has read so many one by one has more to read, as a rule: as many again, at once.
SEVERAL = 4
MOST = 128
FAR = 0.002  # seconds that an entry takes from a store of which several are asked for at once
_LENGTH = struct.Struct(">I")


def segment_key(k: int) -> str:
    """`ledger/segments/000000123.seg`: entries 123,000 to 123,999."""
    return f"ledger/segments/{k:09d}.seg"


def build(entries: Sequence[bytes]) -> bytes:
    """The object of a thousand raw entries: there is exactly one."""
    if len(entries) != SIZE:
        raise ValueError(f"a segment holds {SIZE} entries, not {len(entries)}")
    parts = [part for raw in entries for part in (_LENGTH.pack(len(raw)), raw)]
    return MAGIC + b"".join(parts)


def split(data: bytes) -> list[bytes]:
    """The raw entries of a segment. Raises LedgerBroken."""
    entries: list[bytes] = []
    at = len(MAGIC)
    if not data.startswith(MAGIC):
        raise LedgerBroken("not a segment")
    while at < len(data) and len(entries) < SIZE:
        if at + _LENGTH.size > len(data):
            raise LedgerBroken("a segment ends within a length")
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        entries.append(data[at : at + length])
        at += length
    if at != len(data) or len(entries) != SIZE:
        raise LedgerBroken("a segment does not hold a thousand whole entries")
    return entries


@dataclass
class Reader:
    """Reads the ledger in order, by segments where there are any that are right."""

    store: Store
    _ready: dict[int, LedgerEntry] = field(default_factory=dict)
    _asked: int = -1
    _single: int = 0

    def after(self, head: Head) -> LedgerEntry | None:
        """The entry that follows `head`, or None where the ledger ends.

        Raises LedgerBroken and Unavailable, for single entries only.
        """
        n = head.n + 1
        entry = self._ready.pop(n, None)
        if entry is not None and entry.previous == head.entry:
            return entry
        if n // SIZE != self._asked and (n % SIZE == 0 or self._single >= PATIENCE):
            self._asked, self._single = n // SIZE, 0
            self._ready = {entry.n: entry for entry in believed(self.store, head)}
            if (entry := self._ready.pop(n, None)) is not None:
                return entry
        self._single = 0 if n % SIZE == 0 else self._single + 1
        begin = time.perf_counter()
        entry = read_entry(self.store, n)
        if entry is not None and self._single >= SEVERAL:
            self._read_more(n + 1, time.perf_counter() - begin > FAR)
        return entry

    def _read_more(self, first: int, far: bool) -> None:
        """Have at hand what follows in this thousand, so that it is projected together."""
        if first % SIZE == 0:
            return
        count = min(self._single, MOST, SIZE - first % SIZE)
        if first // SIZE != self._asked:
            count = min(count, PATIENCE - self._single)
        try:
            numbers, read = range(first, first + count), partial(read_entry, self.store)
            found = (
                ahead(read, numbers, LIMITS.transfers) if far else ((n, read(n)) for n in numbers)
            )
            for n, entry in found:
                if entry is None:
                    return
                self._ready[n], self._single = entry, self._single + 1
        except (LedgerBroken, StoreError):
            return  # whoever comes there reads it again, and is told

    def at_hand(self, head: Head) -> LedgerEntry | None:
        """The same where it was read already, with its segment: the store is not asked."""
        entry = self._ready.get(head.n + 1)
        return entry if entry is not None and entry.previous == head.entry else None


def believed(store: Store, head: Head) -> list[LedgerEntry]:
    """The entries behind `head` in its segment, all of them checked; none if anything is wrong."""
    first = head.n + 1
    k = first // SIZE
    try:
        raws = split(store.read(segment_key(k)))
        last = read_entry(store, (k + 1) * SIZE - 1)
        if last is None or last.raw != raws[-1]:
            return []
        walk, entries = head.copy(), []
        for n in range(first, (k + 1) * SIZE):
            entry = LedgerEntry.parse(raws[n - k * SIZE], n)
            walk.advance(entry)
            entries.append(entry)
    except (LedgerBroken, NotFound, StoreError):
        return []  # what is wrong with the ledger itself shows when it is read one by one
    return entries


def write(store: Store, k: int) -> bool:
    """Write segment `k`, unless it is there and right.

    A wrong one is replaced. False where nothing was to be done, also where the
    thousand is not full yet. Raises LedgerBroken, Unavailable.
    """
    entries = list(_entries(store, k))
    if len(entries) != SIZE:
        return False
    for before, entry in itertools.pairwise(entries):
        if entry.previous != before.digest:
            raise LedgerBroken(f"ledger entry {entry.n} does not follow entry {before.n}")
    data = build([entry.raw for entry in entries])
    if len(data) > LIMITS.segment_bytes:
        return False
    try:
        store.create(segment_key(k), data)
    except AlreadyThere:
        if store.read(segment_key(k)) == data:
            return False
        store.replace(segment_key(k), data)
    return True


def write_behind(store: Store, n: int) -> bool:
    """Write the segment that entry `n` completes, if it completes one. Raises as `write` does."""
    return (n + 1) % SIZE == 0 and write(store, n // SIZE)


def write_missing(store: Store, n: int) -> list[int]:
    """Write every segment up to entry `n` that is not there; their numbers.

    Those that are there are not read: `write` mends one. Raises as `write` does.
    """
    present = set(store.keys("ledger/segments/"))
    return [k for k in range((n + 1) // SIZE) if segment_key(k) not in present and write(store, k)]


def _entries(store: Store, k: int) -> Iterator[LedgerEntry]:
    numbers = range(k * SIZE, (k + 1) * SIZE)
    for _, entry in ahead(lambda n: read_entry(store, n), numbers, LIMITS.transfers):
        if entry is None:
            return
        yield entry
