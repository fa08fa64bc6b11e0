"""Where a catalogue is kept: an SQLite file of this user, memory, or a schema of a PostgreSQL.

Two kinds of transaction, whatever the database: one that reads sees a single state, and
there is one at a time that writes, which sees everything that was committed before it began.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.pool import StaticPool

from stemma_registry.catalogue import bulk
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable

_WRITE = "stemma_write"  # the execution option that says so
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


@dataclass(frozen=True)
class Database:
    """One catalogue's place: the file `path`, or where there is a `url` a schema on that server.

    The schema is named by the registry's location, so that one server does for many registries.
    """

    path: Path
    url: str | None = None

    @property
    def label(self) -> str:
        """For people: without the password."""
        if self.url is None:
            return str(self.path)
        return f"{_server(self.url).render_as_string(hide_password=True)} ({self.schema})"

    @property
    def schema(self) -> str:
        """The PostgreSQL schema: as the file is named, which is by the registry's location."""
        return f"stemma_{self.path.stem[:32]}"

    @property
    def embedded(self) -> bool:
        """Whether it is an SQLite file (or memory)."""
        return self.url is None

    @property
    def exists(self) -> bool:
        """Whether there is something to open. A server is asked by connecting to it."""
        return self.url is not None or self.path.exists()

    @property
    def writable(self) -> bool:
        """Whether an SQLite database can be kept there; whether a server lets us it says itself."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return False
        # SQLite writes its log beside the database.
        there = os.access(self.path.parent, os.W_OK)
        return there and (not self.path.exists() or os.access(self.path, os.W_OK))

    def engine(self) -> Engine:
        """Connections to it. Raises Unavailable for a URL that is none, or without a driver."""
        if self.url is None:
            return _sqlite(self.path if self.writable else None)
        return _postgresql(self.url, self.schema)


def in_memory() -> Engine:
    """One connection to an SQLite database that goes with it."""
    return _sqlite(None)


def begin_reading(connection: Connection) -> Connection:
    """The same connection, whose next transaction sees one state."""
    if connection.dialect.name == "postgresql":
        return connection.execution_options(
            isolation_level="REPEATABLE READ", postgresql_readonly=True
        )
    return connection


def begin_writing(connection: Connection) -> Connection:
    """The same connection, whose next transaction is the one that writes (see `alone`)."""
    if connection.dialect.name == "postgresql":
        # Each statement sees what is committed: the lock is waited for before anything is read.
        return connection.execution_options(
            isolation_level="READ COMMITTED", postgresql_readonly=False
        )
    return connection.execution_options(**{_WRITE: True})


def alone(connection: Connection) -> None:
    """Wait until nobody else writes; until the transaction ends nobody else does."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _key(connection)})


def is_read_only(connection: Connection) -> bool:
    """Whether the server is a replica, or lets nobody write: what is there has to do."""
    if connection.dialect.name != "postgresql":
        return False
    query = "SELECT pg_is_in_recovery() OR current_setting('default_transaction_read_only') = 'on'"
    return bool(connection.execute(text(query)).scalar())


def make_room(connection: Connection) -> None:
    """Make the schema that the tables go into, where there are schemas."""
    if connection.dialect.name == "postgresql":
        schema = connection.execute(text("SHOW search_path")).scalar()
        connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema}"'))


def gather_statistics(engine: Engine) -> None:
    """Tell a server's planner how much there is, and what all see, after much was written.

    Without the first a walk is planned wrongly, without the second an index does not answer alone.
    """
    if engine.dialect.name != "postgresql":
        return
    # By name: without any it would be all of the database, a lock for each of the tables of
    # whoever else has some there, and more than a server has room for.
    query = (
        "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
        "WHERE schemaname = current_schema()"
    )
    with engine.begin() as connection:
        # What nobody waited for is seen by all once it is on the disk: this waits, for all before.
        connection.execute(text("SET LOCAL synchronous_commit = on"))
        tables = connection.execute(text(query)).scalar()
        if tables:
            connection.execute(text(f"ANALYZE (SKIP_LOCKED) {tables}"))
    with engine.connect() as opened:
        if tables:  # what is locked, somebody else does who is there for the same
            connection = opened.execution_options(isolation_level="AUTOCOMMIT")
            connection.execute(text(f"VACUUM (SKIP_LOCKED) {tables}"))


def _key(connection: Connection) -> int:
    """The lock of a schema: 63 bits of its name's digest."""
    schema = str(connection.execute(text("SHOW search_path")).scalar())
    return int.from_bytes(hashlib.sha256(schema.encode()).digest()[:8]) >> 1


def _server(url: str) -> Any:
    """The URL for SQLAlchemy, with the driver of ours. Raises Unavailable, which never shows it."""
    try:
        found = make_url(url)
    except ArgumentError as error:
        raise Unavailable("STEMMA_DATABASE_URL is not a database URL") from error
    if found.drivername not in _SCHEMES:
        raise Unavailable(
            f"STEMMA_DATABASE_URL is of {found.drivername}: write postgresql://USER@HOST/DATABASE"
        )
    return found.set(drivername="postgresql+psycopg")


def _postgresql(url: str, schema: str) -> Engine:
    settings = {
        "search_path": schema,
        "lock_timeout": int(LIMITS.busy_seconds * 1000),
        # Where the planner guesses high it compiles, which takes longer than our queries do.
        "jit": "off",
        # What is asked lies in memory, or on a disk without heads: an index costs little more.
        "random_page_cost": 1.1,
        # As on SQLite: what a power cut takes is projected again. What is durable is the ledger.
        "synchronous_commit": "off",
    }
    arguments = {
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
        "connect_timeout": int(LIMITS.connect_seconds),
        "application_name": "stemma",
        # Once in a while nobody asks the same again; whoever asks twice asks often.
        "prepare_threshold": 1,
    }
    try:
        return create_engine(_server(url), connect_args=arguments, pool_pre_ping=True)
    except (NoSuchModuleError, ImportError) as error:
        raise Unavailable(
            "STEMMA_DATABASE_URL needs the PostgreSQL driver: "
            "pip install 'stemma-registry[postgresql]'"
        ) from error


def _sqlite(path: Path | None) -> Engine:
    engine = create_engine(
        "sqlite://" if path is None else f"sqlite:///{path}",
        # In memory there is one database for each connection, so one connection it is.
        poolclass=StaticPool if path is None else None,
        # Transactions are begun below, by hand: the driver's own are not what they seem.
        connect_args={"timeout": LIMITS.busy_seconds, "isolation_level": None},
    )

    @event.listens_for(engine, "connect")
    def _pragmas(dbapi_connection, _record):  # type: ignore[no-untyped-def]
        cursor = dbapi_connection.cursor()
        _use_wal(cursor)
        # A power cut may take the last rows, and the word of how far they came with them: they
        # are projected again. What is durable is the ledger.
        for pragma in (
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "cache_size=-200000",
            "journal_size_limit=64000000",  # bytes that stay of a log that once was long
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write that starts as a read cannot wait for the lock: it fails. So say it first.
        write = connection.get_execution_options().get(_WRITE)
        bulk.run(connection, "BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _use_wal(cursor: sqlite3.Cursor) -> None:
    """Change to the write-ahead log; SQLite does not wait by itself for this one lock."""
    deadline = time.monotonic() + LIMITS.busy_seconds
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
