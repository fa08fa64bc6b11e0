"""Questions to the catalogue, answered as plain values.

Long lists of ids are asked for in batches, which keeps every query on an index
and below the databases' limits on parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, and_, exists, literal_column, null, select

from stemma_attestations.digest import LENGTHS, Digest, all_written
from stemma_attestations.marks import Mark
from stemma_attestations.named import Named
from stemma_attestations.names import NameVersion
from stemma_registry.catalogue import bulk, facts
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import all_hexed, hexed, word
from stemma_registry.catalogue.facts import FACT
from stemma_registry.catalogue.prepared import AT_ONCE, Prepared
from stemma_registry.catalogue.rows import (
    ArtifactRow,
    EdgeRow,
    Fact,
    PartRow,
    VersionRow,
)

BATCH = 400
T = TypeVar("T")


def batches(ids: Iterable[Any], size: int = BATCH) -> Iterator[list[Any]]:
    """The ids, each once, in portions that a query can name."""
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), size):
        yield ordered[start : start + size]


def _all(
    connection: Connection,
    ids: Iterable[Any],
    query: Callable[[list[Any]], Select[Any]] | Prepared,
    make: Callable[[Any], T],
) -> list[T]:
    """`query` is prepared, or made for each batch."""
    if isinstance(query, Prepared):
        return [make(row) for row in query.rows(connection, ids)]
    found = (connection.execute(query(batch)) for batch in batches(ids))
    return [make(row) for rows in found for row in rows.all()]


def facts_select(*columns: Any) -> Select[Any]:
    """A query for these columns and what `fact_of` reads; what it selects from is the caller's."""
    return select(*columns, *FACT, *_SUBJECT)


def fact_of(row: Any) -> Fact:
    """The statement of a row of `facts_select`."""
    return facts.fact_of(row, row.subject_name, row.subject_version)


_SUBJECT = (
    t.subject.c.name.label("subject_name"),
    t.subject.c.version.label("subject_version"),
)


_NODE = (
    "SELECT id FROM node "  # noqa: S608 - a number
    f"WHERE substr(value, 1, {t.HEAD}) = :head AND value = :value AND scheme = :scheme"
)


def node_id(connection: Connection, digest: Digest) -> int | None:
    """The node of a digest, if there is one."""
    value, code = bytes.fromhex(digest.value), t.CODES.get(digest.algorithm)
    scheme = code or f"={digest.algorithm}"  # as `Coded` writes it
    found = bulk.ask(connection, _NODE, head=value[: t.HEAD], value=value, scheme=scheme)
    return int(found[0][0]) if found else None


_SHA256 = t.CODES["sha256"]
_DIGESTS = Prepared(
    lambda among: select(t.node.c.id, t.node.c.scheme, t.node.c.value).where(among(t.node.c.id))
)

_TEXTS = Prepared(lambda among: select(t.named).where(among(t.named.c.node_id)))


def digests(connection: Connection, ids: Iterable[int]) -> dict[int, Digest]:
    """The digests of nodes; of those that are known by a name only, the names."""
    return known(connection, _DIGESTS.raw(connection, ids))


def known(connection: Connection, rows: Sequence[tuple[int, str, bytes]]) -> dict[int, Digest]:
    """The same of nodes whose rows are known: id, scheme and value as the database has them."""
    common = [row for row in rows if row[1] == _SHA256]
    values = all_written(all_hexed([row[2] for row in common]))
    found = {row[0]: digest for row, digest in zip(common, values, strict=True)}
    if len(common) == len(rows):
        return found
    others = {node: (word(code), hexed(value)) for node, code, value in rows if node not in found}
    found |= {node: Digest(*key) for node, key in others.items() if key[0] in LENGTHS}
    by_name = {node: key for node, key in others.items() if node not in found}
    said = dict(
        _TEXTS.rows(connection, by_name)
    )  # where one is missing, what is there is no name, and says so
    return {**found, **{node: Named(*key, said.get(node, "")) for node, key in by_name.items()}}


def artifacts(connection: Connection, ids: Iterable[int]) -> dict[int, ArtifactRow]:
    """Those of the nodes that are artifacts."""
    rows = _all(
        connection,
        ids,
        lambda part: select(
            t.artifact.c.id, t.artifact.c.size, t.artifact.c.files, t.artifact.c.n
        ).where(t.artifact.c.id.in_(part)),
        lambda row: ArtifactRow(row.id, row.size, row.files, row.n),
    )
    return {row.id: row for row in rows}


def _versions() -> Select[Any]:
    return select(
        t.version.c.name,
        t.version.c.version,
        t.version.c.kind,
        t.version.c.artifact_id,
        t.version.c.definition,
        t.version.c.name.label("subject_name"),
        t.version.c.version.label("subject_version"),
        *FACT,
    ).join(t.statement, t.statement.c.id == t.version.c.statement_id)


def _version(row: Any) -> VersionRow:
    name = NameVersion(row.name, row.version)
    return VersionRow(name, row.kind, row.artifact_id, row.definition, fact_of(row))


def bindings(connection: Connection, name: NameVersion) -> list[VersionRow]:
    """Everything said about NAME:VERSION, in ledger order."""
    query = (
        _versions()
        .where(t.version.c.name == name.name, t.version.c.version == name.version)
        .order_by(t.version.c.id)
    )
    return [_version(row) for row in connection.execute(query)]


def versions_named(connection: Connection, name: str) -> list[VersionRow]:
    """Every version of NAME, in ledger order."""
    query = _versions().where(t.version.c.name == name).order_by(t.version.c.id)
    return [_version(row) for row in connection.execute(query)]


_VERSIONS_OF = Prepared(
    lambda among: _versions().where(among(t.version.c.artifact_id)).order_by(t.version.c.id)
)


def versions_of(connection: Connection, ids: Iterable[int]) -> dict[int, list[VersionRow]]:
    """The names of artifacts, in ledger order."""
    rows = _all(connection, ids, _VERSIONS_OF, _version)
    found: dict[int, list[VersionRow]] = {}
    for row in rows:
        found.setdefault(row.artifact_id, []).append(row)
    return found


def all_versions(connection: Connection, kind: str | None = None) -> list[VersionRow]:
    """Every binding, by name and then in ledger order."""
    query = _versions().order_by(t.version.c.name, t.version.c.id)
    if kind is not None:
        query = query.where(t.version.c.kind == kind)
    return [_version(row) for row in connection.execute(query)]


def facts_about(connection: Connection, node: int) -> list[Fact]:
    """Every statement about a node, in ledger order."""
    query = (
        select(*FACT, *_SUBJECT)
        .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
        .where(t.subject.c.node_id == node)
        .order_by(t.statement.c.id, t.subject.c.position)
    )
    return [fact_of(row) for row in connection.execute(query)]


_FACTS_IN = Prepared(
    lambda among: select(
        t.statement.c.id,
        *FACT,
        null().label("subject_name"),
        null().label("subject_version"),
    ).where(among(t.statement.c.id))
)


def facts_in(connection: Connection, ids: Iterable[int]) -> list[tuple[int, Fact]]:
    """The statements of these rows, whatever they are about."""
    return _all(connection, ids, _FACTS_IN, lambda row: (row.id, fact_of(row)))


def facts_of(
    connection: Connection, nodes: Iterable[int], predicate_type: str
) -> dict[int, list[Fact]]:
    """The statements of one type about each of the nodes, in ledger order."""
    rows = _all(
        connection,
        nodes,
        lambda part: (
            select(t.subject.c.node_id, *FACT, *_SUBJECT)
            .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
            .where(t.subject.c.node_id.in_(part), t.statement.c.predicate_type == predicate_type)
            .order_by(t.statement.c.id, t.subject.c.position)
        ),
        lambda row: (row.node_id, fact_of(row)),
    )
    found: dict[int, list[Fact]] = {}
    for node, fact in rows:
        found.setdefault(node, []).append(fact)
    return found


def _edges() -> Select[Any]:
    edge, said = t.edge.c, t.subject.c
    named = and_(said.statement_id == edge.statement_id, said.node_id == edge.output_id)
    return (
        select(
            *(edge.input_id, edge.output_id, edge.relation, edge.input_name, edge.mark),
            *FACT,
            *_SUBJECT,
        )
        .join(t.statement, t.statement.c.id == edge.statement_id)
        .outerjoin(t.subject, named)  # in a whole order: of several edges the first is shown
        .order_by(edge.statement_id, edge.output_id, edge.input_id, edge.relation, said.position)
    )


def _edge(row: Any) -> EdgeRow:
    mark = Mark.EXACT if row.mark is None else Mark(row.mark)
    return EdgeRow(row.input_id, row.output_id, row.relation, row.input_name, fact_of(row), mark)


_INTO = Prepared(lambda among: _edges().where(among(t.edge.c.output_id)))
_FROM = Prepared(lambda among: _edges().where(among(t.edge.c.input_id)))
# The sign keeps the database from looking up each of all pairs.
_AMONG = Prepared(
    lambda among: _edges().where(among(t.edge.c.output_id), among(literal_column("+edge.input_id")))
)


def edges_into(connection: Connection, outputs: Iterable[int]) -> list[EdgeRow]:
    """The edges that say what the outputs were made from."""
    return _all(connection, outputs, _INTO, _edge)


def edges_among(connection: Connection, nodes: Collection[int]) -> list[EdgeRow]:
    """Those of the edges into these nodes that come from one of them."""
    if len(nodes) > AT_ONCE:  # which are asked for in portions
        return [row for row in edges_into(connection, nodes) if row.input_id in nodes]
    return _all(connection, nodes, _AMONG, _edge)


def edges_from(connection: Connection, inputs: Iterable[int]) -> list[EdgeRow]:
    """The edges that say what was made from the inputs."""
    return _all(connection, inputs, _FROM, _edge)


def is_input(connection: Connection, node: int) -> bool:
    """Whether anything is said to come from a node."""
    asked = "SELECT 1 FROM edge WHERE input_id = :node LIMIT 1"
    return bool(bulk.ask(connection, asked, node=node))


_PART = (t.manifest_entry.c.artifact_id, t.manifest_entry.c.blob_id, t.manifest_entry.c.path)


def _part(row: Any) -> PartRow:
    return PartRow(row.artifact_id, row.blob_id, row.path)


_HELD = t.manifest_entry.c.blob_id
_BY_BLOB = (_HELD, t.manifest_entry.c.artifact_id, t.manifest_entry.c.path)
_CONTAINERS = Prepared(lambda among: select(*_PART).where(among(_HELD)).order_by(*_BY_BLOB))


def containers(connection: Connection, blobs: Iterable[int]) -> list[PartRow]:
    """Where blobs are contained."""
    return _all(connection, blobs, _CONTAINERS, _part)


def is_file(connection: Connection, blob: int) -> bool:
    """Whether an artifact contains a blob."""
    asked = select(t.manifest_entry.c.blob_id).where(t.manifest_entry.c.blob_id == blob).limit(1)
    return connection.execute(asked).first() is not None


def parts(connection: Connection, artifact_ids: Iterable[int]) -> list[PartRow]:
    """The files of artifacts."""
    return _all(
        connection,
        artifact_ids,
        lambda ids: select(*_PART).where(t.manifest_entry.c.artifact_id.in_(ids)),
        _part,
    )


_CONSUMED = Prepared(
    lambda among: select(*_PART).where(
        among(t.manifest_entry.c.artifact_id),
        exists().where(t.edge.c.input_id == t.manifest_entry.c.blob_id),
    )
)


def consumed_parts(connection: Connection, artifact_ids: Iterable[int]) -> list[PartRow]:
    """The files of artifacts that something was made from directly."""
    return _all(connection, artifact_ids, _CONSUMED, _part)
