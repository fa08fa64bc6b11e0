"""Acts of custody as they were recorded: each with its targets, and the releases that name it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from sqlalchemy import Connection, Select, literal_column, select, true

from stemma_registry.catalogue import bulk, facts, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT
from stemma_registry.catalogue.prepared import Prepared
from stemma_registry.catalogue.rows import Fact, StatusRow


def _statuses(about: Any, on: Any) -> Select[Any]:
    said, names = t.status.c, (about.c.name, about.c.version)
    return (
        select(
            *(about.c.node_id, about.c.path, said.payload, said.action, said.reason, said.issued),
            *FACT,
            *(one.label(f"subject_{one.name}") for one in names),
        )
        .join(t.statement, t.statement.c.id == said.statement_id)
        .join(about, on)
        .where(said.action == literal_column(":action"))
        .order_by(said.statement_id, about.c.position)
    )


_NAMED = t.subject.c.statement_id == t.status.c.statement_id
# PostgreSQL takes each status to be about as much as statements are at large, and reads all of it.
_STATUSES = Prepared(
    lambda _: _statuses(t.subject, _NAMED),
    lambda _: _statuses(select(t.subject).where(_NAMED).offset(0).lateral("about"), true()),
)
_STATUSES_OF = Prepared(
    lambda among: _statuses(t.subject, _NAMED).where(among(t.subject.c.node_id))
)


def _releases() -> Select[Any]:
    return (
        select(t.lifted.c.payload.label("lifts"), *FACT)
        .join(t.statement, t.statement.c.id == t.lifted.c.statement_id)
        .order_by(t.statement.c.id)
    )


_RELEASES = Prepared(lambda _: _releases())
_RELEASES_IN = Prepared(lambda among: _releases().where(among(t.lifted.c.statement_id)))


def statuses(connection: Connection, action: str) -> list[StatusRow]:
    """Every act of that kind with each of its targets, in ledger order."""
    return list(map(_status, _STATUSES.one(connection, action=action)))


def statuses_of(connection: Connection, action: str, nodes: Iterable[int]) -> list[StatusRow]:
    """The same of these targets, by what may be few of all that there are."""
    found = map(_status, _STATUSES_OF.rows(connection, nodes, action=action))
    return sorted(found, key=lambda row: row.fact.n)


def _status(row: Any) -> StatusRow:
    fact = facts.fact_of(row, row.subject_name, row.subject_version)
    about = row.node_id, row.payload, row.action, row.reason, row.issued, row.path
    return StatusRow(*about, fact)


def releases(connection: Connection) -> dict[str, list[Fact]]:
    """Quarantine (the hex digest of its statement) -> the releases that name it."""
    return _by_quarantine(_RELEASES.one(connection))


def releases_of(connection: Connection, quarantines: Collection[str]) -> dict[str, list[Fact]]:
    """The same of these, by what may be few of all that there are."""
    wanted, ids = set(quarantines), set[int]()
    for part in query.batches(wanted):
        marks, values = bulk.places([bytes.fromhex(one) for one in part])
        asked = f"SELECT statement_id FROM lifted WHERE payload IN ({marks})"  # noqa: S608 - marks
        ids.update(row for (row,) in bulk.ask(connection, asked, **values))
    rows = _RELEASES_IN.rows(connection, ids) if ids else []
    return _by_quarantine(row for row in rows if row.lifts in wanted)


def _by_quarantine(rows: Iterable[Any]) -> dict[str, list[Fact]]:
    found: dict[str, list[Fact]] = {}
    for row in rows:
        found.setdefault(row.lifts, []).append(facts.fact_of(row, None, None))
    return found
