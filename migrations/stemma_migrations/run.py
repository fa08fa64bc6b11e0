"""Running the migrations on a connection that the caller opened."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, text
from sqlalchemy.schema import CreateIndex


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, to: str = "head") -> None:
    """Apply what is missing, up to revision `to`, inside the caller's transaction."""
    command.upgrade(_config(connection), to)


def revisions() -> list[str]:
    """Every revision there is, oldest first."""
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def differences(connection: Connection, metadata: MetaData) -> list[str]:
    """What an automatic migration from the database to `metadata` would do, in words."""
    options = {"compare_type": True, "include_object": _is_declared}
    context = MigrationContext.configure(connection, opts=options)
    with warnings.catch_warnings():
        # Alembic passes over indexes of expressions on SQLite, and says so; see below.
        warnings.filterwarnings("ignore", message=".*expression-based index")
        found: list[Any] = list(compare_metadata(context, metadata))
    return [
        *(str(item) for item in found),
        *_indexes(connection, metadata),
        *_rowids(connection, metadata),
    ]


def _is_declared(_item: object, name: str | None, kind: str, *_others: object) -> bool:
    """Whether the tables say so: not of what stands in for a primary key on PostgreSQL (0003)."""
    return not (kind == "index" and name == "ix_manifest_entry_artifact_id")


def _indexes(connection: Connection, metadata: MetaData) -> Iterator[str]:
    """The indexes of a SQLite database that are made of something else than `metadata` says."""
    if connection.dialect.name != "sqlite":
        return
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
    made = {name: " ".join(sql.split()) for name, sql in connection.execute(query)}
    for table in metadata.sorted_tables:
        for index in table.indexes:
            declared = str(CreateIndex(index).compile(dialect=connection.dialect))
            found = made.pop(str(index.name), None)
            if found != " ".join(declared.split()):
                yield f"index {index.name}: {found}, not {declared}"
    yield from (f"index {name}: {sql}, not declared" for name, sql in made.items())


def _rowids(connection: Connection, metadata: MetaData) -> Iterator[str]:
    """The tables of a SQLite database that lie by a row id where `metadata` says not, or not so."""
    if connection.dialect.name != "sqlite":
        return
    query = text("SELECT name, sql FROM sqlite_master WHERE type = 'table'")
    for name, sql in connection.execute(query):
        table, without = metadata.tables.get(name), sql.rstrip().upper().endswith("WITHOUT ROWID")
        if table is not None and without is table.dialect_options["sqlite"]["with_rowid"]:
            yield f"table {name}: {'no row ids' if without else 'row ids'}, which is not declared"
