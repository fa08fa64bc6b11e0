"""Collecting beside others: who publishes loses nothing, who is killed is finished by the next."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care import leases
from stemma_registry.care.collect import Done
from stemma_registry.catalogue.collection import (
    COLLECTING,
    CONDEMNED,
    GONE,
    in_state,
    leaving,
)
from stemma_registry.config import LIMITS
from stemma_registry.errors import Temporary, Unavailable
from stemma_registry.ledger.entry import (
    COLLECT,
    COLLECTED,
    CONDEMN,
    STATUS,
    Event,
)
from stemma_registry.ledger.log import append
from stemma_registry.registry import Registry
from tests.registry.collecting import (
    NEVER,
    NOW,
    Clock,
    Hooked,
    Killed,
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


# --- publishers meanwhile -----------------------------------------------------------------------


def test_a_push_puts_again_what_was_collected_under_its_hands(
    world: World, store: Hooked, other: Registry
) -> None:
    store.before_create = lambda: gc(world, NOW, other)
    done = world.push("acme/data:1", {"a.txt": b"alpha", "b.txt": b"beta"})
    # Everything was gone when its turn came: files, manifest, statements and key.
    assert events(world)[1:4] == [CONDEMN, COLLECT, COLLECTED]
    assert done.entry == 4
    assert is_whole(world)
    assert world.code("acme/data:1") == 0


def test_a_quarantine_puts_its_statement_again(
    world: World, store: Hooked, other: Registry
) -> None:
    world.push("acme/data:1")
    store.before_create = lambda: gc(world, NOW, other)
    world.quarantine("acme/data:1")
    assert events(world)[-4:] == [CONDEMN, COLLECT, COLLECTED, STATUS]
    assert is_whole(world)
    assert world.code("acme/data:1") == 11


def test_what_was_found_present_and_not_uploaded_is_put_again(
    world: World, store: Hooked, other: Registry
) -> None:
    surplus(world, b"half a push ago")
    store.before_create = lambda: gc(world, NOW, other)
    world.push("acme/data:1", {"a.txt": b"half a push ago"})
    assert is_whole(world)


def test_a_push_that_began_after_the_deletion_was_finished_does_nothing_twice(
    world: World, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    surplus(world, b"again")
    gc(world)
    puts: list[Digest] = []
    original = MemoryStore.receive

    def receive(store: MemoryStore, *arguments: Any) -> Digest:
        puts.append(original(store, *arguments))
        return puts[-1]

    monkeypatch.setattr(MemoryStore, "receive", receive)
    world.push("acme/data:1", {"a.txt": b"again"})
    assert puts.count(Digest.of(b"again")) == 1
    assert clock.waited == 0
    assert is_whole(world)


def test_a_push_waits_for_a_deleter_that_may_still_be_at_work(
    world: World, store: Hooked, other: Registry, clock: Clock
) -> None:
    blob = surplus(world, b"slow")

    def killed(digest: Digest) -> None:
        raise Killed

    store.on_delete = killed
    with pytest.raises(Killed):
        gc(world, NOW, other)
    store.on_delete = None
    assert state_of(world, blob) == COLLECTING
    world.push("acme/data:1", {"a.txt": b"slow"})
    assert clock.waited >= LIMITS.collect_lease_seconds
    assert state_of(world, blob) is None
    assert is_whole(world)
    # Whoever comes next finds it referred to, and waits for nothing.
    clock.waited = 0
    world.push("acme/data:2", {"a.txt": b"slow"})
    assert clock.waited == 0


def test_a_push_stops_waiting_when_the_deleter_says_that_it_is_done(
    world: World, store: Hooked, other: Registry, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The push starts in the middle of a deletion; while it waits, the deletion goes on.
    surplus(world, b"slow")
    order: list[str] = []
    say(world, Event(COLLECT, blobs=(Digest.of(b"slow"),)))

    def pause(seconds: float) -> None:
        clock.now += seconds
        clock.waited += seconds
        if not order:
            order.append("deleted")
            MemoryStore.delete(store, Digest.of(b"slow"))
            head = other.catalogue.catch_up()
            done = Event(COLLECTED, blobs=(Digest.of(b"slow"),))
            append(store, head, lambda: [done], other.catalogue.catch_up)

    monkeypatch.setattr(leases, "pause", pause)
    world.push("acme/data:1", {"a.txt": b"slow"})
    assert order == ["deleted"]
    assert clock.waited < LIMITS.collect_lease_seconds
    assert is_whole(world)


def test_a_push_whose_files_changed_while_it_waited_is_refused(
    world: World, store: Hooked, other: Registry
) -> None:
    from stemma_registry.errors import BadTree

    def collected_and_changed() -> None:
        gc(world, NOW, other)
        (world.folder / f"d{world.count}" / "a.txt").write_bytes(b"omega")

    store.before_create = collected_and_changed
    with pytest.raises(BadTree):
        world.push("acme/data:1", {"a.txt": b"alpha"})
    assert is_whole(world)
    assert world.code("acme/data:1") == 3


def test_what_is_collected_again_and_again_is_an_error_in_the_end(
    world: World, store: Hooked, other: Registry
) -> None:
    def collected() -> None:
        store.before_create = None
        gc(world, NOW, other)
        store.before_create = collected

    store.before_create = collected
    with pytest.raises(Unavailable, match="again and again"):
        world.push("acme/data:1")
    assert is_whole(world)


# --- deleters that are stopped, slow or many ----------------------------------------------------


@pytest.mark.parametrize("deleted_before", [0, 1, 3])
def test_a_collector_that_was_killed_is_finished_by_the_next(
    world: World, store: Hooked, other: Registry, clock: Clock, deleted_before: int
) -> None:
    blobs = [surplus(world, b"%d" % number) for number in range(3)]
    count = 0

    def killed(digest: Digest) -> None:
        nonlocal count
        if count == deleted_before:
            raise Killed
        count += 1

    store.on_delete = killed
    if deleted_before == 3:
        # Killed before it could say that it is done.
        store.before_create = None

        def last(digest: Digest) -> None:
            store.before_create = lambda: (_ for _ in ()).throw(Killed)

        store.on_delete = last
    with pytest.raises(Killed):
        gc(world, NOW, other)
    store.on_delete = store.before_create = None
    assert {state_of(world, blob) for blob in blobs} == {COLLECTING}
    assert len(planned(world).left) == 3
    gc(world)
    assert clock.waited >= LIMITS.collect_lease_seconds
    assert not any(world.store.size(blob) for blob in blobs)
    assert {state_of(world, blob) for blob in blobs} == {GONE}
    assert planned(world).left == ()


def test_a_collector_leaves_another_one_alone_until_its_lease_is_over(
    world: World, store: Hooked, other: Registry, clock: Clock
) -> None:
    blob = surplus(world)
    seen: list[Done] = []

    def meanwhile(digest: Digest) -> None:
        store.on_delete = None
        with world.view() as view:
            assert [row.blob for row in in_state(view.connection, COLLECTING)] == [blob]
        before = clock.waited
        seen.append(gc(world))
        assert clock.waited - before >= LIMITS.collect_lease_seconds

    store.on_delete = meanwhile
    gc(world, NOW, other)
    assert seen[0].deleted == 1
    # The first one comes back after its lease, and does not close what is not its own.
    assert events(world).count(COLLECTED) == 1
    assert state_of(world, blob) == GONE
    assert is_whole(world)


def test_no_deletion_is_started_late_in_the_lease(
    world: World, store: Hooked, clock: Clock
) -> None:
    blobs = [surplus(world, b"%d" % number) for number in range(5)]

    def slow(digest: Digest) -> None:
        clock.now += LIMITS.collect_start_seconds / 2

    store.on_delete = slow
    done = gc(world)
    assert done.deleted == 2
    left = [blob for blob in blobs if world.store.size(blob) is not None]
    assert len(left) == 3
    # They are surplus as before, and condemned anew.
    assert sorted(item.blob for item in planned(world, NEVER).fresh) == sorted(left)
    store.on_delete = None
    assert gc(world).deleted == 3


def test_a_deleter_that_was_held_up_too_long_says_what_it_harmed(
    world: World, store: Hooked, other: Registry, clock: Clock
) -> None:
    from stemma_registry.errors import StoreError

    surplus(world, b"unlucky")

    def held_up(digest: Digest) -> None:
        store.on_delete = None
        clock.now += 10 * LIMITS.collect_lease_seconds
        world.push("acme/data:1", {"a.txt": b"unlucky"})

    store.on_delete = held_up
    with pytest.raises(StoreError, match="held up"):
        gc(world, NOW, other)
    assert not is_whole(world)  # beyond what a lease can promise; it is told, not hidden


def test_what_could_not_be_deleted_stays_open_and_is_tried_again(
    world: World, store: Hooked, clock: Clock
) -> None:
    blob, fine = surplus(world, b"stuck"), surplus(world, b"fine")

    def fails(digest: Digest) -> None:
        if digest == blob:
            raise Temporary("try again")

    store.on_delete = fails
    done = gc(world)
    assert done.failed == [blob]
    assert done.deleted == 1
    assert (state_of(world, blob), state_of(world, fine)) == (COLLECTING, GONE)
    store.on_delete = None
    assert gc(world).deleted == 1
    assert clock.waited >= LIMITS.collect_lease_seconds
    assert world.store.size(blob) is None


def test_condemning_what_was_gone_does_not_hide_that_it_was(world: World) -> None:
    # A collector that listed the store before the deletion condemns what is not there.
    blob = surplus(world)
    gc(world)
    say(world, Event(CONDEMN, blobs=(blob,)))
    with world.view() as view:
        row = leaving(view.connection, [blob])[blob]
    assert row.state == CONDEMNED
    assert row.gone == 3


def test_half_uploads_are_swept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[float] = []

    def sweep(self: MemoryStore, older_than_seconds: float) -> int:
        asked.append(older_than_seconds)
        return 3

    monkeypatch.setattr(MemoryStore, "sweep", sweep)
    assert gc(world).swept == 3
    assert asked == [LIMITS.stale_temporary_seconds]
