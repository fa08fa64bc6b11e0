"""Names that mean nothing any more: whatever is called so is stopped, whoever calls it that."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from stemma_attestations import releasing
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Retired
from stemma_attestations.releasing import Voice
from stemma_attestations.request import Stop
from stemma_registry.catalogue import statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.registry import Snapshot


def stops(
    snapshot: Snapshot, name: NameVersion | None, heard: Iterable[CriterionRow]
) -> list[Stop]:
    """The retirements in force, of these (see `acts.heard`), of the name that is asked about."""
    return [] if name is None else list(stopping(snapshot, name, heard))


def stopping(
    snapshot: Snapshot, name: NameVersion, criteria: Iterable[CriterionRow]
) -> Iterator[Stop]:
    """Those of a name among these."""
    about = [row for row in criteria if isinstance(row.of, Retired) and row.of.is_about(name)]
    released = statuses.releases_of(snapshot.connection, [row.statement for row in about])
    for row in about:
        signer = row.fact.signer
        if signer is None:
            continue
        if not snapshot.trust.has_authorised(signer, predicate.TYPE, name.name, row.fact.signed):
            continue
        lifts = [Voice(one.signer, one.signed) for one in released.get(row.statement, ())]
        if lifts and releasing.lifted(snapshot.trust, lifts, name.name, None, snapshot.now):
            continue
        yield Stop(
            target=f"the name {row.of.label}",
            reason=f"retired: {row.reason}",
            by=snapshot.trust.label(signer),
            bundle=row.fact.bundle,
            key_id=signer,
            statement=row.digest,
            own=True,
            mark="retired",
        )
