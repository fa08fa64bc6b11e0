"""Record index statements, found by an index of their own: there are few of them among many."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Connection, String, literal_column, select

from stemma_attestations.predicates import record_index
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact


def is_record_index() -> ColumnElement[bool]:
    """Whether a statement is one, in the very words of the index."""
    column: ColumnElement[Any] = literal_column("statement.predicate_type", String)
    return column == literal_column(f"'={record_index.TYPE}'", String)


def nodes(connection: Connection) -> set[int]:
    """What any of them is about."""
    about = (
        select(t.subject.c.node_id)
        .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
        .where(is_record_index())
        .distinct()
    )
    return set(connection.execute(about).scalars())


def by_node(connection: Connection) -> dict[int, list[Fact]]:
    """The statements about each node, in ledger order."""
    return query.facts_of(connection, sorted(nodes(connection)), record_index.TYPE)
