"""The schema of a new SQLite catalogue: made by the migrations once, then by what they left.

Every migration there has been takes an eighth of a second of each new catalogue, and thousands of
tests open one of their own. Only an empty SQLite database is made this way, inside the transaction
that would have migrated it; what an older version left, and PostgreSQL, is migrated as ever.
"""

from __future__ import annotations

import functools
import sqlite3

from sqlalchemy import Connection, create_engine

from stemma_registry.catalogue import schema

MIGRATE = schema.upgrade


@functools.cache
def left() -> tuple[str, ...]:
    """What to say to an empty database so that it is as the migrations leave one."""
    with create_engine("sqlite://").connect() as connection:
        MIGRATE(connection)
        connection.commit()
        _begin, *said, _commit = _raw(connection).iterdump()
    return tuple(said)


def upgrade(connection: Connection) -> None:
    """Stands in for `schema.upgrade`."""
    if (
        connection.dialect.name != "sqlite"
        or _raw(connection).execute("SELECT 1 FROM sqlite_master").fetchone()
    ):
        MIGRATE(connection)
        return
    for statement in left():
        _raw(connection).execute(statement)


def install() -> None:
    """From now on, in this process and in those that it forks."""
    schema.upgrade = upgrade


def _raw(connection: Connection) -> sqlite3.Connection:
    found = connection.connection.driver_connection
    assert isinstance(found, sqlite3.Connection)
    return found
