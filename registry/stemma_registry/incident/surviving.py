"""What needs nothing: measured with something bad, or made from other inputs of a step."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.config import LIMITS
from stemma_registry.incident.reach import Link, Reach
from stemma_registry.lineage import status
from stemma_registry.registry import Snapshot


def survivors(view: Snapshot, found: Reach, steps: Sequence[int]) -> tuple[dict[int, Link], bool]:
    """What survives, and whether there may be more, behind `LIMITS.survivors`."""
    beside = list(found.beside.items())
    kept, cut = dict(beside[: LIMITS.survivors]), len(beside) > LIMITS.survivors
    touched = {*found.starts, *found.affected, *found.suspect, *found.beside}
    rows = query.edges_into(view.connection, steps)
    others = {
        row.input_id
        for row, worth in zip(rows, status.worths(view, rows), strict=True)
        if worth is Assurance.ATTESTED
    } - touched
    known = query.digests(view.connection, others)
    for node in sorted(
        (n for n in others if known[n].algorithm == "sha256"), key=known.__getitem__
    ):
        room = LIMITS.survivors - len(kept)
        near, more = _made_of(view, node, room)
        cut = cut or more
        rows = query.edges_into(view.connection, near - touched - kept.keys())
        for row, worth in zip(rows, status.worths(view, rows), strict=True):
            if row.input_id == node and worth is Assurance.ATTESTED:
                link = Link(row.input_id, row.output_id, row.relation, worth, row.fact)
                kept.setdefault(row.output_id, link)
    return kept, cut


def _made_of(view: Snapshot, node: int, room: int) -> tuple[set[int], bool]:
    """At most so many that an edge says were made of a node, and whether there are more."""
    wanted = (
        select(t.edge.c.output_id)
        .where(t.edge.c.input_id == node)
        .distinct()
        .order_by(t.edge.c.output_id)
        .limit(room + 1)
    )
    found = list(view.connection.execute(wanted).scalars())
    return set(found[:room]), len(found) > room
