"""Opening the catalogue, catching up with the ledger, and dropping it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import SQLAlchemyError

from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import bare, database, schema, standing
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.again import check_again
from stemma_registry.catalogue.database import Database
from stemma_registry.catalogue.held import NO_ROOTS, Held, Roots
from stemma_registry.catalogue.nodes import Nodes
from stemma_registry.catalogue.seldom import seldom_collecting
from stemma_registry.config import LIMITS
from stemma_registry.errors import LedgerBroken, Unavailable
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, read_entry

SUFFIXES = ("", "-wal", "-shm")


@dataclass(frozen=True)
class Catalogue:
    """A projection of the ledger in `store`, in an SQLite file or a PostgreSQL schema."""

    engine: Engine
    store: Store
    database: Database
    roots: Roots = NO_ROOTS

    @classmethod
    def at(cls, place: Path | Database, store: Store, roots: Roots = NO_ROOTS) -> Catalogue:
        """The database as it is, whatever its schema.

        Where nothing can be written (a read-only home on a serving machine) an
        embedded one is kept in memory, and projected anew by every command.
        """
        where = place if isinstance(place, Database) else Database(place)
        if where.embedded and where.writable and not where.exists:
            with making(where.path):
                where.path.touch()
        return cls(where.engine(), store, where, roots)

    @classmethod
    def open(cls, place: Path | Database, store: Store, roots: Roots = NO_ROOTS) -> Catalogue:
        """Open or create the database and bring its schema up to date.

        `roots` are the Sigstore trusted roots that keyless bundles are held against.
        Raises Unavailable, also for a database that a newer stemma wrote.
        """
        catalogue = cls.at(place, store, roots)
        with catalogue.reading() as connection:
            version = schema.standing(connection)
            fixed = database.is_read_only(connection)
        if version == "ahead":
            raise Unavailable(
                f"{catalogue.database.label} was written by a newer version of stemma; "
                "use that version, or `stemma rebuild`"
            )
        if version == "behind" and fixed:
            raise Unavailable(
                f"{catalogue.database.label} is read-only, and has no catalogue of this version"
            )
        if version == "behind":
            with catalogue.writing() as connection:
                if schema.standing(connection) == "behind":  # nobody was faster
                    schema.upgrade(connection)
        return catalogue

    @classmethod
    def passing(cls, store: Store, roots: Roots) -> Catalogue:
        """An empty one in memory, for what is no ledger that goes on."""
        catalogue = cls(database.in_memory(), store, Database(Path(":memory:")), roots)
        with catalogue.writing() as connection:
            t.metadata.create_all(connection)
        return catalogue

    @property
    def path(self) -> Path:
        """Where an embedded database is, or would be."""
        return self.database.path

    def catch_up(self, progress: Progress | None = None) -> Head:
        """Project what is new in the ledger and return its head; `progress` counts entries.

        Several processes may do this at once: whoever holds the write lock projects
        what is next. A database that nobody can write to stays as it is, and how far
        that is is returned. Raises LedgerBroken where the ledger is not the one that
        was projected before, Unavailable.
        """
        with self.reading() as connection:
            here = standing.read(connection)
            fixed = database.is_read_only(connection)
        head = Head() if here is None else here.head
        self._check_continues(head)
        if fixed:
            return head
        held = Held.of(self.roots)
        if here is not None and here.roots != held.names:
            with self.writing() as connection:
                check_again(connection, self.store, held)
        reader, start, seconds = segments.Reader(self.store), head.n, LIMITS.project_seconds
        is_bare = here is not None and here.bare
        if (entry := reader.after(head)) is not None:
            with seldom_collecting(), _wrapped(self.database), self.engine.connect() as opened:
                connection, nodes = database.begin_writing(opened), None
                while entry is not None:
                    with connection.begin():
                        database.alone(connection)
                        until = time.monotonic() + seconds
                        is_long = start < 0 and seconds > LIMITS.project_seconds
                        head, nodes, is_bare = self._project(
                            connection, reader, entry, held, progress, nodes, until, is_long
                        )
                    entry, seconds = reader.after(head), min(2 * seconds, LIMITS.project_most)
        if is_bare:
            with self.writing() as connection:
                bare.clothe(connection)
        if head.n - start > LIMITS.much_projected:
            with _wrapped(self.database):
                database.gather_statistics(self.engine)
        return head

    def lag(self, head: Head) -> str | None:
        """Why an answer at `head` is an old one: the database is a replica, and the ledger goes on.

        None where it is not. Raises Unavailable.
        """
        if self.database.embedded:
            return None
        with self.reading() as connection:
            fixed = database.is_read_only(connection)
        if not fixed or read_entry(self.store, head.n + 1) is None:
            return None
        return f"{self.database.label} is read-only and at entry {head.n}; the ledger goes on"

    def _project(
        self,
        connection: Connection,
        reader: segments.Reader,
        entry: LedgerEntry | None,
        held: Held,
        progress: Progress | None,
        nodes: Nodes | None,
        until: float,
        is_long: bool,
    ) -> tuple[Head, Nodes | None, bool]:
        """Project `entry`, and what is at hand behind it, in one transaction; how far it came.

        A rebuild that `is_long` does without what can be made last: then True is returned.
        """
        from stemma_registry.catalogue.project import Projector  # lazily: mostly nothing is new

        here = standing.read(connection)
        head = Head() if here is None else here.head
        if entry is None or head.n + 1 != entry.n:
            return head, None, here is not None and here.bare  # another process was here first
        if here is not None and here.roots != held.names:
            # Somebody with other roots was here: all that is there is of one set.
            check_again(connection, self.store, held)
        if is_long and here is not None and not here.bare:
            bare.strip(connection)
        nodes = Nodes.still(nodes, connection, here and here.mark)
        projector = Projector(connection, self.store, held, nodes)
        while entry is not None:
            before = list(head.tree.peaks)
            head.advance(entry)
            projector.project(entry)
            if progress is not None:
                progress(1)
            # What is still to be fetched is waited for without the lock.
            entry = reader.at_hand(head) if time.monotonic() < until else None
            if entry is None:
                nodes.leave(standing.save(connection, here, head, before, held.names))
        return head, nodes, here is not None and (here.bare or is_long)

    def hurry(self) -> None:
        """Wait for no disk from now on: for an SQLite file that nobody needs after a crash."""

        @event.listens_for(self.engine, "connect")
        def _carelessly(dbapi_connection, _record):  # type: ignore[no-untyped-def]
            dbapi_connection.execute("PRAGMA synchronous=OFF")

        self.engine.dispose()  # what is open already would go on waiting

    def is_of(self, connection: Connection, held: Held) -> bool:
        """Whether what `connection` sees is whole, held against exactly these trusted roots."""
        here = standing.read(connection)
        return here is None or (here.roots == held.names and not here.bare)

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
        with _wrapped(self.database), self.engine.connect() as opened:
            connection = database.begin_reading(opened)
            with connection.begin():
                yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection that holds the write lock until it commits. Raises Unavailable."""
        with _wrapped(self.database), self.engine.connect() as opened:
            connection = database.begin_writing(opened)
            with connection.begin():
                database.alone(connection)
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
        """How the database differs from the tables of this version; none is good.

        What a rebuild that was killed has still to make, whoever comes next makes (see `bare`).
        """
        with self.reading() as connection:
            found = schema.check(connection)
            if schema.standing(connection) == "current" and bare.is_due(connection):
                found = [one for one in found if str(t.DOWNWARD.name) not in one]
            return found

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


def _head(connection: Connection) -> Head:
    found = standing.read(connection)
    return Head() if found is None else found.head


@contextlib.contextmanager
def _wrapped(place: Database) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise Unavailable(
            f"the catalogue {place.label} failed ({str(cause).splitlines()[0]:.200}); "
            "it can be rebuilt from the store: `stemma rebuild`"
        ) from error
