"""A registry: a store with its ledger, the catalogue of it, and whose it is."""

from __future__ import annotations

import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.opening import is_remote, store_at
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import acts, keyless_facts
from stemma_registry.catalogue.catalogue import Catalogue, drop
from stemma_registry.catalogue.database import Database
from stemma_registry.catalogue.doubt import doubt
from stemma_registry.catalogue.held import Held
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import AlreadyThere, LedgerBroken, NotFound, StoreError, Unavailable
from stemma_registry.files import make_directory
from stemma_registry.ledger import heads, segments
from stemma_registry.ledger.entry import INIT, Event
from stemma_registry.ledger.log import Head, append, entry_key, read_entry
from stemma_registry.trust import source as trust_source
from stemma_registry.trust.roots import TrustedRoots

if TYPE_CHECKING:
    from stemma_registry.signing import Signer

SNAPSHOT_TRIES = 100


@dataclass(frozen=True)
class Registry:
    """What the rooms of this package work on."""

    store: Store
    catalogue: Catalogue
    home: Home
    roots: TrustedRoots | None = None  # where they are not just those of the home

    @property
    def trusted_roots(self) -> TrustedRoots:
        """The Sigstore trusted roots that are at hand."""
        return self.roots or TrustedRoots(self.home.roots)

    def close(self) -> None:
        """Release the catalogue's connections."""
        self.catalogue.close()


@dataclass(frozen=True)
class Snapshot:
    """One state of the catalogue, under one trust root, at one time.

    `n` is the ledger entry the state is of. Every question is put to a
    snapshot, so that its answer cannot change half way. `doubt` says why nothing can be
    decided by it: a Sigstore trusted root is not at hand, so that statements may count less
    than they should, or the catalogue is a replica that is behind the ledger.
    """

    connection: Connection
    n: int
    trust: TrustRoot
    now: datetime
    doubt: str | None = None


def initialise(location: str, home: Home) -> Registry:
    """Make a registry in a new or empty directory, or in a bucket that exists.

    Raises AlreadyThere, Unavailable, NotFound.
    """
    if not is_remote(location):
        try:
            make_directory(Path(location))
        except OSError as error:
            raise Unavailable(f"cannot make a registry at {location}: {error.strerror}") from error
    store = store_at(location, home)
    first = append(
        store, Head(), lambda: [] if read_entry(store, 0) else [Event(INIT)], catch_up=Head
    )
    if first is None:
        raise AlreadyThere(f"there is a registry at {location}")
    place = _place(home, store)
    if place.embedded:
        drop(place.path)
    else:
        with contextlib.closing(Catalogue.at(place, store)) as catalogue:
            catalogue.empty()
    heads.forget_seen(home.heads, store)
    return open_registry(location, home)


def open_registry(location: str, home: Home) -> Registry:
    """Open the registry at `location`.

    Where there is no catalogue of it in the home yet, a snapshot whose signer
    the home's trust root believes is taken. Raises NotFound, Unavailable.
    """
    store = open_store(location, home)
    place = _place(home, store)
    if not place.exists:
        from stemma_registry.catalogue import snapshots  # lazily: once for each registry

        snapshots.adopt(store, place.path, lambda: trust_source.of_home(home, lambda: store))
    return Registry(store, Catalogue.open(place, store, TrustedRoots(home.roots)), home)


def _place(home: Home, store: Store) -> Database:
    """Where the catalogue of a store is kept."""
    return Database(home.catalogue(store.location), home.database)


def open_store(location: str, home: Home, cached: bool = True) -> Store:
    """A registry's store, without the catalogue. Raises NotFound, Unavailable."""
    store = store_at(location, home, cached)
    absent = not is_remote(location) and not os.path.isdir(location)
    if absent or read_entry(store, 0) is None:
        raise NotFound(f"no registry at {location} (make one: `stemma init`)")
    return store


def rebuild(location: str, home: Home) -> tuple[Registry, Head]:
    """Drop the catalogue and project the whole ledger again. Raises as catching up does."""
    store = open_store(location, home)
    place = _place(home, store)
    try:
        with contextlib.closing(Catalogue.at(place, store)) as catalogue:
            catalogue.empty()
    except Unavailable:
        if not place.embedded:
            raise
        drop(place.path)  # damaged beyond opening
    registry = Registry(store, Catalogue.open(place, store, TrustedRoots(home.roots)), home)
    return registry, registry.catalogue.catch_up()


def catalogue_revision(location: str, home: Home) -> str | None:
    """The schema revision of a registry's catalogue, as it is. Raises NotFound, Unavailable."""
    store = open_store(location, home)
    with contextlib.closing(Catalogue.at(_place(home, store), store)) as catalogue:
        return catalogue.revision()


def current(registry: Registry, trust: TrustRoot) -> Head:
    """Catch up with the ledger and make sure that it did not go back.

    Raises LedgerBroken, Unavailable.
    """
    return reached(registry, trust)[0]


def reached(registry: Registry, trust: TrustRoot) -> tuple[Head, str | None]:
    """The same, with why that is an old head, where the catalogue is a replica."""
    store, home = registry.store, registry.home
    signed, seen = heads.read_checkpoint(store, trust), heads.read_seen(home.heads, store)
    head = registry.catalogue.catch_up()
    lag = registry.catalogue.lag(head)
    if lag is not None:
        return head, lag  # not a ledger that went back: it is there, and was not read
    heads.check_checkpoint(store, head, signed)
    heads.check_seen(store, head, seen)
    heads.remember(home.heads, store, head, seen)
    return head, None


@contextlib.contextmanager
def snapshot(registry: Registry, trust: TrustRoot, now: datetime) -> Iterator[Snapshot]:
    """A snapshot at the ledger's head. Raises LedgerBroken, Unavailable."""
    for _ in range(SNAPSHOT_TRIES):
        (head, lag), held = reached(registry, trust), Held.of(registry.catalogue.roots)
        with registry.catalogue.reading() as connection:
            n = registry.catalogue.projected(connection).n
            if n >= head.n and registry.catalogue.is_of(connection, held):
                who = functools.partial(keyless_facts.certified, connection)
                known = trust.knowing(who)
                why = lag or doubt(connection, known, held)
                known, more = acts.with_distrust(connection, known, now)
                yield Snapshot(connection, n, known, now, why or more)
                return
        # Somebody emptied the catalogue in between: it knows less than was just seen.
        # Or a trusted root came or went.
    raise Unavailable("the catalogue is being rebuilt again and again; try again")


def settle(registry: Registry) -> None:
    """Return when everything that can be seen in the ledger is durable. Raises Unavailable."""
    head = registry.catalogue.catch_up()
    registry.store.settle(entry_key(head.n))


def record(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    now: datetime,
    decide: Callable[[], Sequence[Event]],
    uploads: Uploads,
) -> int | None:
    """Append what `decide` returns, project it, and leave a signed checkpoint.

    `uploads` are the blobs that the events need: what was collected since they
    were put is put again. Returns the entry's number, or None where `decide`
    returned nothing. The append is the commit point: what comes after it cannot
    undo it, so a checkpoint that cannot be written does not turn a success into
    a failure. Raises what `decide` raises, LedgerBroken, Unavailable.
    """
    for _ in range(LIMITS.restore_tries):
        head, lag = reached(registry, trust)
        if lag is not None:
            raise Unavailable(f"nothing can be decided to be written: {lag}")
        uploads.reached = max(uploads.reached, head.n)
        entry = append(registry.store, head, lambda: uploads.secure(decide()), uploads.catch_up)
        if not uploads.lost:
            break
        uploads.restore()
    else:
        raise Unavailable("what was stored is collected again and again; try again")
    if entry is None:
        return None
    with contextlib.suppress(StoreError):
        head = current(registry, trust)
        heads.write_checkpoint(registry.store, head, signer, trust, now)
    with contextlib.suppress(StoreError, LedgerBroken):
        segments.write_behind(registry.store, entry.n)
    return entry.n
