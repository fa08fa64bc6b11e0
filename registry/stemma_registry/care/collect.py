"""Collecting what nothing refers to: condemn, wait, delete. A protocol of writers.

Each step is a ledger entry, so that whoever publishes sees at its own place in
the ledger what was deleted before it. See docs/store.md for why it is safe.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from stemma_attestations.digest import Digest
from stemma_attestations.times import parse_time
from stemma_attestations.trust import TrustRoot
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store
from stemma_registry.care import leases
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import collection
from stemma_registry.catalogue.collection import (
    COLLECTING,
    CONDEMNED,
    GONE,
    Leaving,
    in_state,
    leaving,
    unreferenced,
)
from stemma_registry.catalogue.snapshots import snapshot_blobs
from stemma_registry.config import LIMITS
from stemma_registry.errors import LedgerBroken, StoreError
from stemma_registry.ledger.entry import COLLECT, COLLECTED, CONDEMN, ERASE, Event
from stemma_registry.lineage.erased import Tombstone, tombstones
from stemma_registry.references import referred_to
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Item:
    """A blob on its way out, its size in bytes, and when it may be deleted (None: not yet known).

    `size` is None where it is not in the store any more.
    """

    blob: Digest
    size: int | None
    due: datetime | None = None


@dataclass(frozen=True)
class Plan:
    """What `collect` would do now.

    `left` are blobs that somebody may be deleting, or was when it was stopped;
    `erasures` are blobs that were erased and are still in the store.
    """

    fresh: tuple[Item, ...]
    waiting: tuple[Item, ...]
    due: tuple[Item, ...]
    left: tuple[Item, ...]
    erasures: tuple[Tombstone, ...]


@dataclass
class Done:
    """What `collect` did: blobs and bytes deleted, and what it could not delete."""

    condemned: int = 0
    deleted: int = 0
    bytes: int = 0
    erased: int = 0
    swept: int = 0
    failed: list[Digest] = field(default_factory=list)

    def add(self, deletion: Deletion, erased: int = 0) -> None:
        """Count a deletion."""
        self.deleted += deletion.blobs
        self.bytes += deletion.bytes
        self.erased += erased if deletion.blobs else 0
        self.failed += deletion.failed


@dataclass(frozen=True)
class Collector:
    """Who collects, in which registry."""

    registry: Registry
    trust: TrustRoot
    signer: Signer
    now: datetime

    @property
    def store(self) -> Store:
        """Where the blobs are."""
        return self.registry.store

    def view(self) -> AbstractContextManager[Snapshot]:
        """The registry's state at its head."""
        return snapshot(self.registry, self.trust, self.now)

    def uploads(self) -> Uploads:
        """For what the entry will refer to; to be made before that is put."""
        return Uploads.begin(self.store, self.registry.catalogue)

    def append(
        self, decide: Callable[[Snapshot], Event | None], uploads: Uploads | None = None
    ) -> int | None:
        """Append the event that `decide` returns in the state before its place, if any."""

        def events() -> Sequence[Event]:
            with self.view() as view:
                event = decide(view)
            return [event] if event else []

        mine = uploads or self.uploads()
        return record(self.registry, self.trust, self.signer, self.now, events, mine)


@dataclass(frozen=True)
class Deletion:
    """What was deleted by which entry (None: nothing was appended); `bytes` is its size."""

    entry: int | None = None
    blobs: int = 0
    bytes: int = 0
    failed: tuple[Digest, ...] = ()


def plan(store: Store, view: Snapshot, grace: timedelta) -> Plan:
    """What there is to collect. `grace` is the time from condemned to deleted."""
    rows = {row.blob: row for row in in_state(view.connection, CONDEMNED)}
    condemned = [
        replace(item, due=parse_time(rows[item.blob].time) + grace) for item in _items(store, rows)
    ]
    left = (row.blob for row in in_state(view.connection, COLLECTING))
    return Plan(
        fresh=tuple(_items(store, _surplus(store, view))),
        waiting=tuple(item for item in condemned if not _is_due(rows[item.blob], view.now, grace)),
        due=tuple(item for item in condemned if _is_due(rows[item.blob], view.now, grace)),
        left=tuple(_items(store, left)),
        erasures=tuple(unfinished(store, view)),
    )


def _items(store: Store, blobs: Iterable[Digest]) -> Iterator[Item]:
    """The blobs with their sizes, a few asked for at a time."""
    return (Item(blob, size) for blob, size in ahead(store.size, blobs, LIMITS.transfers))


def unfinished(store: Store, view: Snapshot) -> list[Tombstone]:
    """Believed erasures of blobs that are still there."""
    stones = tombstones(view).values()
    return [stone for stone in stones if stone.believed and store.size(stone.blob) is not None]


def collect(collector: Collector, grace: timedelta) -> Done:
    """Condemn what nothing refers to, and delete what was condemned `grace` ago.

    What a collector or an erasure has left behind when it was stopped is
    finished; for that, a lease is waited for. Raises LedgerBroken, Unavailable.
    """
    done = Done(swept=collector.store.sweep(LIMITS.stale_temporary_seconds))
    with collector.view() as view:
        left = {row.n for row in in_state(view.connection, COLLECTING)}
        fresh = list(_surplus(collector.store, view))
    seen = leases.elapsed()
    for batch in _batches(fresh):
        done.condemned += _condemn(collector, batch)
    due = _sure(collector, _due(collector, grace))
    for batch in _batches(due):
        done.add(delete_named(collector, _collecting(batch, collector.now, grace)))
    if left:
        over = wait_for(collector, left, seen)
        _take_over(collector, over, done)
    for stone in _erasures(collector):
        done.add(delete_named(collector, _erasing(stone)), erased=1)
    settle(collector.registry)  # "nothing to do" builds on entries that were only seen
    return done


def _due(collector: Collector, grace: timedelta) -> list[Digest]:
    with collector.view() as view:
        rows = in_state(view.connection, CONDEMNED)
    return [row.blob for row in rows if _is_due(row, collector.now, grace)]


def _sure(collector: Collector, blobs: list[Digest]) -> list[Digest]:
    """The blobs, without a snapshot's, after the ledger was asked whether it refers to one.

    Raises LedgerBroken where it does, and the catalogue does not know it.
    """
    spared = snapshot_blobs(collector.store, collector.trust)
    blobs = [blob for blob in blobs if blob not in spared]
    if not blobs:
        return blobs
    with collector.view() as view:
        known, n = unreferenced(view.connection, blobs), view.n
    unknown = referred_to(collector.store, n, known)
    if unknown:
        raise LedgerBroken(
            f"the catalogue {collector.registry.catalogue.database.label} does not know that blob "
            f"{min(unknown).short} is needed: nothing is deleted; run `stemma rebuild`"
        )
    return blobs


def delete_named(
    collector: Collector,
    choose: Callable[[Snapshot], Event | None],
    uploads: Uploads | None = None,
) -> Deletion:
    """Append the event that `choose` returns, delete what it names, and say when that is over.

    Every deletion is started within the lease, which begins before the append.
    What could not be deleted, perhaps, is left for a later collector.
    """
    lease, named = leases.Lease(), tuple[Digest, ...]()

    def decide(view: Snapshot) -> Event | None:
        nonlocal named
        lease.begin()
        event = choose(view)
        named = event.blobs if event else ()
        return event

    entry = collector.append(decide, uploads)
    if entry is None:
        return Deletion()
    count, size, failed = 0, 0, []
    for blob in named:
        if not lease.may_start:
            break
        try:
            freed = collector.store.size(blob) or 0
            collector.store.delete(blob)
            count, size = count + 1, size + freed
        except StoreError:
            failed.append(blob)
    _check_in_time(collector, lease, named)
    _close(collector, entry, set(named).difference(failed))
    return Deletion(entry, count, size, tuple(failed))


def _check_in_time(collector: Collector, lease: leases.Lease, named: Sequence[Digest]) -> None:
    """Say so where this process was held up for so long that it deleted too late."""
    if not lease.over:
        return
    with collector.view() as view:
        needed = set(named) - set(leaving(view.connection, named))
    harmed = sorted(blob for blob in needed if collector.store.size(blob) is None)
    if harmed:
        raise StoreError(
            f"held up while deleting, and {len(harmed)} blobs were pushed meanwhile "
            f"({harmed[0].short} ...): push again, or `stemma audit --repair-from`"
        )


def _close(collector: Collector, entry: int, blobs: set[Digest]) -> None:
    """Say that nobody deletes these any more on account of that entry."""

    def decide(view: Snapshot) -> Event | None:
        rows = leaving(view.connection, blobs).values()
        mine = sorted(row.blob for row in rows if row.state == COLLECTING and row.n == entry)
        return Event(COLLECTED, blobs=tuple(mine)) if mine else None

    collector.append(decide)


def _condemn(collector: Collector, batch: Sequence[Digest]) -> int:
    count = 0

    def decide(view: Snapshot) -> Event | None:
        nonlocal count
        named = _condemnable(view, batch)
        count = len(named)
        return Event(CONDEMN, blobs=tuple(named)) if named else None

    collector.append(decide)
    return count


def _condemnable(view: Snapshot, batch: Sequence[Digest]) -> list[Digest]:
    """Those that nothing refers to, and that are not on their way out already."""
    rows = leaving(view.connection, batch)
    return [
        blob
        for blob in sorted(unreferenced(view.connection, batch))
        if blob not in rows or rows[blob].state == GONE
    ]


def _collecting(
    batch: Sequence[Digest], now: datetime, grace: timedelta, over: frozenset[int] = frozenset()
) -> Callable[[Snapshot], Event | None]:
    """Those of a batch that are due and still not referred to.

    Also those that the entries `over` named, whose leases have run out.
    """

    def choose(view: Snapshot) -> Event | None:
        rows = leaving(view.connection, batch)
        named = [
            blob
            for blob in sorted(unreferenced(view.connection, batch))
            if blob in rows and _may_collect(rows[blob], now, grace, over)
        ]
        return Event(COLLECT, blobs=tuple(named)) if named else None

    return choose


def _may_collect(row: Leaving, now: datetime, grace: timedelta, over: frozenset[int]) -> bool:
    if row.state == COLLECTING:
        return row.n in over
    return row.state == CONDEMNED and _is_due(row, now, grace)


def _erasing(stone: Tombstone) -> Callable[[Snapshot], Event | None]:
    """The erasure again, on the same statement: it is what allows the deletion."""

    def choose(view: Snapshot) -> Event | None:
        row = leaving(view.connection, [stone.blob]).get(stone.blob)
        if row is not None and row.state == COLLECTING:
            return None  # somebody else was faster
        if not collection.erasable(view.connection, stone.blob):
            return None
        return Event(ERASE, bundles=(stone.bundle,), blobs=(stone.blob,))

    return choose


def wait_for(collector: Collector, left: set[int], seen: float) -> frozenset[int]:
    """Wait until those entries are closed by whoever wrote them, or their leases are over.

    `seen` is when they were seen. Returns those that are not closed.
    """
    delay = LIMITS.collect_poll_seconds
    while True:
        with collector.view() as view:
            still = {row.n for row in in_state(view.connection, COLLECTING)} & left
        if not still or leases.elapsed() - seen >= LIMITS.collect_lease_seconds:
            return frozenset(still)
        leases.pause(delay)
        delay = min(delay * 2, 30 * LIMITS.collect_poll_seconds)


def _take_over(collector: Collector, over: frozenset[int], done: Done) -> None:
    """Finish what others have left: delete what nothing refers to, and close the rest."""
    with collector.view() as view:
        rows = [row for row in in_state(view.connection, COLLECTING) if row.n in over]
        loose = unreferenced(view.connection, [row.blob for row in rows])
    for batch in _batches(_sure(collector, sorted(loose))):
        done.add(delete_named(collector, _collecting(batch, collector.now, timedelta(), over)))
    for entry in sorted(over):
        _close(collector, entry, {row.blob for row in rows if row.n == entry} - loose)


def _erasures(collector: Collector) -> list[Tombstone]:
    """Unfinished erasures that nobody else can be at work on."""
    with collector.view() as view:
        stones = unfinished(collector.store, view)
        rows = leaving(view.connection, [stone.blob for stone in stones])
    busy = {row.blob for row in rows.values() if row.state == COLLECTING}
    return [stone for stone in stones if stone.blob not in busy]


def _surplus(store: Store, view: Snapshot) -> Iterator[Digest]:
    """Blobs in the store that nothing refers to and that are not on their way out."""
    spared = snapshot_blobs(store, view.trust)
    for batch in _batches(store.blobs()):
        yield from (blob for blob in _condemnable(view, batch) if blob not in spared)


def _is_due(row: Leaving, now: datetime, grace: timedelta) -> bool:
    return parse_time(row.time) + grace <= now


def _batches(blobs: Iterable[Digest]) -> Iterator[list[Digest]]:
    source = iter(blobs)
    while batch := list(itertools.islice(source, LIMITS.collect_batch)):
        yield batch
