"""A world that misbehaves: a store that loses answers, and a writer of ledgers for tests."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import AlreadyThere, Unanswered, Unavailable
from stemma_registry.ledger.entry import INIT, PUSH, Event, LedgerEntry
from stemma_registry.ledger.log import Head, append, entries_after, entry_key, read_entry


class Fault(Enum):
    """What happens to one `create`."""

    NONE = "it is answered"
    LOST_BEFORE = "it never arrives, and is not answered"
    LOST_AFTER = "it arrives, and is not answered"
    SENT_TWICE = "it arrives twice: the answer is that of the second"
    NOT_DURABLE = "it arrives, but is not safe (fsync failed)"


class FaultyStore:
    """Passes everything on to `store`. `fault` is asked before each `create`; `before_read` sees
    each read's key before it happens and `after_read` after it, found or not."""

    def __init__(
        self,
        store: Store,
        fault: Callable[[], Fault] = lambda: Fault.NONE,
        before_read: Callable[[str], None] = lambda key: None,
        after_read: Callable[[str], None] = lambda key: None,
    ) -> None:
        self.store = store
        self.fault = fault
        self.before_read = before_read
        self.after_read = after_read
        self.faults: list[Fault] = []

    def create(self, key: str, data: bytes) -> None:
        fault = self.fault()
        self.faults.append(fault)
        if fault is Fault.LOST_BEFORE:
            raise Unanswered("the connection broke")
        self.store.create(key, data)
        if fault is Fault.LOST_AFTER:
            raise Unanswered("the connection broke")
        if fault is Fault.SENT_TWICE:
            raise AlreadyThere(f"{key} is already there")
        if fault is Fault.NOT_DURABLE:
            raise Unavailable("input/output error")

    def read(self, key: str) -> bytes:
        self.before_read(key)
        try:
            return self.store.read(key)
        finally:
            self.after_read(key)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)


def once(fault: Fault) -> Callable[[], Fault]:
    """That fault at the first `create`, none later."""
    faults = iter([fault])
    return lambda: next(faults, Fault.NONE)


class Writer:
    """Somebody who appends: each event names one blob, so that it can be told from others."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.head = Head()

    def catch_up(self) -> Head:
        """Read what is new; a copy of the head."""
        for _ in entries_after(self.store, self.head):
            pass
        return self.head.copy()

    def append(self, what: str, seconds: float = 60.0) -> LedgerEntry | None:
        """Append one event, from wherever this writer stands."""
        return append(self.store, self.head.copy(), lambda: [event(what)], self.catch_up, seconds)


def event(what: str) -> Event:
    """A push of the artifact that `what` stands for."""
    return Event(PUSH, artifacts=(Digest.of(what.encode()),))


def ledger(*events: str, store: MemoryStore | None = None) -> MemoryStore:
    """A store with a ledger: entry 0 is `init`, then one entry for each event."""
    store = MemoryStore() if store is None else store
    append(store, Head(), lambda: [Event(INIT)], Head)
    writer = Writer(store)
    writer.catch_up()
    for what in events:
        writer.append(what)
        writer.catch_up()
    return store


def head_of(store: MemoryStore) -> Head:
    """The head of the whole ledger."""
    return Writer(store).catch_up()


def shorten(store: MemoryStore, last: int) -> None:
    """Rewind the ledger so that it ends with entry `last`."""
    n = last + 1
    while store.objects.pop(entry_key(n), None) is not None:
        n += 1


def fork(store: MemoryStore, last: int, *events: str) -> None:
    """Rewind to `last` and go on with other events."""
    shorten(store, last)
    writer = Writer(store)
    for what in events:
        writer.append(what)


def entries(store: Store) -> list[LedgerEntry]:
    """The whole ledger, its chain and roots checked on the way."""
    return list(entries_after(store, Head()))


def raw_entries(store: Store) -> list[bytes]:
    """The bytes of every entry, unchecked."""
    found: list[bytes] = []
    while read_entry(store, len(found)) is not None:
        found.append(store.read(entry_key(len(found))))
    return found


def tree_root(leaves: Sequence[bytes]) -> str:
    """The Merkle tree hash, written down from RFC 6962 section 2.1."""

    def root(part: Sequence[bytes]) -> bytes:
        if not part:
            return hashlib.sha256(b"").digest()
        if len(part) == 1:
            return hashlib.sha256(b"\x00" + part[0]).digest()
        split = 1
        while split * 2 < len(part):
            split *= 2
        return hashlib.sha256(b"\x01" + root(part[:split]) + root(part[split:])).digest()

    return root(leaves).hex()
