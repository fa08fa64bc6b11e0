"""Appending to the ledger and reading it in order.

Appending is one create-if-absent of an immutable object: that put is the
commit point of every change. Before it nothing is visible, after it nothing is
lost. No store repeats it: whoever loses a number, or does not know whether the
put arrived, reads the entry back and looks for its own nonce.
"""

from __future__ import annotations

import random
import secrets
import time as clock
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stemma_attestations.digest import Digest
from stemma_attestations.merkle import Frontier
from stemma_attestations.times import format_time
from stemma_registry.blobs.contract import Store
from stemma_registry.config import LIMITS
from stemma_registry.errors import (
    AlreadyThere,
    LedgerBroken,
    NotFound,
    StoreError,
    Temporary,
    Unanswered,
    Unavailable,
)
from stemma_registry.ledger.entry import Event, LedgerEntry


@dataclass
class Head:
    """Where a reader stands: `n` entries are known to end with digest `entry`.

    A reader that has read nothing stands at n = -1.
    """

    n: int = -1
    entry: Digest | None = None
    tree: Frontier = field(default_factory=Frontier)

    def advance(self, entry: LedgerEntry) -> None:
        """Step over the next entry if it continues the chain. Raises LedgerBroken."""
        if entry.n != self.n + 1 or entry.previous != self.entry:
            raise LedgerBroken(f"ledger entry {entry.n} does not follow entry {self.n}")
        if entry.tree_root != self.tree.root:
            raise LedgerBroken(f"ledger entry {entry.n} has a wrong tree root")
        self.tree.append(entry.raw)
        self.n, self.entry = entry.n, entry.digest

    def copy(self) -> Head:
        """An independent copy."""
        return Head(self.n, self.entry, self.tree.copy())


def entry_key(n: int) -> str:
    """`ledger/000/000/000123.json`: twelve digits, a million entries to a directory."""
    digits = f"{n:012d}"
    return f"ledger/{digits[:3]}/{digits[3:6]}/{digits[6:]}.json"


def read_entry(store: Store, n: int) -> LedgerEntry | None:
    """Entry `n`, or None where the ledger ends before it. Raises LedgerBroken, Unavailable."""
    try:
        raw = store.read(entry_key(n))
    except NotFound:
        return None
    return LedgerEntry.parse(raw, n)


def entries_after(store: Store, head: Head) -> Iterator[LedgerEntry]:
    """The entries behind `head`, each checked to continue the chain; `head` moves along."""
    while (entry := read_entry(store, head.n + 1)) is not None:
        head.advance(entry)
        yield entry


def append(
    store: Store,
    head: Head,
    decide: Callable[[], Sequence[Event]],
    catch_up: Callable[[], Head],
    seconds: float = LIMITS.append_seconds,
) -> LedgerEntry | None:
    """Append one entry with the events that `decide` returns, or nothing if it returns none.

    `decide` is asked again whenever somebody else came first, after
    `catch_up`: it sees all that is before its place, so two writers can never
    both believe that a name was free. Raises what `decide` raises, and
    Unavailable after `seconds` of losing.
    """
    nonce, deadline = secrets.token_hex(16), clock.monotonic() + seconds
    attempt = 0
    while events := decide():
        entry = LedgerEntry.build(
            head.n + 1, head.entry, nonce, format_time(datetime.now(UTC)), head.tree.root, events
        )
        if _create(store, entry):
            return entry
        if clock.monotonic() > deadline:
            raise Unavailable(f"other writers kept winning for {seconds:.0f} s; try again")
        # Jitter only: the loser's next try is as good as anybody's.
        clock.sleep(random.uniform(0, min(0.5, 0.005 * 2**attempt)))  # noqa: S311
        attempt = min(attempt + 1, 8)
        head = catch_up()
    return None


def _create(store: Store, entry: LedgerEntry) -> bool:
    """Put the entry; whether it is ours that stands there afterwards.

    It is put again only where the store says that it did not arrive.
    """
    key = entry_key(entry.n)
    for pause in LIMITS.append_pauses:
        try:
            return _put(store, key, entry)
        except Unanswered:
            raise
        except Temporary:
            clock.sleep(random.uniform(pause / 2, pause))  # noqa: S311
    return _put(store, key, entry)


def _put(store: Store, key: str, entry: LedgerEntry) -> bool:
    try:
        store.create(key, entry.raw)
    except AlreadyThere:
        # If it cannot be read, nobody may say that it is another's: ours may stand there.
        return store.read(key) == entry.raw
    except Unanswered:
        # Only for a lost answer: after a failed fsync the entry may be seen, but is not safe.
        if _is_ours(store, entry):
            return True
        raise
    return True


def _is_ours(store: Store, entry: LedgerEntry) -> bool:
    try:
        found = store.read(entry_key(entry.n))
    except (NotFound, StoreError):
        return False
    return found == entry.raw
