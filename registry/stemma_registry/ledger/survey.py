"""Reading a ledger that may be damaged: every entry that can be read, and where it breaks.

A reader stops at the first break. `audit` goes on behind it, and says which
entry is the wrong one: each entry names the digest of the one before it, so an
entry is vouched for by the next.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from stemma_attestations.digest import Digest
from stemma_attestations.merkle import Frontier
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, LedgerBroken, NotFound
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import entry_key, read_entry

_ENTRY = re.compile(r"ledger/([0-9]{3})/([0-9]{3})/([0-9]{6})\.json\Z")
_WIDTH = 32  # bytes of a SHA-256
_NONE = bytes(_WIDTH)
T = TypeVar("T")


def number(key: str) -> int | None:
    """The number of the entry that a key is of, or None."""
    match = _ENTRY.match(key)
    return int("".join(match.groups())) if match else None


def last_number(store: Store) -> int:
    """The highest number of an entry that is in the store; -1 where there is none."""
    last = max((n for key in store.keys("ledger/") if (n := number(key)) is not None), default=-1)
    with contextlib.suppress(NotFound):
        while True:  # what was appended while the rest was listed
            store.read(entry_key(last + 1))
            last += 1
    return last


@dataclass
class Chain:
    """What links the entries: packed, since there may be a million.

    `breaks` says by number what is wrong with an entry. `suspects` are all
    entries that may be the wrong ones, where that cannot be told.
    """

    last: int
    breaks: dict[int, str] = field(default_factory=dict)
    suspects: set[int] = field(default_factory=set)
    tree: Frontier = field(default_factory=Frontier)
    _digests: bytearray = field(default_factory=bytearray)
    _previous: bytearray = field(default_factory=bytearray)
    _intact: bool = True

    def add(self, entry: LedgerEntry | None, problem: str = "") -> None:
        """The next entry, or what is wrong with it."""
        n = len(self._digests) // _WIDTH
        if entry is None:
            self._stop(n, problem)
            self._digests += _NONE
            self._previous += _NONE
            return
        before = self.digest(n - 1) if n else None
        follows = entry.previous == before
        if self._intact and follows and entry.tree_root != self.tree.root:
            self._stop(n, "its tree root is not that of the entries before it")
        self._intact = self._intact and follows
        if self._intact:
            self.tree.append(entry.raw)
        self._digests += bytes.fromhex(entry.digest.value)
        self._previous += bytes.fromhex(entry.previous.value) if entry.previous else _NONE

    def digest(self, n: int) -> Digest | None:
        """The digest of entry n as it is in the store, if it could be read."""
        return _at(self._digests, n)

    def previous(self, n: int) -> Digest | None:
        """What entry n says that the digest of the entry before it is."""
        return _at(self._previous, n)

    def judge(self, vouched: Mapping[int, Digest]) -> None:
        """Find the entries that do not fit together, after the last was added.

        `vouched` are digests of entries that are known from elsewhere.
        """
        for n, digest in vouched.items():
            if n > self.last:
                self._stop(n, "missing, although it was seen before: the ledger was cut off")
            elif self.digest(n) not in (None, digest):
                self._stop(n, "not the entry that was seen before")
        if self.digest(0) is not None and self.previous(0) is not None:
            self._stop(0, "it names an entry before it")
        for n in range(1, self.last + 1):
            before = self._digests[(n - 1) * _WIDTH : n * _WIDTH]
            linked = before == self._previous[n * _WIDTH : (n + 1) * _WIDTH]
            if linked or before == _NONE or self.digest(n) is None:
                continue
            self._blame(n, vouched)
        for n in [n for n in self.breaks if n <= self.last]:
            self.suspects.add(n)
            if n and n - 1 not in self.breaks and n - 1 not in vouched:
                # Nobody else says what the entry before it was.
                self.suspects.add(n - 1)
                self.breaks[n] += f"; with it, entry {n - 1} is vouched for by nobody"

    def _blame(self, n: int, vouched: Mapping[int, Digest]) -> None:
        """Entry n does not follow the one before it: which of the two is wrong?"""
        if n in self.breaks or n - 1 in self.breaks:
            return
        digest = self.digest(n)
        if digest == vouched.get(n) or (n < self.last and self.previous(n + 1) == digest):
            self.breaks[n - 1] = f"not the bytes that were written (entry {n} names others)"
            return
        self.breaks[n] = f"it does not follow entry {n - 1}"

    def _stop(self, n: int, problem: str) -> None:
        self._intact = False
        self.breaks.setdefault(n, problem)


def survey(
    store: Store, last: int, look: Callable[[LedgerEntry], T]
) -> tuple[Chain, Iterator[tuple[LedgerEntry, T]]]:
    """Read the entries up to number `last`, many at once, each with what `look` makes of it.

    The chain is complete, and not yet judged, when the iterator has ended.
    """
    chain = Chain(last)
    return chain, _read(store, range(last + 1), look, chain)


def _read(
    store: Store, numbers: Iterable[int], look: Callable[[LedgerEntry], T], chain: Chain
) -> Iterator[tuple[LedgerEntry, T]]:
    def one(n: int) -> tuple[LedgerEntry, T] | str:
        try:
            entry = read_entry(store, n)
        except (LedgerBroken, Damaged) as error:
            return str(error)
        return "missing, although later ones are there" if entry is None else (entry, look(entry))

    for _, found in ahead(one, numbers, LIMITS.transfers):
        if isinstance(found, str):
            chain.add(None, found)
        else:
            chain.add(found[0])
            yield found


def _at(packed: bytearray, n: int) -> Digest | None:
    value = bytes(packed[n * _WIDTH : (n + 1) * _WIDTH])
    return None if n < 0 or value in (b"", _NONE) else Digest("sha256", value.hex())
