"""What is repeated, how often, and what never is."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.retrying import Budget, Limits, Retrying
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.errors import (
    AlreadyThere,
    BlobMissing,
    Damaged,
    NotFound,
    Temporary,
    Unanswered,
    Unavailable,
)
from tests.counting import Counted
from tests.s3.flaky import Clock, Flaky, patient
from tests.threads import together

DATA = bytes(range(251)) * 13_000  # three chunks and a bit
KEY = "ledger/000/000/000001.json"


def broken(count: int) -> list[Exception]:
    return [Temporary(f"fault {n}") for n in range(count)]


def test_a_call_is_repeated_with_growing_pauses_until_it_succeeds() -> None:
    store, clock = Flaky(*broken(5)), Clock()
    store.objects[KEY] = b"{}"
    assert patient(store, clock).read(KEY) == b"{}"
    assert store.calls == ["read"] * 6
    assert clock.pauses == [0.1, 0.2, 0.4, 0.8, 1.6]


def test_it_gives_up_after_so_many_tries_and_says_so_in_one_line() -> None:
    store = Flaky(*broken(99))
    with pytest.raises(Temporary, match=r"^fault 3; tried 4 times$"):
        patient(store, Clock(), tries=4).read(KEY)
    assert len(store.calls) == 4


def test_it_gives_up_where_the_time_of_a_call_would_not_reach() -> None:
    store, clock = Flaky(*broken(99)), Clock()
    with pytest.raises(Temporary):
        patient(store, clock, tries=1000, seconds=10).read(KEY)
    assert sum(clock.pauses) <= 10
    assert clock.pauses[-1] <= 8


def test_a_pause_is_drawn_at_random_between_half_and_whole() -> None:
    store, clock = Flaky(*broken(3)), Clock()
    drawn: list[tuple[float, float]] = []

    def draw(low: float, high: float) -> float:
        drawn.append((low, high))
        return low

    store.objects[KEY] = b""
    patience = replace(clock.patience(Limits()), draw=draw)
    Retrying(store, patience=patience).read(KEY)
    assert drawn == [(0.05, 0.1), (0.1, 0.2), (0.2, 0.4)]
    assert clock.pauses == [0.05, 0.1, 0.2]


def test_all_calls_share_a_budget_that_successes_fill_again() -> None:
    store, clock = Flaky(*broken(10_000)), Clock()
    retrying = patient(store, clock, tries=5, tokens=10, earned=0.5)
    for _ in range(100):
        with pytest.raises(Temporary):
            retrying.read(KEY)
    assert len(store.calls) == 100 + 10, "a broken server is asked once for each call, and 10 more"
    store.failing.clear()
    store.objects[KEY] = b""
    for _ in range(4):
        retrying.read(KEY)
    store.failing[:] = broken(3)
    with pytest.raises(Temporary, match="too much fails"):
        retrying.read(KEY)
    assert len(store.calls) == 110 + 4 + 3, "four successes were two more repetitions"


def test_the_budget_is_never_overdrawn_nor_overfilled() -> None:
    budget = Budget(50.0, 50.0)

    def job() -> int:
        return sum(budget.spend() for _ in range(20))

    assert sum(map(int, together([job] * 10))) == 50  # type: ignore[arg-type]
    budget.earn(10_000)
    assert budget.tokens == 50


@pytest.mark.parametrize(
    "error",
    [Unavailable("x"), Damaged("x"), NotFound("x"), BlobMissing("x"), AlreadyThere("x"), OSError()],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_temporary_passes_at_once(error: Exception) -> None:
    store, clock = Flaky(error), Clock()
    with pytest.raises(type(error)) as caught:
        patient(store, clock).read(KEY)
    assert caught.value is error
    assert (store.calls, clock.pauses) == (["read"], [])


@pytest.mark.parametrize("reached", [False, True])
@pytest.mark.parametrize("error", [Temporary("x"), Unanswered("x")])
def test_create_is_never_repeated(error: Exception, reached: bool) -> None:
    store = Flaky(error, reached=reached)
    with pytest.raises(type(error)) as caught:
        patient(store, Clock()).create(KEY, b"{}")
    assert caught.value is error
    assert store.calls == ["create"]


def test_the_type_of_the_last_error_is_kept() -> None:
    store = Flaky(*[Unanswered("x")] * 99)
    with pytest.raises(Unanswered):
        patient(store, Clock()).put(io.BytesIO(b"x"), Digest.of(b"x"), 1)


@pytest.mark.parametrize("start", [0, 5])
def test_a_put_begins_again_where_the_source_stood(start: int) -> None:
    store, source = Flaky(*broken(2)), io.BytesIO(b"12345" + DATA)
    source.seek(start)
    data = (b"12345" + DATA)[start:]
    assert patient(store, Clock()).put(source, Digest.of(data), len(data))
    assert store.blob_bytes == {Digest.of(data): data}


def test_a_put_whose_answer_was_lost_is_found_again() -> None:
    store = Flaky(Unanswered("x"), reached=True)
    patient(store, Clock()).put(io.BytesIO(DATA), Digest.of(DATA), len(DATA))
    assert store.blob_bytes == {Digest.of(DATA): DATA}


def test_a_source_that_cannot_be_rewound_is_read_once() -> None:
    class Pipe(io.BytesIO):
        def seekable(self) -> bool:
            return False

    calls: list[Callable[[Store], object]] = [
        lambda r: r.put(Pipe(DATA), Digest.of(DATA), len(DATA)),
        lambda r: r.receive(Pipe(DATA), len(DATA)),
    ]
    for call in calls:
        store = Flaky(*broken(1))
        with pytest.raises(Temporary):
            call(patient(store, Clock()))
        assert len(store.calls) == 1


def test_progress_counts_each_byte_once() -> None:
    store, progress = Flaky(*broken(3)), Counted()
    assert patient(store, Clock()).receive(io.BytesIO(DATA), len(DATA), progress) == Digest.of(DATA)
    assert (progress.done, progress.expected) == (len(DATA), len(DATA))
    out, again = io.BytesIO(), Counted()
    store.failing, store.cut = broken(2), 2
    patient(store, Clock()).fetch(Digest.of(DATA), out, again)
    assert out.getvalue() == DATA
    assert again.done == len(DATA)


# Reading.


@pytest.mark.parametrize("cut", [0, 1, 2, 3, 4])
def test_chunks_go_on_where_they_broke_off(cut: int) -> None:
    store, clock = Flaky(cut=cut), Clock()
    digest = put_bytes(store, DATA)
    store.failing = broken(3)
    assert b"".join(patient(store, clock).chunks(digest)) == DATA
    assert store.calls.count("chunks") == 4


def test_a_reading_that_gets_on_is_not_given_up() -> None:
    """Twenty breaks in one long blob, each a chunk further; without progress two were too many."""
    data = bytes(20 * CHUNK)

    class Further(Flaky):
        def chunks(self, digest: Digest) -> Iterator[bytes]:
            self.cut += 1
            yield from super().chunks(digest)

    store = Further(*broken(20))
    MemoryStore.put(store, io.BytesIO(data), Digest.of(data), len(data))
    assert b"".join(patient(store, Clock(), tries=2).chunks(Digest.of(data))) == data


def test_bytes_of_two_readings_are_believed_only_together() -> None:
    """The first reading lied before it broke; the second is right, and cannot make it good."""

    class Lying(Flaky):
        def chunks(self, digest: Digest) -> Iterator[bytes]:
            if self.failing:
                yield b"\xff" * CHUNK
                raise self.failing.pop()
            yield from super().chunks(digest)

    store = Lying(*broken(1))
    MemoryStore.put(store, io.BytesIO(DATA), Digest.of(DATA), len(DATA))
    with pytest.raises(Damaged, match=Digest.of(DATA).value):
        list(patient(store, Clock()).chunks(Digest.of(DATA)))


def test_a_reader_that_stops_closes_the_store_s_generator() -> None:
    closed = []

    class Watched(Flaky):
        def chunks(self, digest: Digest) -> Iterator[bytes]:
            try:
                yield from super().chunks(digest)
            finally:
                closed.append(True)

    store = Watched()
    digest = put_bytes(store, DATA)
    reading = patient(store, Clock()).chunks(digest)
    next(reading)
    assert not closed
    reading.close()  # type: ignore[attr-defined]
    assert closed


def test_an_error_of_the_reader_is_not_one_of_the_store() -> None:
    store = Flaky()
    digest = put_bytes(store, DATA)
    reading = patient(store, Clock()).chunks(digest)
    next(reading)
    with pytest.raises(Temporary, match="mine"):
        reading.throw(Temporary("mine"))  # type: ignore[attr-defined]
    assert store.calls.count("chunks") == 1


def test_a_file_that_was_half_written_is_written_anew() -> None:
    store = Flaky(cut=2)
    digest = put_bytes(store, DATA)
    store.failing = broken(2)
    out = io.BytesIO()
    patient(store, Clock()).fetch(digest, out)
    assert out.getvalue() == DATA


@pytest.mark.parametrize("cut", [0, 1, 7, 20])
def test_a_listing_that_broke_off_goes_on_behind_the_last(cut: int) -> None:
    store = Flaky(cut=cut)
    expected = sorted(put_bytes(store, str(n).encode()) for n in range(20))
    store.failing = broken(3)
    assert list(patient(store, Clock()).blobs()) == expected


def test_an_empty_listing_that_breaks_is_asked_for_again() -> None:
    store = Flaky(*broken(2))
    assert list(patient(store, Clock()).blobs()) == []
    assert store.calls == ["blobs"] * 3


CALLS: dict[str, Callable[[Store, Digest], object]] = {
    "keep": lambda s, d: s.keep(d, 3),
    "size": lambda s, d: s.size(d),
    "read_range": lambda s, d: s.read_range(d, 0, 2),
    "delete": lambda s, d: s.delete(d),
    "replace": lambda s, d: s.replace(KEY, b"1"),
    "settle": lambda s, d: s.settle(KEY),
    "keys": lambda s, d: list(s.keys("ledger/")),
    "strays": lambda s, d: list(s.strays()),
    "sweep": lambda s, d: s.sweep(0),
    "fetch": lambda s, d: s.fetch(d, io.BytesIO()),
}


@pytest.mark.parametrize("name", CALLS)
def test_every_other_call_is_repeated_too(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    digest = put_bytes(store, b"123")
    store.objects[KEY] = b"{}"
    expected, left = CALLS[name](store, digest), broken(3)
    put_bytes(store, b"123")
    works = getattr(store, name)

    def fails(*values: object) -> object:
        if left:
            raise left.pop()
        return works(*values)

    monkeypatch.setattr(store, name, fails)
    assert CALLS[name](patient(store, Clock()), digest) == expected
    assert left == []


def test_what_goes_through_a_batch_is_repeated_and_shares_the_budget() -> None:
    class Batching(MemoryStore):
        def __init__(self, inner: Store) -> None:
            super().__init__()
            self.inner = inner

        def batch(self) -> AbstractContextManager[Store]:
            return nullcontext(self.inner)

    inner = Flaky(*broken(3))
    retrying = patient(Batching(inner), Clock(), tokens=4)
    with retrying.batch() as inside:
        put_bytes(inside, b"x")
    assert inner.blob_bytes == {Digest.of(b"x"): b"x"}
    assert int(retrying._patience.budget.tokens) == 1
