"""Collecting: only what nothing refers to goes, after it was condemned."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Table, column, delete, insert, select, table

from stemma_migrations import run
from stemma_registry.care.collect import Done
from stemma_registry.catalogue import snapshots
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.collection import (
    CONDEMNED,
    GONE,
    leaving,
    unreferenced,
)
from stemma_registry.config import LIMITS
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger.entry import (
    COLLECT,
    COLLECTED,
    CONDEMN,
    PUSH,
    Event,
)
from stemma_registry.registry import Registry
from tests.postgres import SQLITE_ONLY
from tests.registry.collecting import (
    NEVER,
    NOW,
    Clock,
    Hooked,
    entries,
    events,
    gc,
    is_whole,
    planned,
    say,
    state_of,
    surplus,
)
from tests.world import World


@pytest.fixture
def world(tmp_path: Path, store: Hooked, clock: Clock) -> World:
    """An empty registry in which time passes when somebody waits."""
    return World(tmp_path, store)


# --- what goes, and what stays ----------------------------------------------------------------


def test_surplus_is_condemned_and_deleted_after_the_grace_period(world: World) -> None:
    world.push("acme/data:1")
    blob = surplus(world)
    assert [item.blob for item in planned(world, NEVER).fresh] == [blob]
    done = gc(world, NEVER)
    assert (done.condemned, done.deleted) == (1, 0)
    assert world.store.size(blob) is not None
    waiting = planned(world, NEVER)
    assert [(item.blob, item.size) for item in waiting.waiting] == [(blob, len(b"left behind"))]
    assert waiting.fresh == waiting.due == ()
    assert gc(world, NEVER).condemned == 0
    done = gc(world, timedelta(seconds=1))
    assert (done.deleted, done.bytes) == (1, len(b"left behind"))
    assert world.store.size(blob) is None
    assert state_of(world, blob) == GONE
    assert events(world)[-3:] == [CONDEMN, COLLECT, COLLECTED]
    assert is_whole(world)


def test_looking_changes_nothing(world: World) -> None:
    surplus(world)
    before = len(entries(world))
    planned(world)
    assert len(entries(world)) == before


def test_nothing_that_an_entry_refers_to_is_ever_a_candidate(world: World) -> None:
    world.push("acme/data:1", {"a.txt": b"a", "b.txt": b"b"})
    world.push("acme/model:1", {"m.bin": b"m"}, "trained-on=acme/data:1", kind="model")
    world.quarantine("acme/data:1")
    world.release("acme/data:1")
    # What was to be a manifest and is none, and what was to be a bundle and is none.
    odd, key = surplus(world, b"no manifest"), surplus(world, b"no key")
    bundle = surplus(world, b"no bundle")
    say(world, Event(PUSH, artifacts=(odd,), bundles=(bundle,), keys=(key,)))
    assert planned(world).fresh == ()
    assert gc(world) == Done()
    with world.view() as view:
        assert unreferenced(view.connection, world.store.blobs()) == set()


def test_what_a_migrated_catalogue_refers_to_is_complete(world: World, tmp_path: Path) -> None:
    # An older schema knew no keys; collecting by what it had projected would delete them.
    world.push("acme/data:1")
    head = world.registry.catalogue.catch_up()
    old = Catalogue.at(tmp_path / "old.sqlite3", world.store)
    with old.writing() as connection:
        run.upgrade(connection, "0001")
        projected = {"id": 1, "n": head.n, "entry": str(head.entry)}
        state = table("state", *map(column, ("id", "n", "entry", "peaks")))
        connection.execute(insert(state).values(peaks=b"".join(head.tree.peaks), **projected))
    old.close()
    catalogue = Catalogue.open(tmp_path / "old.sqlite3", world.store)
    world.registry.catalogue.close()
    world.registry = Registry(world.store, catalogue, world.home)
    assert planned(world).fresh == ()
    assert is_whole(world)
    assert world.code("acme/data:1") == 0


@SQLITE_ONLY
@pytest.mark.parametrize("lost", [t.manifest_entry, t.kept, t.statement])
def test_a_catalogue_that_lacks_something_deletes_nothing(world: World, lost: Table) -> None:
    world.push("acme/data:1", {"a.txt": b"a"})
    surplus(world)
    before = set(world.store.blobs())
    with world.registry.catalogue.writing() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        for table in (t.version, t.subject, t.edge, t.packaged):
            connection.execute(delete(table))
        connection.execute(delete(lost))
    with pytest.raises(LedgerBroken, match="rebuild"):
        gc(world)
    assert set(world.store.blobs()) >= before
    world.rebuild()
    assert gc(world).deleted == 1
    assert is_whole(world)


def test_a_ledger_that_cannot_be_read_whole_deletes_nothing(world: World) -> None:
    artifact = world.push("acme/data:1", {"a.txt": b"a"}).artifact
    blob = surplus(world)
    world.store.delete(artifact)
    with pytest.raises(LedgerBroken, match="audit"):
        gc(world)
    assert world.store.size(blob) is not None


def test_a_push_saves_what_is_condemned(world: World) -> None:
    blob = surplus(world, b"wanted after all")
    gc(world, NEVER)
    assert state_of(world, blob) == CONDEMNED
    world.push("acme/data:1", {"a.txt": b"wanted after all"})
    assert state_of(world, blob) is None
    gc(world)
    assert is_whole(world)


def test_a_reference_between_looking_and_appending_saves_it(
    world: World, store: Hooked, other: Registry
) -> None:
    surplus(world, b"wanted after all")
    store.before_create = lambda: world.push("acme/data:1", {"a.txt": b"wanted after all"})
    assert gc(world, NEVER, other).condemned == 0
    surplus(world, b"wanted too")
    gc(world, NEVER, other)
    store.before_create = lambda: world.push("acme/data:2", {"a.txt": b"wanted too"})
    assert gc(world, NOW, other).deleted == 0
    assert is_whole(world)


@pytest.mark.parametrize("kind", [CONDEMN, COLLECT])
def test_an_entry_that_names_what_is_referred_to_is_void(world: World, kind: str) -> None:
    world.push("acme/data:1", {"a.txt": b"needed"})
    everything = tuple(world.store.blobs())
    say(world, Event(kind, blobs=everything))
    with world.view() as view:
        assert leaving(view.connection, everything) == {}
    world.push("acme/data:2", {"a.txt": b"needed"})
    assert is_whole(world)


def test_many_blobs_go_in_batches(world: World) -> None:
    object.__setattr__(LIMITS, "collect_batch", 10)
    try:
        blobs = [surplus(world, b"%d" % i) for i in range(25)]
        done = gc(world)
    finally:
        object.__setattr__(LIMITS, "collect_batch", 1_000)
    assert (done.condemned, done.deleted) == (25, 25)
    assert not any(world.store.size(blob) for blob in blobs)
    assert events(world).count(COLLECT) == 3


def test_a_rebuilt_catalogue_knows_the_same(world: World) -> None:
    for number in range(4):
        surplus(world, b"%d" % number)
        gc(world, NOW if number % 2 else NEVER)
    world.push("acme/data:1", {"a.txt": b"1", "b.txt": b"2"})

    def rows() -> list[tuple[object, ...]]:
        with world.view() as view:
            return [tuple(row) for row in view.connection.execute(select(t.collection))]

    before = rows()
    assert before
    world.rebuild()
    assert rows() == before


def test_the_newest_snapshot_of_the_catalogue_is_spared(world: World) -> None:
    world.push("acme/data:1")
    catalogue, signer = world.registry.catalogue, world.signer("owner")
    catalogue.catch_up()
    assert snapshots.write(catalogue, world.trust, signer, world.now)
    old = snapshots.snapshot_blobs(world.store, world.trust)
    assert old
    assert planned(world).fresh == ()
    world.push("acme/data:2")
    catalogue.catch_up()
    assert snapshots.write(catalogue, world.trust, signer, world.now)
    kept = snapshots.snapshot_blobs(world.store, world.trust)
    assert gc(world).deleted == len(old - kept) > 0
    assert all(world.store.size(blob) is not None for blob in kept)
