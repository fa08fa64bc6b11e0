"""Publishing: what changes and what stays, two publishers at once, and being cut off anywhere."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_registry.blobs.local import LocalStore
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused, Temporary, Unanswered, Unavailable
from stemma_registry.registry import Registry
from stemma_registry.status import publish
from stemma_registry.status.documents import FOLDER
from stemma_registry.status.metadata import Keys, Lifetimes
from tests.status.scene import FeedScene, stopped, utc
from tests.threads import together


class Cut(BaseException):
    """The process is killed here."""


class Watched(MemoryStore):
    """Asks `before` ahead of each write."""

    def __init__(self) -> None:
        super().__init__()
        self.before: Callable[[str, str], None] = lambda operation, key: None

    def create(self, key: str, data: bytes) -> None:
        self.before("create", key)
        super().create(key, data)

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        self.before("swap", key)
        return super().swap(key, old, data)

    def remove(self, key: str) -> None:
        self.before("remove", key)
        super().remove(key)


def files(feed: FeedScene) -> set[str]:
    return {key for key in feed.store.keys(FOLDER) if not key.endswith("timestamp.json")}


def test_a_refresh_signs_the_timestamp_only(feed: FeedScene) -> None:
    before, first = files(feed), feed.fetch()
    done = feed.publish()
    assert not done.changed
    assert files(feed) == before
    second = feed.fetch()
    assert second.versions["timestamp"] == done.timestamp > first.versions["timestamp"]
    assert second.versions["snapshot"] == first.versions["snapshot"]


def test_a_refresh_publishes_where_the_ledger_has_moved(feed: FeedScene) -> None:
    feed.world.push("acme/more:1")
    done = feed.publish()
    assert done.changed
    assert feed.fetch().head.n == feed.world.registry.catalogue.catch_up().n


def test_a_refresh_renews_what_would_soon_expire(feed: FeedScene) -> None:
    assert not feed.publish(at=utc() + timedelta(days=14)).changed
    assert feed.publish(at=utc() + timedelta(days=16)).changed


def test_a_refresh_needs_the_timestamp_key_alone_while_nothing_changes(feed: FeedScene) -> None:
    alone = Keys(None, feed.keys.timestamp)
    assert not feed.publish(alone).changed
    feed.world.push("acme/more:1")
    with pytest.raises(Refused, match="not at hand"):
        feed.publish(alone)
    feed.fetch()


def test_the_lifetime_of_a_timestamp_stays_as_it_was_said(feed: FeedScene) -> None:
    hour = Lifetimes(timestamp=timedelta(hours=1))
    for lifetimes in (hour, None):
        done = feed.publish(lifetimes=lifetimes)
        left = (done.expires - utc()).total_seconds()
        assert 3500 < left <= 3600


def test_versions_are_at_least_the_time_so_that_an_old_timestamp_does_no_harm(
    feed: FeedScene,
) -> None:
    old = feed.store.read(publish.TIMESTAMP)
    later = feed.publish(at=utc() + timedelta(seconds=100))
    feed.store.replace(publish.TIMESTAMP, old)
    assert feed.publish(at=utc() + timedelta(seconds=101)).timestamp > later.timestamp


@pytest.mark.parametrize("junk", [b"junk", b"{}", None])
def test_what_others_wrote_into_the_feed_is_published_anew(
    feed: FeedScene, junk: bytes | None
) -> None:
    feed.fetch()
    keys = [key for key in feed.store.keys(FOLDER) if not key.endswith("root.json")]
    for seconds, key in enumerate(keys, 3):
        if junk is None:
            feed.store.remove(key)
        else:
            feed.store.replace(key, junk)
        feed.publish(at=utc() + timedelta(seconds=seconds))
        feed.fetch()
        feed.fetch(f"gate {seconds}")


def test_without_a_root_there_is_nothing_to_publish(tmp_path: Path) -> None:
    feed = FeedScene(tmp_path)
    feed.store.remove(f"{FOLDER}1.root.json")
    with pytest.raises(NotFound, match="stemma feed init"):
        feed.publish()


def test_cut_off_before_any_write_the_feed_is_the_old_or_the_new(tmp_path: Path) -> None:
    store = Watched()
    feed = FeedScene(tmp_path, store)
    feed.world.push("acme/d:1")
    feed.publish()
    feed.world.quarantine("acme/d:1")
    whole, point, seen = dict(store.objects), 0, set[bool]()
    while True:
        store.objects.clear()
        store.objects.update(whole)
        count = 0

        def cut(operation: str, key: str, limit: int = point) -> None:
            nonlocal count
            count += 1
            if count > limit:
                raise Cut

        store.before = cut
        try:
            feed.publish()
        except Cut:
            killed = True
        else:
            killed = False
        store.before = lambda operation, key: None
        seen.add(bool(stopped(feed.fetch(f"gate {point}"))))
        feed.publish()
        assert stopped(feed.fetch(f"gate {point}"))
        if not killed:
            break
        point += 1
    assert point >= 5  # head, quarantines, targets, snapshot, timestamp
    assert seen == {False, True}


def test_of_two_publishers_the_loser_looks_again(tmp_path: Path) -> None:
    store = Watched()
    feed = FeedScene(tmp_path, store)
    feed.world.push("acme/d:1")
    feed.publish()
    races = 0

    def meanwhile(operation: str, key: str) -> None:
        nonlocal races
        if operation == "swap" and races == 0:
            races += 1
            feed.world.quarantine("acme/d:1")
            feed.publish()
            assert stopped(feed.fetch())

    store.before = meanwhile
    feed.world.push("acme/more:1")
    feed.publish()
    assert races == 1
    status = feed.fetch()
    assert stopped(status)
    assert status.head.n == feed.world.registry.catalogue.catch_up().n


def test_a_swap_whose_answer_is_lost(tmp_path: Path) -> None:
    store = Watched()
    feed = FeedScene(tmp_path, store)
    feed.publish()
    swap = store.swap

    def lost(key: str, old: bytes | None, data: bytes) -> bool:
        assert swap(key, old, data)
        raise Unanswered("no answer")

    store.swap = lost  # type: ignore[method-assign]
    feed.publish()
    feed.fetch()


@pytest.mark.parametrize("error", [Unanswered, Temporary])
@pytest.mark.parametrize("operation", ["create", "swap"])
def test_a_store_that_fails_for_a_moment_and_one_that_fails_for_good(
    tmp_path: Path, error: type[Temporary], operation: str
) -> None:
    store = Watched()
    feed = FeedScene(tmp_path, store)
    feed.world.push("acme/d:1")
    left = 2

    def failing(done: str, key: str) -> None:
        nonlocal left
        if done == operation and left > 0:
            left -= 1
            raise error("not now")

    store.before = failing
    feed.publish()
    feed.fetch()
    left = 10_000
    with pytest.raises(Unavailable):
        feed.publish(always=True)
    left = 0
    feed.fetch()


def test_publishers_at_once_and_a_reader_beside_them(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    feed = FeedScene(tmp_path, LocalStore(folder))
    feed.world.push("acme/d:1")
    feed.publish()
    catalogues = [Catalogue.open(tmp_path / f"{i}.sqlite3", feed.store) for i in range(3)]
    over = threading.Event()

    def publisher(number: int) -> int:
        mine = Registry(LocalStore(folder), catalogues[number], feed.world.home)
        return max(feed.publish(always=True, registry=mine).timestamp for _ in range(5))

    def gate() -> int:
        highest = 0
        while not over.is_set():
            version = feed.fetch().versions["timestamp"]
            assert version >= highest
            highest = version
        return highest

    def all_publishers() -> list[int | Exception]:
        try:
            return together([lambda i=i: publisher(i) for i in range(3)])  # type: ignore[misc]
        finally:
            over.set()

    published, read = together([all_publishers, gate])  # type: ignore[list-item]
    assert isinstance(read, int), read
    assert isinstance(published, list)
    assert all(isinstance(version, int) for version in published), published
    assert feed.fetch().versions["timestamp"] == max(published)  # type: ignore[type-var]
    for catalogue in catalogues:
        catalogue.close()


def test_old_versions_are_taken_away_and_what_is_named_stays(feed: FeedScene) -> None:
    for _ in range(2 * LIMITS.feed_kept + 2):
        feed.publish(always=True)
    kept = files(feed)
    for role in ("targets", "snapshot"):
        count = sum(key.endswith(f".{role}.json") for key in kept)
        assert LIMITS.feed_kept <= count <= 2 * LIMITS.feed_kept + 1
    feed.fetch()
    first = next(key for key in kept if key.endswith(".head.json"))
    feed.world.push("acme/more:1")
    for _ in range(2 * LIMITS.feed_kept + 2):
        feed.publish(always=True)
    assert first not in files(feed)
    feed.fetch("new gate")
