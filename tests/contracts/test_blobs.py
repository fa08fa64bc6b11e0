"""Blobs in every store: promises 1 to 5 and 8 of stemma_registry.blobs.contract."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, cast

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import CHUNK, Store, get_bytes, put_bytes
from stemma_registry.errors import BlobMissing, Damaged
from tests.contracts.places import Place
from tests.threads import together

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

SIZES = (0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 7)


class Cut(Exception):
    """The source broke off."""


class Watched(io.BytesIO):
    """A source that calls `before_read` with the number of each read."""

    def __init__(self, data: bytes, before_read: Callable[[int], None]) -> None:
        super().__init__(data)
        self.reads = 0
        self.before_read = before_read

    def read(self, size: int | None = -1, /) -> bytes:
        self.before_read(self.reads)
        self.reads += 1
        return super().read(size)

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        data = self.read(len(memoryview(buffer)))
        memoryview(buffer)[: len(data)] = data
        return len(data)


def data_of(size: int) -> bytes:
    """`size` bytes that differ from chunk to chunk."""
    return (bytes(i * 31 % 251 for i in range(997)) * (size // 997 + 1))[:size]


def put(store: Store, data: bytes) -> tuple[Digest, bool]:
    digest = Digest.of(data)
    return digest, store.put(io.BytesIO(data), digest, len(data))


def is_absent(store: Store, digest: Digest) -> bool:
    """Whether nothing of the blob is to be seen, asked in every way there is."""
    with pytest.raises(BlobMissing):
        list(store.chunks(digest))
    return store.size(digest) is None and digest not in list(store.blobs())


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_in_comes_out(store: Store, place: Place, size: int) -> None:
    data = data_of(size)
    digest, new = put(store, data)
    assert new
    for handle in (store, place.open()):
        assert handle.size(digest) == size
        assert b"".join(handle.chunks(digest)) == data
    assert place.leftovers() == []


def test_a_blob_that_was_there_is_said_to_be(store: Store, place: Place) -> None:
    digest, first = put(store, b"once")
    assert first
    for handle in (store, place.open()):
        assert not handle.put(io.BytesIO(b"once"), digest, 4)
        assert get_bytes(handle, digest, 4) == b"once"


def test_blobs_are_listed_in_order_and_nothing_else_is(store: Store) -> None:
    assert list(store.blobs()) == []
    expected = sorted(put_bytes(store, str(i).encode()) for i in range(50))
    store.create("ledger/000/000/000000.json", b"{}")
    store.replace("status/checkpoint.json", b"{}")
    assert list(store.blobs()) == expected


# Promise 1: there whole or not at all.


def test_1_nobody_sees_a_blob_before_it_is_whole(store: Store, place: Place) -> None:
    data = data_of(3 * CHUNK)
    digest = Digest.of(data)
    half_way, looked = threading.Event(), threading.Event()

    def stop_half_way(read: int) -> None:
        if read == 2:
            half_way.set()
            assert looked.wait(30)

    writer = threading.Thread(
        target=store.put, args=(Watched(data, stop_half_way), digest, len(data))
    )
    writer.start()
    try:
        assert half_way.wait(30)
        absent = is_absent(place.open(), digest)
    finally:
        looked.set()
        writer.join()
    assert absent
    assert b"".join(place.open().chunks(digest)) == data


@pytest.mark.parametrize("read", [0, 1, 3])
def test_1_a_writer_that_breaks_off_leaves_nothing(store: Store, place: Place, read: int) -> None:
    data = data_of(3 * CHUNK)

    def break_off(number: int) -> None:
        if number == read:
            raise Cut

    with pytest.raises(Cut):
        store.put(Watched(data, break_off), Digest.of(data), len(data))
    assert is_absent(store, Digest.of(data))
    assert place.leftovers() == []
    assert put(store, data)[1], "a second writer is not hindered"


# Promise 3: bytes that do not match are refused at the door, and leave nothing.

WRONG: dict[str, Callable[[bytes], bytes]] = {
    "a changed byte": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "a byte less": lambda data: data[:-1],
    "a byte more": lambda data: data + b"\x00",
    "nothing": lambda data: b"",
    "twice": lambda data: data + data,
}


@pytest.mark.parametrize("size", [1, CHUNK, 2 * CHUNK + 1])
@pytest.mark.parametrize("change", WRONG)
def test_3_other_bytes_are_refused(store: Store, place: Place, change: str, size: int) -> None:
    data = data_of(size)
    wrong = WRONG[change](data)
    with pytest.raises(Damaged):
        store.put(io.BytesIO(wrong), Digest.of(data), size)
    assert is_absent(store, Digest.of(data))
    assert is_absent(store, Digest.of(wrong))
    assert place.leftovers() == []


@pytest.mark.parametrize("said", [0, 4, 6])
def test_3_a_wrong_size_is_refused(store: Store, place: Place, said: int) -> None:
    with pytest.raises(Damaged):
        store.put(io.BytesIO(b"12345"), Digest.of(b"12345"), said)
    assert is_absent(store, Digest.of(b"12345"))
    assert place.leftovers() == []


def test_3_a_source_that_never_ends_is_not_read_for_ever(store: Store, place: Place) -> None:
    class Endless(io.RawIOBase):
        total = 0

        def read(self, size: int = -1, /) -> bytes:
            self.total += size
            assert self.total < 20 * CHUNK, "the store went on reading"
            return bytes(size)

        def readinto(self, buffer: WriteableBuffer, /) -> int:
            return len(self.read(len(memoryview(buffer))))

    with pytest.raises(Damaged):
        store.put(cast(BinaryIO, Endless()), Digest.of(b""), 2 * CHUNK)
    assert place.leftovers() == []


def test_3_a_refused_put_does_not_touch_what_is_there(store: Store) -> None:
    digest, _ = put(store, b"12345")
    with pytest.raises(Damaged):
        store.put(io.BytesIO(b"123456"), digest, 6)
    assert get_bytes(store, digest, 5) == b"12345"


# Promise 4: `chunks` ends without an error only if the bytes match the name.

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "first byte": lambda data: bytes([data[0] ^ 0x80]) + data[1:],
    "last byte": lambda data: data[:-1] + bytes([data[-1] ^ 0x01]),
    "cut short": lambda data: data[:-1],
    "emptied": lambda data: b"",
    "grown": lambda data: data + b"\x00",
    "another blob": lambda data: b"the bytes of another blob",
}


@pytest.mark.parametrize("size", [1, 2 * CHUNK])
@pytest.mark.parametrize("damage", DAMAGE)
def test_4_damaged_bytes_are_noticed(store: Store, place: Place, damage: str, size: int) -> None:
    data = data_of(size)
    digest, _ = put(store, data)
    other, _ = put(store, b"untouched")
    place.overwrite(digest, DAMAGE[damage](data))
    for handle in (store, place.open()):
        with pytest.raises(Damaged, match=digest.value):
            list(handle.chunks(digest))
        with pytest.raises(Damaged):
            get_bytes(handle, digest, 10 * CHUNK)
        assert get_bytes(handle, other, 100) == b"untouched"


def test_4_a_blob_of_another_size_is_mended_by_the_next_put(store: Store, place: Place) -> None:
    digest, _ = put(store, b"12345")
    place.overwrite(digest, b"123")
    store.put(io.BytesIO(b"12345"), digest, 5)
    assert get_bytes(store, digest, 5) == b"12345"


def test_4_more_than_the_limit_is_not_read_into_memory(store: Store) -> None:
    digest, _ = put(store, b"12345")
    with pytest.raises(Damaged, match="at most 4"):
        get_bytes(store, digest, 4)
    assert get_bytes(store, digest, 5) == b"12345"


# Promise 5: any number of writers of the same blob are harmless to each other.


def test_5_sixteen_writers_of_one_blob(store: Store, place: Place) -> None:
    data = data_of(2 * CHUNK + 3)
    digest = Digest.of(data)

    def write() -> bool:
        return place.open().put(io.BytesIO(data), digest, len(data))

    results = together([write] * 16)
    assert all(isinstance(result, bool) for result in results), results
    assert True in results
    assert b"".join(store.chunks(digest)) == data
    assert place.leftovers() == []


def test_5_writers_that_fail_do_not_harm_the_one_that_does_not(store: Store, place: Place) -> None:
    data = data_of(2 * CHUNK)
    digest = Digest.of(data)
    wrong = data[:-1] + b"?"

    def cut(read: int) -> None:
        if read == 2:
            raise Cut

    def good() -> bool:
        return place.open().put(io.BytesIO(data), digest, len(data))

    def bad() -> bool:
        # Refused, or told that the blob is there: never stored.
        return place.open().put(io.BytesIO(wrong), digest, len(data))

    def broken() -> bool:
        return place.open().put(Watched(data, cut), digest, len(data))

    results = together([bad, broken, good, bad, broken] * 3)
    assert all(isinstance(result, bool | Damaged | Cut) for result in results), results
    assert b"".join(store.chunks(digest)) == data
    assert place.leftovers() == []


def test_5_readers_beside_writers_see_the_blob_or_nothing(store: Store, place: Place) -> None:
    data = data_of(CHUNK + 1)
    digest = Digest.of(data)

    def write() -> object:
        return place.open().put(io.BytesIO(data), digest, len(data))

    def read() -> object:
        handle = place.open()
        for _ in range(50):
            try:
                assert b"".join(handle.chunks(digest)) == data
            except BlobMissing:
                assert handle.size(digest) in (None, len(data))
        return True

    results = together([write, read] * 8)
    assert not [r for r in results if isinstance(r, Exception)]


# Promise 8: the errors.


def test_8_what_is_not_there(store: Store) -> None:
    digest = Digest.of(b"never stored")
    assert is_absent(store, digest)
    with pytest.raises(BlobMissing, match=digest.value):
        get_bytes(store, digest, 10)
