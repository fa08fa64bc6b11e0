"""What leads into many nodes at once, without what a walk does not need."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, exists, select, type_coerce

from stemma_attestations.times import Times
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.query import BATCH, batches

# So many nodes are brought along with those that are asked for, at most.
AHEAD = 256


class Step(NamedTuple):
    """One edge, from its output."""

    input_id: int
    input_name: str | None
    relation: str


@dataclass(frozen=True)
class Saying:
    """What one statement says a node was made from, under one name; see `rows.Fact`."""

    predicate_type: str
    signer: str | None
    name: str | None
    signed: Times
    edges: tuple[Step, ...]


def above(connection: Connection, nodes: Collection[int]) -> set[int]:
    """Some of what is above nodes along any edge, nearest first; nothing above many nodes."""
    if len(nodes) >= min(AHEAD, BATCH):
        return set()
    found = select(t.node.c.id).where(t.node.c.id.in_(nodes)).cte("above", recursive=True)
    found = found.union(select(t.edge.c.input_id).where(t.edge.c.output_id == found.c.id))
    return set(connection.execute(select(found.c.id).limit(AHEAD)).scalars())


def into(connection: Connection, nodes: Collection[int]) -> dict[int, list[Saying]]:
    """The edges that say what each of the nodes was made from, by statement, in ledger order."""
    found: dict[int, list[Saying]] = {node: [] for node in nodes}
    for batch in batches(nodes):
        edges = _edges(connection, batch)
        for row in connection.execute(_sayings(batch)).all():
            steps = tuple(edges[row.statement_id, row.node_id])
            found[row.node_id].append(
                Saying(row.predicate_type, row.signer, row.name, times_of(row), steps)
            )
    return found


def _edges(connection: Connection, batch: list[int]) -> dict[tuple[int, int], list[Step]]:
    query = (
        select(
            t.edge.c.statement_id,
            t.edge.c.output_id,
            t.edge.c.input_id,
            t.edge.c.input_name,
            type_coerce(t.edge.c.relation, Text),
        )
        .where(t.edge.c.output_id.in_(batch))
        .order_by(t.edge.c.statement_id, t.edge.c.output_id, t.edge.c.input_id)
    )
    found: dict[tuple[int, int], list[Step]] = {}
    for statement, output, source, name, relation in connection.execute(query).all():
        step = Step(source, name, _relation(relation))
        found.setdefault((statement, output), []).append(step)
    return found


def _sayings(batch: list[int]) -> Any:
    """The statements that make an edge into one of the nodes, with each name they give it."""
    makes_one = exists().where(
        t.edge.c.statement_id == t.subject.c.statement_id, t.edge.c.output_id == t.subject.c.node_id
    )
    return (
        select(
            t.subject.c.statement_id,
            t.subject.c.node_id,
            t.subject.c.name,
            t.statement.c.predicate_type,
            t.statement.c.signer,
            *TIMES,
        )
        .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
        .where(t.subject.c.node_id.in_(batch), makes_one)
        .order_by(t.subject.c.statement_id, t.subject.c.position)
    )


@cache
def _relation(code: str) -> str:
    """Of the few that there are: read once, not for every row."""
    return t.Coded().process_result_value(code, None) or code
