"""What leads into many nodes at once, without what a walk does not need."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Text, select, type_coerce

from stemma_attestations.digest import Digest
from stemma_attestations.times import Times
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import word
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.query import batches

_BATCH = 1_000  # nodes; and so many statements are asked for in the same query


class Step(NamedTuple):
    """One edge, from its output."""

    input_id: int
    input_name: str | None
    relation: str


@dataclass(frozen=True)
class Saying:
    """What one statement says a node was made from, under one name; see `rows.Fact`."""

    bundle: Digest
    predicate_type: str
    signer: str | None
    name: str | None
    signed: Times
    edges: tuple[Step, ...]


@dataclass(frozen=True)
class Spoken:
    """A statement about a node: as much of `rows.Fact` as says whether it is heard."""

    bundle: Digest
    signer: str | None


class Called(NamedTuple):
    """A name of an artifact, and who says so; see `rows.VersionRow`."""

    name: str
    version: str
    predicate_type: str
    signer: str | None
    signed: Times


def above(connection: Connection, nodes: Collection[int], limit: int) -> set[int]:
    """So many of the nodes that are above these along any edge, nearest first, and these."""
    found = select(t.node.c.id).where(t.node.c.id.in_(nodes)).cte("above", recursive=True)
    found = found.union(select(t.edge.c.input_id).where(t.edge.c.output_id == found.c.id))
    return set(connection.execute(select(found.c.id).limit(limit)).scalars())


def into(connection: Connection, nodes: Collection[int]) -> dict[int, list[Saying]]:
    """The edges that say what each of the nodes was made from, by statement, in ledger order."""
    found: dict[int, list[Saying]] = {node: [] for node in nodes}
    for batch in batches(nodes, _BATCH):
        edges = _edges(connection, batch)
        for part in batches((statement for statement, _ in edges), _BATCH):
            for row in connection.execute(_sayings(part, batch)).all():
                statement, node, name, bundle, kind, signer = row[:6]
                if steps := edges.get((statement, node)):
                    signed = () if row.root is None else times_of(row)
                    said = Digest("sha256", bundle), kind, signer, name, signed
                    found[node].append(Saying(*said, tuple(steps)))
    return found


def spoken_about(
    connection: Connection, nodes: Iterable[int], kinds: Collection[str]
) -> dict[str, dict[int, list[Spoken]]]:
    """By predicate type: the statements about each of the nodes, in ledger order."""
    found: dict[str, dict[int, list[Spoken]]] = {kind: {} for kind in kinds}
    for batch in batches(nodes, _BATCH):
        query = (
            select(
                t.subject.c.node_id,
                t.statement.c.bundle,
                t.statement.c.predicate_type,
                t.statement.c.signer,
            )
            .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
            .where(t.subject.c.node_id.in_(batch), t.statement.c.predicate_type.in_(kinds))
            .order_by(t.statement.c.id, t.subject.c.position)
        )
        for node, bundle, kind, signer in connection.execute(query).all():
            one = Spoken(Digest("sha256", bundle), signer)
            found[kind].setdefault(node, []).append(one)
    return found


def called(connection: Connection, nodes: Iterable[int]) -> dict[int, list[Called]]:
    """The names of artifacts, in ledger order."""
    found: dict[int, list[Called]] = {}
    for batch in batches(nodes, _BATCH):
        query = (
            select(
                t.version.c.artifact_id,
                t.version.c.name,
                t.version.c.version,
                t.statement.c.predicate_type,
                t.statement.c.signer,
                *TIMES,
            )
            .join(t.statement, t.statement.c.id == t.version.c.statement_id)
            .where(t.version.c.artifact_id.in_(batch))
            .order_by(t.version.c.id)
        )
        for row in connection.execute(query).all():
            node, name, version, kind, signer = row[:5]
            signed = () if row.root is None else times_of(row)
            found.setdefault(node, []).append(Called(name, version, kind, signer, signed))
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


def _sayings(statements: list[int], nodes: list[int]) -> Select[Any]:
    """What some statements call some nodes."""
    return (
        select(
            t.subject.c.statement_id,
            t.subject.c.node_id,
            t.subject.c.name,
            t.statement.c.bundle,
            t.statement.c.predicate_type,
            t.statement.c.signer,
            *TIMES,
        )
        .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
        .where(t.subject.c.statement_id.in_(statements), t.subject.c.node_id.in_(nodes))
        .order_by(t.subject.c.statement_id, t.subject.c.position)
    )


@cache
def _relation(code: str) -> str:
    """Of the few that there are: read once, not for every row."""
    return word(code)
