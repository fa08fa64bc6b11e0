"""What happened, when and by whom: to what is bad, and to everything that came from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import stage
from stemma_attestations.predicates import status as predicate
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import acts, happenings
from stemma_registry.catalogue.happenings import Happened
from stemma_registry.config import LIMITS
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class Moment:
    """One statement. `about` is what it names first, and `others` how many things besides.

    `time` is its ledger entry's; `proved` since when it exists, where that is proven.
    """

    entry: int
    time: str
    what: str
    about: str
    others: int
    place: str
    by: str
    believed: bool
    reason: str
    proved: datetime | None
    bundle: Digest
    statement: str | None


@dataclass(frozen=True)
class Timeline:
    """In ledger order. `unheard` statements by others than those who are believed are left out."""

    moments: tuple[Moment, ...]
    unheard: int = 0


def timeline(
    view: Snapshot, labels: Mapping[int, str], nodes: Iterable[int], moved: Iterable[int] = ()
) -> Timeline:
    """Everything worth a line about the nodes, and of `moved` how they came to stages.

    Strangers get `LIMITS.others` lines together.
    """
    inside = set(nodes)
    grouped: dict[Digest, list[Happened]] = {}
    strangers: set[Digest] = set()
    unheard: set[Digest] = set()
    for one in happenings.about(view.connection, inside | set(moved)):
        if one.node not in inside and one.fact.predicate_type != stage.TYPE:
            continue
        bundle = one.fact.bundle
        if bundle not in grouped and not _believed(view, one):
            if len(strangers) >= LIMITS.others:
                unheard.add(bundle)
                continue
            strangers.add(bundle)
        grouped.setdefault(bundle, []).append(one)
    ordered = sorted(grouped.values(), key=lambda rows: rows[0].order)
    return Timeline(tuple(_moment(view, labels, rows) for rows in ordered), len(unheard))


def _believed(view: Snapshot, one: Happened) -> bool:
    fact = one.fact
    if one.what == predicate.MATCHING:  # about no name: it counts where its signer may speak
        return acts.is_heard(view.trust, fact)
    worth = view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)
    return worth is Assurance.ATTESTED


def _moment(view: Snapshot, labels: Mapping[int, str], rows: list[Happened]) -> Moment:
    first = rows[0]
    fact = first.fact
    about = fact.about or labels[first.node]
    return Moment(
        entry=fact.n,
        time=first.time,
        what=first.what,
        about=f"{about} {first.path}" if first.path else about,
        others=len({(one.node, one.path) for one in rows}) - 1,
        place=first.place,
        by=signer_label(view, fact.signer),
        believed=_believed(view, first),
        reason=first.reason,
        proved=min((one.time for one in fact.signed), default=None),
        bundle=fact.bundle,
        statement=first.statement,
    )
