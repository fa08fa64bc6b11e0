"""Record index statements, found by an index of their own: there are few of them among many.

Which records that are stopped an index has, it says itself (`compared`, `meets`): the runs may be
erased, and whoever reads the ledger again has to find the same. That is kept as the packages of a
BOM are: what a statement lists of its subject. Facts only; who is believed is asked later.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from sqlalchemy import ColumnElement, Connection, String, func, literal_column, or_, select

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.packages import Package
from stemma_attestations.predicates import record_index
from stemma_registry.catalogue import packages, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, fact_of
from stemma_registry.catalogue.rows import Fact


def is_record_index() -> ColumnElement[bool]:
    """Whether a statement is one, in the very words of the index."""
    column: ColumnElement[Any] = literal_column("statement.predicate_type", String)
    return column == literal_column(f"'={record_index.TYPE}'", String)


_SET = "records:"  # no package URL begins so
_MET, _NOT = "met", "not"


def project(connection: Connection, row: int, predicate: Mapping[str, Any]) -> None:
    """Write down which records that are stopped an index has, or has not. Raises BadStatement.

    Where a file has no index, nobody can say that it has not.
    """
    if not predicate.get("compared"):
        return
    said = record_index.parse(predicate)
    least = {Package(f"{_SET}{one.value}", _MET) for one in said.meets}
    if not said.skipped:
        without = set(said.compared) - set(said.meets)
        least |= {Package(f"{_SET}{one.value}", _NOT) for one in without}
    if least:
        texts = sorted([one.name, one.version] for one in least)
        digest = Digest.of(canonical.dumps({_SET: texts})).value
        packages.hold(connection, row, digest, lambda: least)


def having(connection: Connection, subject: Digest) -> set[int]:
    """The rows (as of packages) that say of something that it has records of a criterion."""
    known = packages.versions(connection, f"{_SET}{subject.value}")
    return {number for number, one in known.items() if one.version == _MET}


def compared(
    connection: Connection, subject: Digest, nodes: Iterable[int] | None
) -> tuple[dict[int, list[Fact]], dict[int, list[Fact]]]:
    """By whose word nodes (of these) have records, and by whose they have none of them.

    `subject` is the digest that stands for the criterion.
    """
    met: dict[int, list[Fact]] = {}
    without: dict[int, list[Fact]] = {}
    known = packages.versions(connection, f"{_SET}{subject.value}")
    for one in packages.listing(connection, known, nodes) if known else ():
        into = met if one.package.version == _MET else without
        into.setdefault(one.node_id, []).append(one.fact)
    return met, without


def comparing(connection: Connection, nodes: Iterable[int]) -> dict[int, list[Fact]]:
    """The statements about these that say anything of records that are stopped."""
    found: dict[int, list[Fact]] = {}
    for part in query.batches(nodes):
        wanted = (
            query.facts_select(t.subject.c.node_id)
            .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
            .join(t.packaged, t.packaged.c.statement_id == t.statement.c.id)
            .where(is_record_index(), t.subject.c.node_id.in_(part))
            .order_by(t.statement.c.id)
        )
        for row in connection.execute(wanted):
            found.setdefault(row.node_id, []).append(query.fact_of(row))
    return found


def arrived(
    connection: Connection, n: int, nodes: Collection[int] | None
) -> list[tuple[int, Fact]]:
    """The datasets (of these nodes) that came after entry `n`, once for each of their names."""
    wanted = (
        select(t.version.c.artifact_id, t.version.c.name, t.version.c.version, *FACT)
        .join(t.artifact, t.artifact.c.id == t.version.c.artifact_id)
        .join(t.statement, t.statement.c.id == t.version.c.statement_id)
        .where(t.artifact.c.n > n, t.version.c.kind == "dataset")
        .order_by(t.version.c.id)
    )
    parts = [None] if nodes is None else query.batches(nodes)
    return [
        (row.artifact_id, fact_of(row, row.name, row.version))
        for part in parts
        for row in connection.execute(
            wanted if part is None else wanted.where(t.version.c.artifact_id.in_(part))
        )
    ]


def with_files(connection: Connection, nodes: Collection[int], endings: Iterable[str]) -> set[int]:
    """Those artifacts that have a file whose path ends so, whatever the case of its letters."""
    path = func.lower(t.manifest_entry.c.path)
    like = or_(*(path.like(f"%{ending}") for ending in endings))
    found: set[int] = set()
    for part in query.batches(nodes):
        held = select(1).where(t.manifest_entry.c.artifact_id == t.artifact.c.id, like).exists()
        wanted = select(t.artifact.c.id).where(t.artifact.c.id.in_(part), held)
        found |= set(connection.execute(wanted).scalars())
    return found


def nodes(connection: Connection, after: int | None = None) -> set[int]:
    """What any of them is about; of those that were said after an entry of the ledger."""
    about = (
        select(t.subject.c.node_id)
        .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
        .where(is_record_index())
        .distinct()
    )
    if after is not None:
        about = about.where(t.statement.c.n > after)
    return set(connection.execute(about).scalars())


def by_node(connection: Connection, after: int | None = None) -> dict[int, list[Fact]]:
    """All statements about each of those nodes, in ledger order."""
    return query.facts_of(connection, sorted(nodes(connection, after)), record_index.TYPE)
