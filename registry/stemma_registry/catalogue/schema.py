"""Creating and upgrading the catalogue: the one door to the migrations.

Alembic is slow to import, so the usual case (already at our revision) is
decided by one query.
"""

from __future__ import annotations

from typing import Literal

from sqlalchemy import Connection, inspect, text

from stemma_registry.catalogue.database import make_room
from stemma_registry.catalogue.tables import REVISION, metadata


def revision(connection: Connection) -> str | None:
    """The revision the database is at, or None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar()


def upgrade(connection: Connection) -> None:
    """Bring the database to our revision. Raises LedgerBroken's kin only from the caller."""
    from stemma_migrations import run  # lazily: alembic takes long to import

    make_room(connection)
    run.upgrade(connection)


def drop(connection: Connection) -> None:
    """Remove every table, whatever revision made it."""
    cascade = "CASCADE" if connection.dialect.name == "postgresql" else ""
    if not cascade:
        connection.execute(text("PRAGMA defer_foreign_keys=ON"))
    for name in inspect(connection).get_table_names():
        connection.execute(text(f'DROP TABLE "{name}" {cascade}'))


def check(connection: Connection) -> list[str]:
    """The differences between the database and the tables, in words; none is good."""
    from stemma_migrations import run

    return run.differences(connection, metadata)


def standing(connection: Connection) -> Literal["current", "behind", "ahead"]:
    """Where the database stands relative to this version of stemma."""
    found = revision(connection)
    if found == REVISION:
        return "current"
    if found is None:
        return "behind"
    from stemma_migrations import run

    return "behind" if found in run.revisions() else "ahead"
