"""Waivers: an artifact is let pass, it alone, in spite of one quarantine, for a time.

Only what was reached along edges is let pass: what is quarantined itself, by its digest, a
file of it or its name, is never. A waiver does not flow on: what descends from the artifact
is asked about by itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from stemma_attestations import releasing
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import waiver as predicate
from stemma_attestations.releasing import Voice
from stemma_attestations.request import Stop, Waived
from stemma_registry.catalogue import acts
from stemma_registry.catalogue.acts import WaiverRow
from stemma_registry.registry import Snapshot


def let_pass(
    snapshot: Snapshot, node: int, asked: str | None, stops: Sequence[Stop]
) -> tuple[list[Stop], list[Waived]]:
    """The stops that stay, and those that a waiver in force is in spite of."""
    if not stops:
        return [], []
    by_quarantine: dict[str, list[WaiverRow]] = {}
    for row in acts.waivers(snapshot.connection, node):
        if is_in_force(snapshot, row, asked, snapshot.now):
            by_quarantine.setdefault(row.quarantine, []).append(row)
    left, waived = [], list[Waived]()
    for stop in stops:
        rows = by_quarantine.get(stop.statement.value, []) if stop.statement else []
        enough = _people(snapshot, rows) >= snapshot.trust.needed(predicate.TYPE, asked)
        if stop.own or not rows or not enough:
            left.append(stop)
        else:
            waived.append(_waived(snapshot, stop, rows))
    return left, waived


def holders(snapshot: Snapshot, standing: Collection[str]) -> set[int]:
    """What a waiver in force is for, in spite of one of these (digests of statements, hex)."""
    asked: dict[tuple[int, str | None, str], list[WaiverRow]] = {}
    for row in acts.waivers(snapshot.connection) if standing else ():
        name = row.fact.name
        if row.quarantine in standing and is_in_force(snapshot, row, name, snapshot.now):
            asked.setdefault((row.node_id, name, row.quarantine), []).append(row)
    return {
        node
        for (node, name, _), rows in asked.items()
        if _people(snapshot, rows) >= snapshot.trust.needed(predicate.TYPE, name)
    }


def is_in_force(snapshot: Snapshot, row: WaiverRow, asked: str | None, now: datetime) -> bool:
    """Whether it counts for a question about `asked`: it has not ended, and its signer may."""
    fact = row.fact
    about = {fact.name, asked} if asked is not None else {fact.name}
    return (
        now < row.until
        and fact.signer is not None
        and all(
            snapshot.trust.authorises(fact.signer, predicate.TYPE, name, now, fact.signed)
            for name in about
        )
    )


def _people(snapshot: Snapshot, rows: Sequence[WaiverRow]) -> int:
    voices = [Voice(row.fact.signer, row.fact.signed) for row in rows]
    return releasing.principals(snapshot.trust, voices)


def _waived(snapshot: Snapshot, stop: Stop, rows: Sequence[WaiverRow]) -> Waived:
    """Until the first of those ends that it takes; all of them, where one would do, the last."""
    newest = max(rows, key=lambda row: row.until)
    several = _people(snapshot, rows) > 1
    who = sorted({snapshot.trust.label(row.fact.signer or "") for row in rows})
    until = min(row.until for row in rows) if several else newest.until
    bundle: Digest = newest.fact.bundle
    return Waived(stop, ", ".join(who), newest.reason, until, bundle)
