"""Appending: races, lost answers, deadlines. Whoever is told yes has exactly one entry."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken, NameTaken, Unanswered, Unavailable
from stemma_registry.ledger.entry import Event, LedgerEntry
from stemma_registry.ledger.log import Head, append, entry_key
from tests.ledger.simulator import (
    Fault,
    FaultyStore,
    Writer,
    entries,
    event,
    ledger,
    once,
)
from tests.threads import together


def told(store: Store) -> Counter[Event]:
    """How often each event stands in the ledger, whose chain is checked on the way."""
    return Counter(e for entry in entries(store)[1:] for e in entry.events)


def test_an_append_is_one_create_and_no_other_write() -> None:
    store = ledger("a")
    before = dict(store.objects)
    entry = Writer(store).append("b")
    assert entry is not None
    assert {k: v for k, v in store.objects.items() if k not in before} == {entry_key(2): entry.raw}
    assert before.items() <= store.objects.items()


def test_nothing_to_say_appends_nothing() -> None:
    store = ledger("a")
    before = dict(store.objects)
    writer = Writer(store)
    assert append(store, writer.catch_up(), list, writer.catch_up) is None
    assert store.objects == before


def test_one_entry_may_hold_many_events() -> None:
    store = ledger()
    events = [event(str(i)) for i in range(1000)]
    writer = Writer(store)
    append(store, writer.catch_up(), lambda: events, writer.catch_up)
    assert entries(store)[1].events == tuple(events)


def test_what_the_decision_raises_stops_the_append() -> None:
    store = ledger("a")
    before = dict(store.objects)

    def refuse() -> list[Event]:
        raise NameTaken("taken")

    writer = Writer(store)
    with pytest.raises(NameTaken):
        append(store, writer.catch_up(), refuse, writer.catch_up)
    assert store.objects == before


def test_a_broken_ledger_stops_whoever_has_to_catch_up() -> None:
    store = ledger("a", "b")
    behind = Writer(store)
    next_key = entry_key(3)
    store.objects[next_key] = b"not an entry"
    with pytest.raises(LedgerBroken):
        behind.append("c")
    assert store.objects[next_key] == b"not an entry"
    assert len(store.objects) == 4


# Races.


@pytest.mark.parametrize(("writers", "each"), [(2, 20), (16, 4)])
def test_concurrent_writers_each_get_their_own_places(writers: int, each: int) -> None:
    store = ledger()

    def job(number: int) -> Callable[[], list[LedgerEntry | None]]:
        writer = Writer(store)
        return lambda: [writer.append(f"{number}.{i}") for i in range(each)]

    results = together([job(number) for number in range(writers)])
    assert not [r for r in results if isinstance(r, Exception)], results
    wanted = Counter(event(f"{w}.{i}") for w in range(writers) for i in range(each))
    assert told(store) == wanted
    stood = {entry.n: entry for entry in entries(store)}
    for number, mine in enumerate(results):
        assert not isinstance(mine, Exception)
        for i, entry in enumerate(mine):
            assert entry is not None
            assert stood[entry.n].raw == entry.raw
            assert entry.events == (event(f"{number}.{i}"),)


def test_two_writers_never_both_believe_that_a_name_is_free() -> None:
    """`decide` is asked again after each lost place, and sees all that came before."""
    names = ("a", "b", "c")
    for _ in range(20):
        store = ledger()

        def job(name: str, store: MemoryStore = store) -> Callable[[], bool]:
            writer = Writer(store)

            def decide() -> Sequence[Event]:
                writer.catch_up()
                there = event(name) in told(store)
                return [] if there else [event(name)]

            return lambda: append(store, writer.catch_up(), decide, writer.catch_up) is not None

        results = together([job(name) for name in names for _ in range(4)])
        assert told(store) == Counter(map(event, names))
        assert results.count(True) == len(names)
        assert results.count(False) == len(results) - len(names)


def test_a_writer_far_behind_finds_its_place() -> None:
    store = ledger(*map(str, range(50)))
    entry = Writer(store).append("late")
    assert entry is not None
    assert entry.n == 51
    assert len(entries(store)) == 52


# Deadlines: bounded by time, not by tries.


def test_a_writer_that_always_loses_gives_up_after_its_time() -> None:
    store = ledger()
    rival, victim = Writer(store), Writer(store)
    victim.catch_up()
    asked = 0

    def decide() -> Sequence[Event]:
        nonlocal asked
        asked += 1
        rival.append(f"rival {asked}")  # always a little faster
        return [event("victim")]

    with pytest.raises(Unavailable, match="other writers"):
        append(store, victim.catch_up(), decide, victim.catch_up, seconds=0.3)
    assert event("victim") not in told(store)
    assert 1 < asked < 1000
    assert len(entries(store)) == asked + 1, "every entry of the rival is there, and no more"


def test_a_lost_place_alone_does_not_give_up() -> None:
    store = ledger()
    rival, victim = Writer(store), Writer(store)
    victim.catch_up()
    asked = 0

    def decide() -> Sequence[Event]:
        nonlocal asked
        asked += 1
        if asked <= 5:
            rival.append(f"rival {asked}")
        return [event("victim")]

    entry = append(store, victim.catch_up(), decide, victim.catch_up)
    assert entry is not None
    assert entry.n == 6


# Lost answers.


@pytest.mark.parametrize("fault", [Fault.LOST_AFTER, Fault.SENT_TWICE])
def test_an_entry_that_arrived_is_recognised_as_ones_own(fault: Fault) -> None:
    inner = ledger("a")
    store = FaultyStore(inner, once(fault))
    entry = Writer(store).append("mine")
    assert entry is not None
    assert told(inner) == Counter([event("a"), event("mine")])
    assert inner.objects[entry_key(entry.n)] == entry.raw
    assert store.faults.count(fault) == 1


def test_an_answer_lost_before_the_put_is_an_error_and_nothing_is_there() -> None:
    inner = ledger("a")
    writer = Writer(FaultyStore(inner, once(Fault.LOST_BEFORE)))
    writer.catch_up()
    with pytest.raises(Unanswered):
        writer.append("mine")
    assert told(inner) == Counter([event("a")])
    again = writer.append("mine")
    assert again is not None
    assert told(inner) == Counter([event("a"), event("mine")])


def test_no_retry_sits_around_an_append() -> None:
    inner = ledger("a")
    store = FaultyStore(inner, lambda: Fault.LOST_BEFORE)
    writer = Writer(store)
    writer.catch_up()
    with pytest.raises(Unanswered):
        writer.append("mine")
    assert store.faults == [Fault.LOST_BEFORE]


def test_an_entry_that_is_not_safe_is_never_acknowledged() -> None:
    """After a failed fsync it may be seen, but a power cut may still take it."""
    inner = ledger("a")
    writer = Writer(FaultyStore(inner, once(Fault.NOT_DURABLE)))
    writer.catch_up()
    with pytest.raises(Unavailable):
        writer.append("mine")


def test_a_lost_answer_whose_entry_cannot_be_read_back_is_an_error() -> None:
    inner = ledger("a")
    store = FaultyStore(inner, once(Fault.LOST_AFTER))
    writer = Writer(store)
    head = writer.catch_up()

    def fail(key: str) -> None:
        raise Unavailable("the connection broke again")

    store.before_read = fail
    with pytest.raises(Unanswered):
        append(store, head, lambda: [event("mine")], writer.catch_up)


def test_somebody_elses_entry_is_not_taken_for_ones_own() -> None:
    """The answer is lost before the put, and a rival takes the place meanwhile."""
    inner = ledger("a")
    rival, fault = Writer(inner), once(Fault.LOST_BEFORE)

    def rival_first() -> Fault:
        rival.append("rival")
        return fault()

    writer = Writer(FaultyStore(inner, rival_first))
    writer.catch_up()
    with pytest.raises(Unanswered):
        writer.append("mine")
    assert told(inner) == Counter([event("a"), event("rival")])


def test_the_same_event_by_two_writers_is_told_apart_by_nonce() -> None:
    inner = ledger()
    one, two = Writer(inner), Writer(FaultyStore(inner, once(Fault.SENT_TWICE)))
    first, second = one.append("same"), two.append("same")
    assert first is not None
    assert second is not None
    assert first.nonce != second.nonce
    assert told(inner)[event("same")] == 2


@pytest.mark.parametrize("seed", range(4))
def test_whoever_is_told_yes_has_one_entry_and_whoever_is_told_no_has_none(seed: int) -> None:
    """Sixteen writers over a store that loses one answer in three."""
    inner = ledger()
    kinds = [Fault.NONE] * 4 + [Fault.LOST_BEFORE, Fault.LOST_AFTER, Fault.SENT_TWICE]

    def job(number: int) -> Callable[[], dict[str, bool]]:
        dice = random.Random(seed * 100 + number)
        writer = Writer(FaultyStore(inner, lambda: dice.choice(kinds)))

        def run() -> dict[str, bool]:
            answers = {}
            for i in range(4):
                name = f"{number}.{i}"
                try:
                    answers[name] = writer.append(name) is not None
                except Unanswered:
                    answers[name] = False
            return answers

        return run

    results = together([job(number) for number in range(16)])
    answers: dict[str, bool] = {}
    for result in results:
        assert not isinstance(result, Exception), result
        answers |= result
    assert set(answers.values()) == {True, False}, "both kinds of answer happened"
    assert told(inner) == Counter(event(name) for name, yes in answers.items() if yes)


def test_a_head_that_was_never_caught_up_is_no_way_to_overwrite() -> None:
    store = ledger("a", "b")
    before = dict(store.objects)
    entry = append(store, Head(), lambda: [event("c")], Writer(store).catch_up)
    assert entry is not None
    assert entry.n == 3
    assert before.items() <= store.objects.items()
