"""What happened to nodes: pushes, stages, deployments, acts of custody, approvals; by statement.

Facts only, in ledger order. Whether anybody believes them is asked of a trust root later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from stemma_attestations.predicates import admission, approval
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, fact_of
from stemma_registry.catalogue.rows import Fact

# Predicate types that are worth a line without a table of their own.
_PLAIN = {approval.TYPE: "approved", admission.TYPE: "admitted"}


@dataclass(frozen=True)
class Happened:
    """One statement and one thing that it is about.

    `what` is a word or two (`push model`, `promote prod`, `verified`), `time` its ledger
    entry's. `statement` is the SHA-256 (hex) of an act of custody, `place` where something runs.
    """

    order: int
    node: int
    what: str
    path: str | None
    reason: str
    place: str
    statement: str | None
    time: str
    fact: Fact


def about(connection: Connection, nodes: Iterable[int]) -> Iterator[Happened]:
    """What was said about the nodes that is worth a line, those of a batch in ledger order."""
    ordered = sorted(set(nodes))
    for start in range(0, len(ordered), query.BATCH):
        for row in connection.execute(_asked(ordered[start : start + query.BATCH])):
            what = _what(row)
            if what is not None:
                yield _happened(row, what)


def _asked(nodes: list[int]) -> Any:
    said, about = t.statement.c, t.subject.c
    return (
        select(
            *(said.id, said.time, *FACT),
            *(about.node_id, about.name, about.version, about.path),
            *(t.status.c.action, t.status.c.reason, t.status.c.payload),
            t.version.c.kind,
            *(t.stage.c.stage, t.stage.c.action.label("moved"), t.stage.c.reason.label("because")),
            *(t.deployment.c.state, t.deployment.c.host, t.deployment.c.service),
            t.deployment.c.stage.label("runs_at"),
            t.waiver.c.reason.label("waived"),
        )
        .select_from(t.statement)
        .join(t.subject, about.statement_id == said.id)
        .outerjoin(t.status, t.status.c.statement_id == said.id)
        .outerjoin(
            t.version,
            (t.version.c.statement_id == said.id) & (t.version.c.artifact_id == about.node_id),
        )
        .outerjoin(t.stage, t.stage.c.statement_id == said.id)
        .outerjoin(t.deployment, t.deployment.c.statement_id == said.id)
        .outerjoin(t.waiver, t.waiver.c.statement_id == said.id)
        .where(about.node_id.in_(nodes))
        .order_by(said.id, about.position)
    )


def _what(row: Any) -> str | None:
    if row.action is not None:
        return str(row.action)
    if row.moved is not None:
        return f"{row.moved} {row.stage}"
    if row.state is not None:
        return str(row.state)
    if row.kind is not None:
        return f"push {row.kind}"
    if row.waived is not None:
        return "waive"
    return _PLAIN.get(row.predicate_type)


def _happened(row: Any, what: str) -> Happened:
    spot = (row.host, row.service, row.runs_at)
    return Happened(
        order=row.id,
        node=row.node_id,
        what=what,
        path=row.path,
        reason=row.reason or row.because or row.waived or "",
        place=", ".join(part for part in spot if part),
        statement=row.payload,
        time=row.time,
        fact=fact_of(row, row.name, row.version),
    )
