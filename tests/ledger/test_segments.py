"""Segments: a thousand entries in one read, and never another answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.config import LIMITS, Limits
from stemma_registry.errors import LedgerBroken, Unavailable
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import INIT, Event, LedgerEntry
from stemma_registry.ledger.log import Head, entry_key, read_entry
from stemma_registry.ledger.segments import SIZE, segment_key
from stemma_registry.ledger.survey import last_number

COUNT = 2 * SIZE + 40
TIME = "2026-11-21T12:00:00Z"


class Counting(MemoryStore):
    """Counts what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[str] = []
        self.failing = ""

    def read(self, key: str) -> bytes:
        self.reads.append(key)
        if key == self.failing:
            raise Unavailable("the disk is on fire")
        return super().read(key)


def chain(count: int, nonce: str = "0" * 32) -> list[LedgerEntry]:
    """Entries of a ledger; another nonce makes another ledger."""
    head, entries = Head(), []
    for n in range(count):
        entry = LedgerEntry.build(n, head.entry, nonce, TIME, head.tree.root, [Event(INIT)])
        head.advance(entry)
        entries.append(entry)
    return entries


ENTRIES = chain(COUNT)
OTHERS = chain(COUNT, "1" * 32)


@pytest.fixture
def store() -> Counting:
    store = Counting()
    for entry in ENTRIES:
        store.objects[entry_key(entry.n)] = entry.raw
    return store


def read_all(store: Counting, head: Head | None = None) -> Head:
    head, reader = head or Head(), segments.Reader(store)
    while (entry := reader.after(head)) is not None:
        head.advance(entry)
        assert entry == ENTRIES[entry.n]
    return head


def singly(store: Counting) -> Head:
    head = Head()
    while (entry := read_entry(store, head.n + 1)) is not None:
        head.advance(entry)
    return head


def raws(entries: list[LedgerEntry], k: int = 0) -> list[bytes]:
    return [entry.raw for entry in entries[k * SIZE : (k + 1) * SIZE]]


def test_build_and_split_are_inverses() -> None:
    data = segments.build(raws(ENTRIES))
    assert segments.split(data) == raws(ENTRIES)
    assert data.startswith(b"urn:stemma:segment:v0.1\n\x00\x00")
    with pytest.raises(ValueError, match="holds 1000 entries"):
        segments.build(raws(ENTRIES)[:-1])


def test_missing_ones_are_written_once(store: Counting) -> None:
    assert segments.write_missing(store, COUNT - 1) == [0, 1]
    assert segments.write_missing(store, COUNT - 1) == []
    assert store.objects[segment_key(1)] == segments.build(raws(ENTRIES, 1))
    assert segment_key(123) == "ledger/segments/000000123.seg"


def test_who_appends_the_last_entry_writes_it(store: Counting) -> None:
    assert not segments.write_behind(store, SIZE - 2)
    assert segments.write_behind(store, SIZE - 1)
    assert not segments.write_behind(store, SIZE - 1)
    assert set(store.keys("ledger/segments/")) == {segment_key(0)}


def test_a_thousand_that_is_not_full_is_not_written(store: Counting) -> None:
    assert not segments.write(store, 2)
    assert not segments.write(store, 7)


def test_a_reader_asks_for_no_entry_of_a_thousand_but_the_last(store: Counting) -> None:
    segments.write_missing(store, COUNT - 1)
    store.reads.clear()
    assert read_all(store) == singly(store)
    store.reads.clear()
    read_all(store)
    assert store.reads[:4] == [
        segment_key(0),
        entry_key(SIZE - 1),
        segment_key(1),
        entry_key(2 * SIZE - 1),
    ]
    # The third segment is asked for once; behind the last entry some that were hoped for.
    assert store.reads.count(segment_key(2)) == 1
    rest = [key for key in store.reads[4:] if key != segment_key(2)]
    there = [key for key in rest if key in store.objects]
    assert sorted(there) == [entry_key(n) for n in range(2 * SIZE, COUNT)]
    assert len(rest) - len(there) <= 2 * LIMITS.transfers + 1


def test_those_few_who_came_last_are_read_one_by_one(store: Counting) -> None:
    head = Head()
    for entry in ENTRIES[: COUNT - 3]:
        head.advance(entry)
    store.reads.clear()
    read_all(store, head)
    assert store.reads == [entry_key(n) for n in range(COUNT - 3, COUNT + 1)]


@pytest.mark.parametrize("far", [0.0, 60.0])
def test_what_follows_is_at_hand_soon(
    store: Counting, monkeypatch: pytest.MonkeyPatch, far: float
) -> None:
    """Without any segment: whoever projects it does not need a transaction for each entry."""
    monkeypatch.setattr(segments, "FAR", far)
    head, reader, steps = Head(), segments.Reader(store), 0
    while (entry := reader.after(head)) is not None:
        steps += 1
        while entry is not None:
            head.advance(entry)
            entry = reader.at_hand(head)
    assert head.n == COUNT - 1
    assert steps <= 60
    beyond = [key for key in store.reads if key.endswith(".json") and key not in store.objects]
    assert len(beyond) <= (2 if far else 2 * LIMITS.transfers + 2)


@pytest.mark.parametrize("wrong", [b"{}", None])
def test_what_cannot_be_read_is_told_in_its_place(store: Counting, wrong: bytes | None) -> None:
    if wrong is None:
        store.failing = entry_key(20)
    store.objects[entry_key(20)] = wrong or b""
    head, reader = Head(), segments.Reader(store)
    with pytest.raises((LedgerBroken, Unavailable)):
        while (entry := reader.after(head)) is not None:
            head.advance(entry)
    assert head.n == 19


def test_a_reader_in_the_middle_of_a_thousand_soon_goes_on_by_segments(store: Counting) -> None:
    segments.write_missing(store, COUNT - 1)
    head = Head()
    for entry in ENTRIES[:500]:
        head.advance(entry)
    store.reads.clear()
    assert read_all(store, head.copy()) == singly(store)
    assert sorted(store.reads[:16]) == [entry_key(n) for n in range(500, 516)]
    assert store.reads[16:20] == [
        segment_key(0),
        entry_key(SIZE - 1),
        segment_key(1),
        entry_key(2 * SIZE - 1),
    ]


def flipped(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


WRONG: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda data: b"",
    "magic": flipped(0),
    "length": flipped(len(segments.MAGIC)),
    "an entry": flipped(len(segments.MAGIC) + 200),
    "the last byte": flipped(-1 % 100),
    "cut": lambda data: data[:-1],
    "cut in a length": lambda data: data[: len(segments.MAGIC) + 2],
    "longer": lambda data: data + b"\x00",
    "one more": lambda data: data + b"\x00\x00\x00\x01x",
    "another ledger": lambda data: segments.build(raws(OTHERS)),
    "another thousand": lambda data: segments.build(raws(ENTRIES, 1)),
    "a fork with the right end": lambda data: segments.build(
        [*raws(OTHERS)[:-1], raws(ENTRIES)[-1]]
    ),
    "out of order": lambda data: segments.build(
        [raws(ENTRIES)[1], raws(ENTRIES)[0], *raws(ENTRIES)[2:]]
    ),
    "one left out": lambda data: segments.build([*raws(ENTRIES)[1:], raws(ENTRIES)[-1]]),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_segment_changes_no_answer_and_is_mended(store: Counting, name: str) -> None:
    segments.write_missing(store, COUNT - 1)
    right = store.objects[segment_key(0)]
    store.objects[segment_key(0)] = WRONG[name](right)
    assert store.objects[segment_key(0)] != right
    assert segments.believed(store, Head()) == []
    assert read_all(store) == singly(store)
    assert segments.write(store, 0)
    assert store.objects[segment_key(0)] == right


def test_a_fork_at_the_end_of_the_ledger_is_not_believed(store: Counting) -> None:
    """Without the last entry of the ledger itself nothing would contradict it."""
    for n in range(SIZE, COUNT):
        del store.objects[entry_key(n)]
    store.objects[segment_key(0)] = segments.build(raws(OTHERS))
    assert read_all(store).entry == ENTRIES[SIZE - 1].digest


def test_a_segment_does_not_outlive_a_ledger_that_was_cut(store: Counting) -> None:
    segments.write_missing(store, COUNT - 1)
    for n in range(SIZE - 1, COUNT):
        del store.objects[entry_key(n)]
    assert read_all(store).n == SIZE - 2


def test_a_broken_ledger_gives_no_segment(store: Counting) -> None:
    store.objects[entry_key(500)] = OTHERS[500].raw
    with pytest.raises(LedgerBroken):
        segments.write(store, 0)
    assert list(store.keys("ledger/segments/")) == []


def test_a_large_thousand_stays_single(store: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "LIMITS", Limits(segment_bytes=1000))
    assert segments.write_missing(store, COUNT - 1) == []


def test_the_listing_of_entries_passes_them_over(store: Counting) -> None:
    segments.write_missing(store, COUNT - 1)
    assert last_number(store) == COUNT - 1


def test_the_chain_is_still_checked_by_the_reader(store: Counting) -> None:
    segments.write_missing(store, COUNT - 1)
    head = Head(499, Digest.of(b"somebody else's entry"))
    assert segments.believed(store, head) == []


def test_the_frozen_example() -> None:
    """What v0.1 wrote of a thousand entries, byte for byte."""
    entries = [b'{"n":%d}' % n for n in range(SIZE)]
    data = segments.build(entries)
    assert data.startswith(
        b'urn:stemma:segment:v0.1\n\x00\x00\x00\x07{"n":0}\x00\x00\x00\x07{"n":1}'
    )
    assert Digest.of(data).value == (
        "78b06344cd97ca6b1a8c73ba5729943593200d13596b96f19471dce2b892275c"
    )
    assert segments.split(data) == entries
