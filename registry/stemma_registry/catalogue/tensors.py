"""What statements say about tensors: rows of the catalogue, written and read.

A table is written down once, whoever says it and however often. It counts from the event on
that refers to the statement and to the table's blob together, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, exists, func, insert, select

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, BadTable
from stemma_attestations.predicates import tensors
from stemma_attestations.tensor_table import Table
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, fact_of
from stemma_registry.catalogue.query import BATCH
from stemma_registry.catalogue.rows import Fact
from stemma_registry.ledger.entry import Event


@dataclass(frozen=True)
class TableRow:
    """A table of an artifact's tensors, and a statement that says it.

    `digest` is that of the table's blob, `size` the bytes of its tensors.
    """

    id: int
    digest: Digest
    artifact_id: int
    size: int
    fact: Fact


@dataclass(frozen=True)
class Shared:
    """What a table has of a set of tensors: how many, and how many bytes."""

    table_id: int
    tensors: int
    size: int


def project(
    connection: Connection,
    event: Event,
    node: Callable[[Digest], int],
    blob: Callable[[Digest], bytes],
) -> None:
    """Write down the tables that come with an event. Raises what `blob` raises."""
    here = set(event.keys)
    for row, bundle in _unread(connection, event):
        try:
            statement = Bundle.parse(blob(bundle)).statement()
            said = tensors.parse(statement.predicate)
            if said.table not in here:
                continue  # it may come with a later event
            table = Table.parse(blob(said.table))
        except (BadBundle, BadStatement, BadTable):
            continue
        if not statement.subjects_about(table.artifact):
            continue  # a statement speaks of its subjects only
        known = _known(connection, said.table)
        number = _write(connection, table, node(table.artifact)) if known is None else known
        connection.execute(insert(t.tensor_said).values(statement_id=row, table_id=number))


def _unread(connection: Connection, event: Event) -> list[tuple[int, Digest]]:
    """The event's statements about tensors whose tables were not seen yet."""
    found: list[tuple[int, Digest]] = []
    bundles = sorted({digest.value for digest in event.bundles})
    for start in range(0, len(bundles), BATCH):
        query = (
            select(t.statement.c.id, t.statement.c.bundle)
            .where(
                t.is_one_of(t.statement.c.bundle, bundles[start : start + BATCH]),
                t.statement.c.predicate_type == tensors.TYPE,
                ~exists().where(t.tensor_said.c.statement_id == t.statement.c.id),
            )
            .order_by(t.statement.c.id)
        )
        found += [(r.id, Digest("sha256", r.bundle)) for r in connection.execute(query)]
    return found


def _known(connection: Connection, table: Digest) -> int | None:
    query = select(t.tensor_table.c.id).where(t.is_one_of(t.tensor_table.c.digest, [table.value]))
    found: int | None = connection.execute(query).scalar()
    return found


def _write(connection: Connection, table: Table, artifact: int) -> int:
    made = insert(t.tensor_table).values(
        digest=table.digest.value, artifact_id=artifact, size=sum(table.telling.values())
    )
    key = connection.execute(made).inserted_primary_key
    number = int(key[0]) if key else 0
    ids = _tensors(connection, table.telling)
    if ids:
        rows = [{"table_id": number, "tensor_id": one} for one in sorted(ids)]
        connection.execute(insert(t.tensor_row), rows)
    return number


def _tensors(connection: Connection, telling: Mapping[Digest, int]) -> list[int]:
    """The ids of tensors, made where they are new."""
    known = _ids(connection, telling)
    new = [(d.value, size) for d, size in telling.items() if (d.value, size) not in known]
    if new:
        rows = [{"digest": value, "size": size} for value, size in sorted(new)]
        connection.execute(insert(t.tensor), rows)
        known = _ids(connection, telling)
    return [known[digest.value, size] for digest, size in telling.items()]


def _ids(connection: Connection, telling: Mapping[Digest, int]) -> dict[tuple[str, int], int]:
    wanted = sorted(digest.value for digest in telling)
    found: dict[tuple[str, int], int] = {}
    for start in range(0, len(wanted), BATCH):
        query = select(t.tensor.c.digest, t.tensor.c.size, t.tensor.c.id).where(
            t.is_one_of(t.tensor.c.digest, wanted[start : start + BATCH])
        )
        found.update(((r.digest, r.size), r.id) for r in connection.execute(query))
    return found


def present(connection: Connection, telling: Mapping[Digest, int]) -> dict[int, tuple[Digest, int]]:
    """Those of the tensors that any table has: id -> digest and size."""
    known = _ids(connection, telling)
    pairs = ((digest, size) for digest, size in telling.items())
    return {known[d.value, size]: (d, size) for d, size in pairs if (d.value, size) in known}


def with_digest(connection: Connection, digest: Digest) -> list[int]:
    """The tensors of a digest: one for each size that somebody said."""
    query = select(t.tensor.c.id).where(t.is_one_of(t.tensor.c.digest, [digest.value]))
    return list(connection.execute(query.order_by(t.tensor.c.id)).scalars())


def tables(
    connection: Connection,
    *,
    ids: Iterable[int] | None = None,
    artifacts: Iterable[int] | None = None,
) -> list[TableRow]:
    """Tables by their ids or by their artifacts, one row for each statement, in ledger order."""
    column = t.tensor_table.c.id if ids is not None else t.tensor_table.c.artifact_id
    wanted = sorted(set(ids if ids is not None else artifacts or ()))
    found: list[TableRow] = []
    for start in range(0, len(wanted), BATCH):
        query = (
            select(
                t.tensor_table.c.id.label("table_id"),
                t.tensor_table.c.digest,
                t.tensor_table.c.artifact_id,
                t.tensor_table.c.size,
                t.subject.c.name.label("subject_name"),
                t.subject.c.version.label("subject_version"),
                *FACT,
            )
            .join(t.tensor_said, t.tensor_said.c.table_id == t.tensor_table.c.id)
            .join(t.statement, t.statement.c.id == t.tensor_said.c.statement_id)
            .join(
                t.subject,
                (t.subject.c.statement_id == t.statement.c.id)
                & (t.subject.c.node_id == t.tensor_table.c.artifact_id),
            )
            .where(column.in_(wanted[start : start + BATCH]))
            .order_by(t.statement.c.id, t.subject.c.position)
        )
        found += [_table(row) for row in connection.execute(query)]
    return found


def artifacts(connection: Connection) -> set[int]:
    """Everything that has a table, whoever says it."""
    said = select(t.tensor_said.c.table_id)
    query = select(t.tensor_table.c.artifact_id).where(t.tensor_table.c.id.in_(said))
    return set(connection.execute(query).scalars())


def _table(row: Any) -> TableRow:
    fact = fact_of(row, row.subject_name, row.subject_version)
    return TableRow(row.table_id, Digest("sha256", row.digest), row.artifact_id, row.size, fact)


def rows_of(connection: Connection, table_ids: Iterable[int]) -> dict[int, int]:
    """Tensor -> its size, of all the tables together."""
    found: dict[int, int] = {}
    wanted = sorted(set(table_ids))
    for start in range(0, len(wanted), BATCH):
        query = (
            select(t.tensor.c.id, t.tensor.c.size)
            .join(t.tensor_row, t.tensor_row.c.tensor_id == t.tensor.c.id)
            .where(t.tensor_row.c.table_id.in_(wanted[start : start + BATCH]))
        )
        found.update((row.id, row.size) for row in connection.execute(query))
    return found


def sharing(connection: Connection, tensor_ids: Iterable[int]) -> list[Shared]:
    """Every table that has one of the tensors, with how much of them it has."""
    counted: dict[int, tuple[int, int]] = {}
    wanted = sorted(set(tensor_ids))
    for start in range(0, len(wanted), BATCH):
        row, tensor = t.tensor_row, t.tensor
        query = (
            select(row.c.table_id, func.count(), func.sum(tensor.c.size))
            .join(tensor, tensor.c.id == row.c.tensor_id)
            .where(row.c.tensor_id.in_(wanted[start : start + BATCH]))
            .group_by(row.c.table_id)
        )
        for table, count, size in connection.execute(query):
            before = counted.get(table, (0, 0))
            counted[table] = before[0] + int(count), before[1] + int(size)
    return [Shared(table, count, size) for table, (count, size) in sorted(counted.items())]


def below(connection: Connection, starts: Iterable[int], limit: int) -> set[int]:
    """Everything that any edge leads to from these nodes, and from files of what is met.

    Stops behind `limit` nodes.
    """
    found, frontier = set(starts), sorted(set(starts))
    while frontier and len(found) < limit:
        following: set[int] = set()
        for start in range(0, len(frontier), BATCH):
            part = frontier[start : start + BATCH]
            used = exists().where(t.edge.c.input_id == t.manifest_entry.c.blob_id)
            for query in (
                select(t.edge.c.output_id).where(t.edge.c.input_id.in_(part)),
                select(t.manifest_entry.c.blob_id).where(
                    t.manifest_entry.c.artifact_id.in_(part), used
                ),
            ):
                following |= set(connection.execute(query).scalars())
        frontier = sorted(following - found)
        found |= following
    return found
