"""What leads into many nodes at once, without what a walk does not need."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import cache
from itertools import count
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, Text, select, type_coerce

from stemma_attestations.digest import Digest
from stemma_attestations.marks import Mark
from stemma_attestations.times import Times
from stemma_registry.catalogue import bulk, made
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import word
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.prepared import AT_ONCE, Prepared
from stemma_registry.catalogue.query import batches

_PLACED = bulk.AMONG["postgresql"]
_DEEP = 64  # levels
_BATCH = 1_000  # nodes; and so many statements are asked for in the same query
# By which column what is near is found: along edges, and files; and along edges into files.
Near = tuple[str, str, tuple[str, str]]


class Step(NamedTuple):
    """One edge, from its output."""

    input_id: int
    input_name: str | None
    relation: str
    mark: Mark


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


def _along(near: Near, edge: str, file: str, wanted: str) -> dict[tuple[str, bool], str]:
    """What asks along edges, files, and edges into files, each for these columns.

    As SQLite walks a list fastest, also where there are no such files, and as PostgreSQL does.
    """
    by_edge, by_file, (joined, by_made) = near
    plain = (
        f"SELECT {edge} FROM json_each(:listed) AS near "  # noqa: S608 - ours
        f"CROSS JOIN edge ON edge.{by_edge} = near.value UNION ALL "
        f"SELECT {file} FROM json_each(:listed) AS near "
        f"CROSS JOIN manifest_entry ON manifest_entry.{by_file} = near.value"
    )
    return {
        ("sqlite", False): plain,
        ("sqlite", True): (
            f"{plain} UNION ALL SELECT {wanted} "  # noqa: S608 - ours
            f"FROM json_each(:listed) AS near CROSS JOIN {joined.format(near='near.value')}"
        ),
        ("postgresql", True): (
            f"SELECT {edge} FROM edge WHERE {by_edge} {_PLACED} "  # noqa: S608 - ours
            f"UNION ALL SELECT {file} FROM manifest_entry WHERE {by_file} {_PLACED} "
            f"UNION ALL SELECT {wanted} FROM {made.BOTH} "
            f"WHERE {by_made} {_PLACED}"
        ),
    }


_UP = ("output_id", "blob_id", made.UP)
_DOWN = ("input_id", "artifact_id", made.DOWN)
_ABOVE = _along(_UP, "input_id", "artifact_id", "edge.input_id")
_BELOW = _along(_DOWN, "output_id", "blob_id", "made.artifact_id")
_WAYS = _along(
    _UP, "input_id, output_id", "artifact_id, blob_id", "edge.input_id, made.artifact_id"
)


def _kind(connection: Connection) -> tuple[str, bool]:
    return connection.dialect.name, made.are_there(connection)


def shape(
    connection: Connection, start: int, limit: int, deep: Callable[[], bool] = lambda: True
) -> set[int] | None:
    """All that `halts.upstream` finds; None where that is more than `limit`.

    A level at a time, which is faster than a recursive query where levels are wide. Where
    there are many, `deep` is asked once whether to go on, and nothing is found if it says no.
    """
    sql = _ABOVE[_kind(connection)]
    seen, frontier = {start}, [start]
    for level in count():
        rows = bulk.ask(connection, sql, listed=bulk.listed(connection, frontier))
        frontier = sorted({far for (far,) in rows}.difference(seen))
        if not frontier:
            break
        seen.update(frontier)
        if len(seen) > limit:
            return None
        if level == _DEEP and not deep():
            return set()
    return seen


def between(connection: Connection, above: set[int], ends: Iterable[int]) -> set[int]:
    """Those of a `shape` that are not above all of `ends`, which are in it or not."""
    found = above.intersection(ends)
    sql, frontier, room = _BELOW[_kind(connection)], sorted(found), len(above) // 4 + _DEEP
    # As long as what comes from the ends is little beside all that is above.
    for _ in range(_DEEP):
        if not frontier:
            return found
        values = {"listed": bulk.listed(connection, frontier), "room": room}
        rows = bulk.ask(connection, f"{sql} LIMIT :room", **values)
        room -= len(rows)
        if room <= 0:
            break
        frontier = sorted({near for (near,) in rows if near in above}.difference(found))
        found.update(frontier)
    return _between(connection, above, ends)


def _between(connection: Connection, above: set[int], ends: Iterable[int]) -> set[int]:
    """The same, by all ways up that there are."""
    below: dict[int, list[int]] = {}
    sql = _WAYS[_kind(connection)]
    for part in batches(above, AT_ONCE):
        listed = bulk.listed(connection, part)
        for far, near in bulk.ask(connection, sql, listed=listed):
            below.setdefault(far, []).append(near)
    found, rest = set[int](), [end for end in ends if end in above]
    while rest:
        here = rest.pop()
        if here not in found:
            found.add(here)
            rest += below.get(here, ())
    return found


def into(connection: Connection, nodes: Collection[int]) -> dict[int, list[Saying]]:
    """The edges that say what each of the nodes was made from, by statement, in ledger order."""
    found: dict[int, list[Saying]] = {node: [] for node in nodes}
    for batch in batches(nodes, _BATCH):
        edges = _edges(connection, batch)
        outputs: dict[int, list[int]] = {}
        for statement, node in edges:
            outputs.setdefault(statement, []).append(node)
        for part in batches(outputs, _BATCH):
            named, who = set[tuple[int, int]](), dict[int, Any]()
            for row in connection.execute(_sayings(part, batch)).all():
                statement, node = row[:2]
                who[statement] = row
                if steps := edges.get((statement, node)):
                    named.add((statement, node))
                    found[node].append(_saying(row, row.name, steps))
            for statement, row in who.items():
                for node in outputs[statement]:
                    if (statement, node) not in named:  # it is mentioned, and no subject
                        steps = edges[statement, node]
                        found[node].append(_saying(row, None, steps))
    return found


def _saying(row: Any, name: str | None, steps: Iterable[Step]) -> Saying:
    signed = () if row.root is None else times_of(row)
    bundle = Digest("sha256", row.bundle)
    return Saying(bundle, row.predicate_type, row.signer, name, signed, tuple(steps))


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


_CALLED = Prepared(
    lambda among: (
        select(
            t.version.c.artifact_id,
            t.version.c.name,
            t.version.c.version,
            t.statement.c.predicate_type,
            t.statement.c.signer,
            *TIMES,
        )
        .join(t.statement, t.statement.c.id == t.version.c.statement_id)
        .where(among(t.version.c.artifact_id))
        .order_by(t.version.c.id)
    )
)


def called(connection: Connection, nodes: Iterable[int]) -> dict[int, list[Called]]:
    """The names of artifacts, in ledger order."""
    found: dict[int, list[Called]] = {}
    for row in _CALLED.rows(connection, nodes):
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
            t.edge.c.mark,
        )
        .where(t.edge.c.output_id.in_(batch))
        .order_by(t.edge.c.statement_id, t.edge.c.output_id, t.edge.c.input_id, t.edge.c.relation)
    )
    found: dict[tuple[int, int], list[Step]] = {}
    for statement, output, source, name, relation, mark in connection.execute(query).all():
        how = Mark.EXACT if mark is None else Mark(mark)
        step = Step(source, name, _relation(relation), how)
        found.setdefault((statement, output), []).append(step)
    return found


def _sayings(statements: list[int], nodes: list[int]) -> Select[Any]:
    """What some statements call some nodes."""
    return (
        select(
            t.statement.c.id,
            t.subject.c.node_id,
            t.subject.c.name,
            t.statement.c.bundle,
            t.statement.c.predicate_type,
            t.statement.c.signer,
            *TIMES,
        )
        .select_from(t.statement)
        .outerjoin(
            t.subject,
            (t.subject.c.statement_id == t.statement.c.id) & t.subject.c.node_id.in_(nodes),
        )
        .where(t.statement.c.id.in_(statements))
        .order_by(t.statement.c.id, t.subject.c.position)
    )


@cache
def _relation(code: str) -> str:
    """Of the few that there are: read once, not for every row."""
    return word(code)
