"""The short way to a new catalogue, by which the tests go, ends where the migrations do."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, text

from stemma_migrations import run
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue import schema
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.tables import REVISION, metadata
from tests import migrated


def everything(connection: Connection) -> tuple[list[Any], list[Any]]:
    """The schema as the database knows it, and every row."""
    said = connection.execute(text("SELECT type, name, tbl_name, sql FROM sqlite_master"))
    known = sorted(tuple(row) for row in said)
    tables = [name for kind, name, *_ in known if kind == "table"]
    rows = {name: connection.execute(text(f'SELECT * FROM "{name}"')).all() for name in tables}
    return known, sorted((name, tuple(row)) for name in rows for row in rows[name])


def test_it_is_what_the_migrations_leave() -> None:
    with create_engine("sqlite://").connect() as short, create_engine("sqlite://").connect() as way:
        migrated.upgrade(short)
        run.upgrade(way)
        assert everything(short) == everything(way)
        assert everything(short)[1] == [("alembic_version", (REVISION,))]


def test_only_an_empty_database_takes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    migrated.left()
    asked: list[Connection] = []
    monkeypatch.setattr(migrated, "MIGRATE", asked.append)
    with create_engine("sqlite://").connect() as connection:
        migrated.upgrade(connection)
        assert not asked
        migrated.upgrade(connection)
        assert asked == [connection]


def test_the_tests_go_by_it_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert schema.upgrade is migrated.upgrade
    spoilt = (*migrated.left()[:9], "CREATE TABLE")
    monkeypatch.setattr(migrated, "left", lambda: spoilt)
    place, store = tmp_path / "catalogue.sqlite3", MemoryStore()
    with pytest.raises(sqlite3.OperationalError, match="incomplete input"):
        Catalogue.open(place, store)
    monkeypatch.undo()
    with closing(Catalogue.at(place, store)) as nothing:
        assert nothing.revision() is None
    with closing(Catalogue.open(place, store)) as catalogue:
        assert catalogue.revision() == REVISION
        assert catalogue.schema_differences() == []


def test_a_table_that_lies_by_row_ids_and_should_not_is_a_difference() -> None:
    with create_engine("sqlite://").connect() as connection:
        migrated.upgrade(connection)
        assert run.differences(connection, metadata) == []
        found = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'lifted'"))
        declared = found.scalar_one()
        assert "WITHOUT ROWID" in declared
        connection.execute(text("DROP TABLE lifted"))
        connection.execute(text(declared.replace("WITHOUT ROWID", "")))
        assert run.differences(connection, metadata) == [
            "table lifted: row ids, which is not declared"
        ]
