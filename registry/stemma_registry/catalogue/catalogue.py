"""Opening the catalogue, catching up with the ledger, and dropping it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, select, update
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import StaticPool

from stemma_attestations.digest import Digest
from stemma_attestations.merkle import Frontier
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import schema
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.again import check_again, noted
from stemma_registry.catalogue.held import NO_ROOTS, Held, Roots
from stemma_registry.catalogue.project import Projector
from stemma_registry.config import LIMITS
from stemma_registry.errors import LedgerBroken, Unavailable
from stemma_registry.ledger import segments
from stemma_registry.ledger.log import Head, read_entry

SUFFIXES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Catalogue:
    """An SQLite projection of the ledger in `store`."""

    engine: Engine
    store: Store
    path: Path
    roots: Roots = NO_ROOTS

    @classmethod
    def at(cls, path: Path, store: Store, roots: Roots = NO_ROOTS) -> Catalogue:
        """The database as it is, whatever its schema.

        Where nothing can be written (a read-only home on a serving machine) it
        is kept in memory, and projected anew by every command.
        """
        kept = writable(path)
        if kept and not path.exists():
            with making(path):
                path.touch()
        return cls(_engine(path if kept else None), store, path, roots)

    @classmethod
    def open(cls, path: Path, store: Store, roots: Roots = NO_ROOTS) -> Catalogue:
        """Open or create the database and bring its schema up to date.

        `roots` are the Sigstore trusted roots that keyless bundles are held against.
        Raises Unavailable, also for a database that a newer stemma wrote.
        """
        catalogue = cls.at(path, store, roots)
        with catalogue.reading() as connection:
            standing = schema.standing(connection)
        if standing == "ahead":
            raise Unavailable(
                f"{path} was written by a newer version of stemma; "
                "use that version, or `stemma rebuild`"
            )
        if standing == "behind":
            with catalogue.writing() as connection:
                if schema.standing(connection) == "behind":  # nobody was faster
                    schema.upgrade(connection)
        return catalogue

    @classmethod
    def passing(cls, store: Store, roots: Roots) -> Catalogue:
        """An empty one in memory, for what is no ledger that goes on."""
        catalogue = cls(_engine(None), store, Path(":memory:"), roots)
        with catalogue.writing() as connection:
            t.metadata.create_all(connection)
        return catalogue

    def catch_up(self, progress: Progress | None = None) -> Head:
        """Project what is new in the ledger and return its head; `progress` counts entries.

        Several processes may do this at once: each entry is projected by
        whoever holds the write lock when it is next. Raises LedgerBroken where
        the ledger is not the one that was projected before, Unavailable.
        """
        with self.reading() as connection:
            head = _head(connection)
        self._check_continues(head)
        held = Held.of(self.roots)
        with self.reading() as connection:
            good = self.is_of(connection, held)
        if not good:
            with self.writing() as connection:
                check_again(connection, self.store, held)
        reader = segments.Reader(self.store)
        while (entry := reader.after(head)) is not None:
            with self.writing() as connection:
                head = _head(connection)
                if head.n + 1 != entry.n:
                    continue  # another process was here first
                before = list(head.tree.peaks)
                head.advance(entry)
                # Somebody with other roots may have been here: all that is there is of one set.
                check_again(connection, self.store, held)
                Projector(connection, self.store, held).project(entry)
                _save_head(connection, head, before, held.names)
            if progress is not None:
                progress(1)
        return head

    def hurry(self) -> None:
        """Wait for no disk from now on: for a database that nobody needs after a crash."""

        @event.listens_for(self.engine, "connect")
        def _carelessly(dbapi_connection, _record):  # type: ignore[no-untyped-def]
            dbapi_connection.execute("PRAGMA synchronous=OFF")

        self.engine.dispose()  # what is open already would go on waiting

    def is_of(self, connection: Connection, held: Held) -> bool:
        """Whether what `connection` sees was held against exactly these trusted roots."""
        return noted(connection) in (None, held.names)

    def projected(self, connection: Connection) -> Head:
        """How far the state that `connection` sees is projected."""
        return _head(connection)

    def _check_continues(self, head: Head) -> None:
        if head.n < 0:
            return
        entry = read_entry(self.store, head.n)
        if entry is None or entry.digest != head.entry:
            raise LedgerBroken(
                f"the ledger at {self.store.location} no longer holds entry {head.n} as it was "
                "read before: it was rewound or replaced"
            )

    @contextlib.contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection whose queries see one state. Raises Unavailable."""
        with _wrapped(self.path), self.engine.connect() as connection, connection.begin():
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection that holds the write lock until it commits. Raises Unavailable."""
        with _wrapped(self.path), self.engine.connect() as opened:
            connection = opened.execution_options(stemma_write=True)
            with connection.begin():
                yield connection

    def empty(self) -> None:
        """Forget everything, in one transaction: other processes see all of it, or nothing."""
        with self.writing() as connection:
            schema.drop(connection)
            schema.upgrade(connection)

    def revision(self) -> str | None:
        """The schema revision the database is at."""
        with self.reading() as connection:
            return schema.revision(connection)

    def schema_differences(self) -> list[str]:
        """How the database differs from the tables of this version; none is good."""
        with self.reading() as connection:
            return schema.check(connection)

    def close(self) -> None:
        """Release the connections."""
        self.engine.dispose()


def drop(path: Path) -> None:
    """Delete the database files; the next `open` starts from nothing.

    Only for a database that cannot be opened, or that nobody else has open.
    """
    for suffix in SUFFIXES:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def making(path: Path) -> Iterator[bool]:
    """Alone among processes, whether a database is still to be made at `path`.

    Every database is made by a holder of this lock: an empty one, or a copy put
    in its place. So nobody has open what is put there, and a log that lies
    beside it belongs to nobody: SQLite would mistake it for the new one's.
    """
    lock = os.open(path.with_name(f"{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        absent = not path.exists()
        if absent:
            drop(path)
        yield absent
    finally:
        os.close(lock)


def writable(path: Path) -> bool:
    """Whether a database can be kept at `path`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    # SQLite writes its log beside the database.
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def _engine(path: Path | None) -> Engine:
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
        for pragma in (
            "synchronous=FULL",
            "foreign_keys=ON",
            "cache_size=-200000",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        # A write that starts as a read cannot wait for the lock: it fails. So say it first.
        write = connection.get_execution_options().get("stemma_write")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

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


def _head(connection: Connection) -> Head:
    row = connection.execute(select(t.state.c.n, t.state.c.entry, t.state.c.peaks)).first()
    if row is None:
        return Head()
    peaks = [row.peaks[i : i + 32] for i in range(0, len(row.peaks), 32)]
    return Head(row.n, Digest.parse(row.entry), Frontier(row.n + 1, peaks))


def _save_head(connection: Connection, head: Head, before: list[bytes], roots: str) -> None:
    values = {
        "n": head.n,
        "entry": str(head.entry),
        "peaks": b"".join(head.tree.peaks),
        "before": b"".join(before),
        "roots": roots,
    }
    if connection.execute(update(t.state).values(values)).rowcount == 0:
        connection.execute(insert(t.state).values(id=1, **values))


@contextlib.contextmanager
def _wrapped(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(
            f"the catalogue {path} failed ({str(cause).splitlines()[0]:.200}); "
            "it can be rebuilt from the store: `stemma rebuild`"
        ) from error
