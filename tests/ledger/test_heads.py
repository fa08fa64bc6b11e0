"""Not going back: the highest head that a home has seen."""

from __future__ import annotations

import json
import os
from functools import partial
from pathlib import Path

import pytest

from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger import heads
from stemma_registry.ledger.log import Head, entries_after
from tests.ledger.simulator import Writer, fork, head_of, ledger, shorten
from tests.threads import together


def see(folder: Path, store: MemoryStore, head: Head) -> None:
    """What a reader does: remember what was seen, refuse what lies behind it."""
    seen = heads.read_seen(folder, store)
    heads.check_seen(store, head, seen)
    heads.remember(folder, store, head, seen)


# Seen heads.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "heads"


def seen(home: Path, store: MemoryStore) -> int | None:
    """The number that the home remembers for this store."""
    found = [json.loads(path.read_bytes()) for path in home.glob("*.json")]
    numbers = [doc["n"] for doc in found if doc["location"] == store.location]
    assert len(numbers) <= 1
    return numbers[0] if numbers else None


def test_the_highest_head_is_remembered(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    assert seen(home, store) == 1
    see(home, store, head_of(store))
    Writer(store).append("b")
    see(home, store, head_of(store))
    assert seen(home, store) == 2


def test_nothing_is_remembered_of_a_store_without_a_ledger(home: Path) -> None:
    store = MemoryStore()
    see(home, store, Head())
    assert seen(home, store) is None


@pytest.mark.parametrize("last", [2, 1, 0])
def test_a_rewound_ledger_is_refused(home: Path, last: int) -> None:
    store = ledger("a", "b", "c")
    see(home, store, head_of(store))
    shorten(store, last)
    for _ in range(2):
        with pytest.raises(LedgerBroken, match="rewound"):
            see(home, store, head_of(store))
    assert seen(home, store) == 3, "a refusal forgets nothing"


def test_a_ledger_that_is_gone_is_refused(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    store.objects.clear()
    with pytest.raises(LedgerBroken, match="rewound"):
        see(home, store, head_of(store))


@pytest.mark.parametrize("events", [("x",), ("x", "y"), ("x", "y", "z", "and", "more")])
def test_a_forked_ledger_is_refused_at_any_length(home: Path, events: tuple[str, ...]) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    fork(store, 0, *events)
    with pytest.raises(LedgerBroken, match=r"rewound|rewritten or replaced"):
        see(home, store, head_of(store))
    assert seen(home, store) == 2


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_a_replaced_ledger_is_refused(home: Path, length: int) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    store.objects.clear()
    ledger(*map(str, range(length)), store=store)
    with pytest.raises(LedgerBroken):
        see(home, store, head_of(store))


def test_a_fork_behind_what_was_seen_shows_at_the_place_that_was_seen(home: Path) -> None:
    """The reader comes back after many entries: only entry 2 can be compared."""
    store = ledger("a", "b")
    see(home, store, head_of(store))
    fork(store, 1, "x", *map(str, range(30)))
    with pytest.raises(LedgerBroken, match="entry 2"):
        see(home, store, head_of(store))


def test_what_grew_honestly_is_accepted(home: Path) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    for i in range(30):
        Writer(store).append(str(i))
    see(home, store, head_of(store))
    assert seen(home, store) == 32


def test_two_registries_in_one_home_do_not_meet(home: Path) -> None:
    one, two = ledger("a", "b", "c"), ledger("x")
    see(home, one, head_of(one))
    see(home, two, head_of(two))
    assert (seen(home, one), seen(home, two)) == (3, 1)


def test_a_new_registry_at_the_place_of_an_old_one_starts_anew(home: Path) -> None:
    store = ledger("a", "b", "c")
    see(home, store, head_of(store))
    store.objects.clear()
    ledger("x", store=store)
    heads.forget_seen(home, store)
    see(home, store, head_of(store))
    assert seen(home, store) == 1


DAMAGED = {
    "nothing": b"",
    "garbage": b"\x00\xff garbage",
    "half": b'{"entry":"sha256:',
    "a list": b"[]",
    "no number": b'{"entry":"sha256:' + b"0" * 64 + b'"}',
    "no entry": b'{"n":1}',
    "a number as word": b'{"entry":"sha256:' + b"0" * 64 + b'","n":"many"}',
    "a wrong digest": b'{"entry":"sha256:00","n":1}',
    "an entry that is a number": b'{"entry":7,"n":1}',
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_memory_is_no_memory_and_no_permission(home: Path, what: str) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    (path,) = home.glob("*.json")
    path.write_bytes(DAMAGED[what])
    with pytest.raises(LedgerBroken) as caught:
        see(home, store, head_of(store))
    assert str(path) in str(caught.value), "the message names the file that is to be looked at"
    assert path.read_bytes() == DAMAGED[what]


def test_a_memory_that_is_a_directory_is_refused(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    (path,) = home.glob("*.json")
    path.unlink()
    path.mkdir()
    with pytest.raises(LedgerBroken):
        see(home, store, head_of(store))


def test_a_home_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a directory")
    store = ledger("a")
    see(tmp_path / "elsewhere" / "heads", store, head_of(store))
    with pytest.raises(LedgerBroken):
        # It cannot be *read* either: what was seen before is not known.
        see(tmp_path / "home" / "heads", store, head_of(store))


def test_remembering_leaves_no_work_files(home: Path) -> None:
    store = ledger()
    for i in range(5):
        Writer(store).append(str(i))
        see(home, store, head_of(store))
    kept = sorted(name for name in os.listdir(home) if not name.endswith(".lock"))
    assert kept == [path.name for path in home.glob("[0-9a-f]*.json")]
    assert len(kept) == 1


def test_of_two_that_remember_the_higher_head_stays(home: Path) -> None:
    """One looked at entry 1 and was slow; the other has seen entry 3 meanwhile."""
    store = ledger("a")
    slow, before = head_of(store), heads.read_seen(home, store)
    Writer(store).append("b")
    Writer(store).append("c")
    see(home, store, head_of(store))
    heads.check_seen(store, slow, before)
    heads.remember(home, store, slow, before)
    assert seen(home, store) == 3


def test_sixteen_that_remember_at_once(home: Path) -> None:
    store = ledger(*map(str, range(16)))
    head = Head()
    reached = [head.copy() for _ in entries_after(store, head)]
    for _ in range(5):
        heads.forget_seen(home, store)
        jobs = [partial(heads.remember, home, store, head, None) for head in reached]
        assert together(jobs) == [None] * len(jobs)
        assert seen(home, store) == 16
