"""What a writer put into the store, kept safe until its entry refers to it.

Between a blob's upload and the entry that needs it, the blob may be collected:
nothing refers to it yet. So every writer remembers the head it knew before it
put anything, and looks at its place in the ledger whether a blob was deleted
since, or may still be being deleted. Those it puts again, once nobody can
delete them any more. See docs/store.md.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.care import leases
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.collection import COLLECTING, Leaving, leaving
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.ledger.entry import Event
from stemma_registry.ledger.log import Head


@dataclass
class Uploads:
    """The blobs one entry will refer to.

    `base` is the ledger entry that was known before they were put, `reached`
    the newest that is known. Made by `begin`, before the first put.
    """

    store: Store
    catalogue: Catalogue
    base: int
    reached: int
    lost: list[Leaving] = field(default_factory=list)
    _small: dict[Digest, bytes] = field(default_factory=dict)
    _files: set[Digest] = field(default_factory=set)
    _again: Callable[[Sequence[Digest]], None] | None = None
    _restored: dict[Digest, int] = field(default_factory=dict)
    _over: set[int] = field(default_factory=set)

    @classmethod
    def begin(cls, store: Store, catalogue: Catalogue) -> Uploads:
        """Remember the head, as far as it is known without asking the store."""
        with catalogue.reading() as connection:
            n = catalogue.projected(connection).n
        return cls(store, catalogue, n, n)

    def put(self, data: bytes) -> Digest:
        """Store small bytes."""
        digest = put_bytes(self.store, data)
        self._small[digest] = data
        return digest

    def also(self, blobs: Collection[Digest], again: Callable[[Sequence[Digest]], None]) -> None:
        """Blobs that were put since `begin` by other means; `again` puts some of them again."""
        self._files |= set(blobs)
        self._again = again

    def catch_up(self) -> Head:
        """Catch up with the ledger."""
        head = self.catalogue.catch_up()
        self.reached = max(self.reached, head.n)
        return head

    def secure(self, events: Sequence[Event]) -> Sequence[Event]:
        """The events, if everything they need is in the store; else none, and `lost` says what.

        To be asked at the place where the events are to stand: when all before
        it is known.
        """
        self.lost = []
        if events:
            needed = {digest for event in events for digest in event.digests}
            self.lost = [row for row in self._leaving(needed) if not self._is_safe(row)]
        return [] if self.lost else events

    def restore(self) -> None:
        """Put what is lost again, when nobody can delete it any more. Raises Unavailable."""
        self._wait()
        lost = [row.blob for row in self.lost]
        # Of each blob by itself: what is not put again now was still put when `base` was the head.
        self._restored.update(dict.fromkeys(lost, self.reached))
        for blob in lost:
            if blob in self._small:
                self.put(self._small[blob])
        files = [blob for blob in lost if blob not in self._small]
        if not files:
            return
        if self._again is None or not self._files.issuperset(files):
            raise Unavailable(f"blob {files[0].short} was collected meanwhile; try again")
        self._again(files)

    def _is_safe(self, row: Leaving) -> bool:
        """Whether a blob is there, and stays, judging by the head at which it was put."""
        put_at = self._restored.get(row.blob, self.base)
        if row.gone is not None and row.gone > put_at:
            return False
        return row.state != COLLECTING or (row.n <= put_at and row.n in self._over)

    def _leaving(self, needed: set[Digest]) -> list[Leaving]:
        """What of all that is needed is on its way out, at the newest entry that is known."""
        for _ in range(LIMITS.snapshot_tries):
            with self.catalogue.reading() as connection:
                if self.catalogue.projected(connection).n >= self.reached:
                    rows = leaving(connection, needed | self._small.keys() | self._files)
                    return list(rows.values())
            self.catch_up()  # somebody emptied the catalogue
        raise Unavailable("the catalogue is being rebuilt again and again; try again")

    def _wait(self) -> None:
        """Return when no deletion of what is lost can be under way any more."""
        lost, seen = {row.blob for row in self.lost}, dict[int, float]()
        delay = LIMITS.collect_poll_seconds
        while True:
            rows = [r for r in self._leaving(set()) if r.blob in lost and r.state == COLLECTING]
            for row in rows:
                seen.setdefault(row.n, leases.elapsed())
            now = leases.elapsed()
            if all(now - seen[row.n] >= LIMITS.collect_lease_seconds for row in rows):
                self._over |= {row.n for row in rows}
                return
            leases.pause(delay)
            delay = min(delay * 2, 30 * LIMITS.collect_poll_seconds)
            self.catch_up()
