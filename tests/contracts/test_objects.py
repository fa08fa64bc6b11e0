"""Objects in every store: promises 6 to 8 of stemma_registry.blobs.contract."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemma_registry.blobs.contract import Store
from stemma_registry.errors import AlreadyThere, NotFound, StoreError
from stemma_registry.ledger.log import entry_key
from tests.contracts.places import Place
from tests.threads import together

KEY = "ledger/000/000/000000.json"


def letters(writer: int) -> bytes:
    """A long object whose every byte names its writer."""
    return bytes([65 + writer]) * (300_000 + writer)


def test_what_is_created_can_be_read_by_every_handle(store: Store, place: Place) -> None:
    store.create(KEY, b"first")
    assert store.read(KEY) == place.open().read(KEY) == b"first"
    assert place.leftovers() == []


def test_an_object_may_be_empty_or_hold_any_bytes(store: Store) -> None:
    everything = bytes(range(256)) * 4
    store.create("ledger/a", b"")
    store.replace("status/b", everything)
    assert store.read("ledger/a") == b""
    assert store.read("status/b") == everything


# Promise 6: `create` is atomic, and exactly one writer wins.


def test_6_what_is_there_is_never_overwritten(store: Store, place: Place) -> None:
    store.create(KEY, b"first")
    for handle in (store, place.open()):
        for data in (b"second", b"first", b""):
            with pytest.raises(AlreadyThere, match=KEY):
                handle.create(KEY, data)
    assert store.read(KEY) == b"first"
    assert place.leftovers() == []


def test_6_create_does_not_overwrite_what_was_replaced(store: Store) -> None:
    store.replace("status/a", b"first")
    with pytest.raises(AlreadyThere):
        store.create("status/a", b"second")
    assert store.read("status/a") == b"first"


@pytest.mark.parametrize("round_", range(5))
def test_6_of_sixteen_writers_exactly_one_wins(store: Store, place: Place, round_: int) -> None:
    key = entry_key(round_)

    def job(writer: int) -> Callable[[], int]:
        def run() -> int:
            place.open().create(key, letters(writer))
            return writer

        return run

    results = together([job(i) for i in range(16)])
    winners = [r for r in results if isinstance(r, int)]
    assert len(winners) == 1
    assert all(isinstance(r, int | AlreadyThere) for r in results), results
    assert store.read(key) == letters(winners[0])
    assert place.leftovers() == []


def test_6_a_loser_can_read_the_winner_at_once(place: Place) -> None:
    def write(writer: int) -> Callable[[], bytes]:
        def run() -> bytes:
            handle = place.open()
            try:
                handle.create(KEY, letters(writer))
            except AlreadyThere:
                return handle.read(KEY)
            return letters(writer)

        return run

    results = together([write(i) for i in range(16)])
    assert len(set(map(repr, results))) == 1


def test_6_nobody_sees_half_an_object(place: Place) -> None:
    keys = [entry_key(n) for n in range(20)]

    def write() -> object:
        handle = place.open()
        for n, key in enumerate(keys):
            handle.create(key, letters(n))
        return True

    def read() -> object:
        handle = place.open()
        for n, key in enumerate(keys):
            while True:
                try:
                    assert handle.read(key) == letters(n)
                    break
                except NotFound:
                    continue
        return True

    assert together([write, read, read]) == [True, True, True]


def test_6_what_can_be_seen_can_be_settled(store: Store, place: Place) -> None:
    """That it is durable then, is seen in tests/faults."""
    with pytest.raises(NotFound, match=KEY):
        store.settle(KEY)
    store.create(KEY, b"first")
    store.replace("status/a", b"second")
    for handle in (store, place.open()):
        handle.settle(KEY)
        handle.settle("status/a")
        with pytest.raises(NotFound):
            handle.settle("ledger/000/000/000001.json")
    assert (store.read(KEY), store.read("status/a")) == (b"first", b"second")


# Promise 7: `replace` is atomic.


def test_7_replace_writes_and_overwrites(store: Store, place: Place) -> None:
    for data in (b"first", b"a longer second", b""):
        store.replace("status/a", data)
        assert place.open().read("status/a") == data
    assert place.leftovers() == []


def test_7_a_reader_sees_the_old_bytes_or_the_new(store: Store, place: Place) -> None:
    key = "status/checkpoint.json"
    store.replace(key, letters(0))
    whole = {letters(n) for n in range(5)}

    def write() -> object:
        handle = place.open()
        for i in range(60):
            handle.replace(key, letters(i % 5))
        return True

    def read() -> object:
        handle = place.open()
        return all(handle.read(key) in whole for _ in range(120))

    assert together([write, write, read, read]) == [True] * 4
    assert store.read(key) in whole
    assert place.leftovers() == []


# Promise 8: the errors.


@pytest.mark.parametrize("key", [KEY, "status/none.json", "ledger/999/999/999999.json"])
def test_8_what_is_not_there(store: Store, key: str) -> None:
    with pytest.raises(NotFound, match=key):
        store.read(key)
    store.create("ledger/999/999/999998.json", b"a neighbour changes nothing")
    with pytest.raises(NotFound):
        store.read(key)


# Listing.


def test_keys_are_those_with_the_prefix(store: Store) -> None:
    numbers = (0, 1, 9, 10, 999, 1000, 999_999, 1_000_000, 10**9)
    for n in numbers:
        store.create(entry_key(n), b"{}")
    store.replace("status/checkpoint.json", b"{}")
    everything = sorted([*map(entry_key, numbers), "status/checkpoint.json"])
    for prefix in (
        "",
        "ledger/",
        "ledger/000/000/",
        "ledger/000/000/0000",
        "ledger/000/001/000000.json",
        "ledger/001",
        "status/",
        "status/checkpoint.json",
        "ledger/5",
        "blobs/",
    ):
        expected = [key for key in everything if key.startswith(prefix)]
        assert list(store.keys(prefix)) == expected, prefix


def test_keys_of_an_empty_store(store: Store) -> None:
    assert list(store.keys("")) == []


def test_keys_are_in_the_order_of_their_text(store: Store) -> None:
    keys = ["status/a/b.json", "status/a.json", "status/a-b.json", "status/ab", "status/B"]
    for key in keys:
        store.replace(key, b"{}")
    assert list(store.keys("status/")) == sorted(keys)


# Where it is.


def test_two_handles_of_a_store_have_one_location(place: Place) -> None:
    assert place.open().location == place.open().location


def test_sweeping_a_store_harms_nothing(store: Store) -> None:
    store.create(KEY, b"{}")
    assert store.sweep(0) == 0
    assert store.read(KEY) == b"{}"


# Promise 11: `swap` is atomic, and `remove` takes away what is under status/ only.


def test_11_an_object_is_swapped_only_for_what_it_holds(store: Store, place: Place) -> None:
    assert not store.swap("status/feed/t", b"old", b"new")
    assert store.swap("status/feed/t", None, b"first")
    assert not store.swap("status/feed/t", None, b"second")
    for wrong in (b"", b"firs", b"firstt", b"fIrst"):
        assert not store.swap("status/feed/t", wrong, b"second")
    assert place.open().read("status/feed/t") == b"first"
    assert place.open().swap("status/feed/t", b"first", b"second")
    assert store.read("status/feed/t") == b"second"
    assert place.leftovers() == []


@pytest.mark.parametrize("old", [None, b"old"])
def test_11_of_eight_that_swap_exactly_one_wins(
    store: Store, place: Place, old: bytes | None
) -> None:
    key = "status/feed/timestamp.json"
    if old is not None:
        store.replace(key, old)
    handles = [place.open() for _ in range(8)]
    won = together(
        [
            lambda i=i, handle=handle: handle.swap(key, old, letters(i))  # type: ignore[misc]
            for i, handle in enumerate(handles)
        ]
    )
    assert sum(won) == 1
    assert store.read(key) == letters(won.index(True))


def test_11_what_is_removed_is_gone_and_may_come_back(store: Store, place: Place) -> None:
    store.create("status/feed/1.json", b"first")
    store.remove("status/feed/1.json")
    store.remove("status/feed/1.json")
    store.remove("status/nothing/like/that")
    with pytest.raises(NotFound):
        place.open().read("status/feed/1.json")
    store.create("status/feed/1.json", b"again")
    assert store.read("status/feed/1.json") == b"again"


def test_11_the_ledger_is_never_removed(store: Store) -> None:
    store.create(KEY, b"first")
    with pytest.raises(StoreError):
        store.remove(KEY)
    assert store.read(KEY) == b"first"
