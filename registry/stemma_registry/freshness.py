"""How new the gate's answer is: the ledger that was read, held against the status feed.

Whoever keeps the store can withhold its newest entries. The feed names the ledger's head
under a signature that is minutes old; a ledger that ends before it, or has another entry
there, is not the one that was published. With the ledger whole up to that head, every
quarantine of the feed is in it, and so it is in the catalogue that was asked: one that is not
was lost by a damaged catalogue, or left out of a snapshot that was adopted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError, Undecided
from stemma_attestations.predicates import status as predicate
from stemma_attestations.request import StatusView
from stemma_registry.catalogue import query, statuses
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Stale, Unavailable
from stemma_registry.ledger.log import read_entry
from stemma_registry.registry import Registry, Snapshot

if TYPE_CHECKING:
    from stemma_registry.status.judging import Judged


@dataclass(frozen=True)
class Freshness:
    """How old what was read provably is; or why it may be too old, or what speaks against it."""

    age: timedelta | None = None
    stale: str | None = None
    contradicted: str | None = None

    def of(self, status: StatusView) -> StatusView:
        """The status, with this said of it."""
        undecided = status.undecided or self.contradicted
        return replace(status, age=self.age, stale=self.stale, undecided=undecided)


def ask(registry: Registry, view: Snapshot, limit: timedelta) -> Freshness:
    """Hold the ledger that was read against the feed, which may be so old at most."""
    try:
        return Freshness(_proved(registry, view, limit))
    except NotFound as error:
        return Freshness(stale=f"nothing proves how old the status is: {error}")
    except (Stale, Unavailable) as error:
        return Freshness(stale=str(error))
    except StemmaError as error:  # a ledger that is withheld, or another: never just old
        return Freshness(contradicted=str(error))


def _proved(registry: Registry, view: Snapshot, limit: timedelta) -> timedelta:
    """How old the feed is that names what was read. Raises NotFound, Undecided, Unavailable."""
    from stemma_registry.status import pinning, reader, source  # python-tuf takes a while

    pin = pinning.pinned(registry.home, registry.store.location)
    roots = registry.trusted_roots.present(view.trust.all_roots)
    place = source.open_source(pin.source, registry.home)
    found = reader.fetch(pin, place, view.trust, roots, view.now, limit)
    head = found.head
    if head.n > view.n:
        raise Undecided(
            f"the feed names ledger entry {head.n}, and the registry shows {view.n}: "
            "its newest entries are withheld, or not here yet"
        )
    if _projected(registry, view, head.n) != head.entry:
        raise Undecided(f"ledger entry {head.n} is not the one that the feed names")
    _holds(view, found.custody)
    return found.age(view.now)


def _holds(view: Snapshot, custody: Judged) -> None:
    """Make sure that every quarantine the feed believes was there to be met. Raises Undecided."""
    rows = statuses.statuses(view.connection, predicate.QUARANTINE)
    rows += statuses.statuses(view.connection, predicate.MATCHING)
    digests = query.digests(view.connection, {row.node_id for row in rows})
    known = {
        (row.statement, digests[row.node_id], row.fact.name)
        for row in rows
        if row.fact.signer is not None and _is_believed(view, row)
    }
    for said in custody.believed:
        for target in said.targets:
            if (said.statement.value, target.digest, target.name) not in known:
                raise Undecided(
                    f"the feed has the quarantine {said.statement.short} of {target.label}, and "
                    "the catalogue has lost it: `stemma rebuild` makes it anew"
                )


def _is_believed(view: Snapshot, row: StatusRow) -> bool:
    signer, trust = row.fact.signer or "", view.trust
    if row.action == predicate.MATCHING:  # about no name: it counts where its signer may speak
        return bool(trust.patterns(signer, predicate.TYPE, None, row.fact.signed))
    return trust.has_authorised(signer, predicate.TYPE, row.fact.name, row.fact.signed)


def _projected(registry: Registry, view: Snapshot, n: int) -> Digest | None:
    """The digest of entry `n` of the ledger that the answer was read from.

    What a store shows now need not be what it showed the catalogue, so the links are followed
    down from the entry that the catalogue ends with. Raises Undecided, LedgerBroken, Unavailable.
    """
    digest = registry.catalogue.projected(view.connection).entry
    if view.n - n > LIMITS.feed_behind:
        raise Undecided(
            f"the feed names ledger entry {n}, more than {LIMITS.feed_behind} before "
            f"entry {view.n}; the limit is a named one"
        )
    for number in range(view.n, n, -1):
        entry = read_entry(registry.store, number)
        if entry is None or entry.digest != digest:
            raise Undecided(f"ledger entry {number} is not the one that was read before")
        digest = entry.previous
    return digest
