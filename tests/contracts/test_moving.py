"""Bytes in, bytes out, bytes away: `receive`, `batch`, `fetch`, `read_range`, `delete`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, get_bytes, put_bytes
from stemma_registry.blobs.streams import CHUNK, OVERLAPPED
from stemma_registry.errors import BlobMissing, Damaged
from tests.contracts.places import Place
from tests.contracts.test_blobs import data_of, is_absent
from tests.counting import Counted
from tests.threads import together

SIZES = (0, 1, CHUNK, 3 * CHUNK + 7, OVERLAPPED + 5)


def file_of(folder: Path, data: bytes) -> Path:
    path = folder / "source.bin"
    path.write_bytes(data)
    return path


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("files")


@pytest.mark.parametrize("size", SIZES)
def test_a_file_is_received_under_its_digest(
    store: Store, place: Place, folder: Path, size: int
) -> None:
    data, told = data_of(size), Counted()
    with file_of(folder, data).open("rb", buffering=0) as source:
        digest = store.receive(source, size, told)
    assert digest == Digest.of(data)
    assert told.done == size
    assert b"".join(place.open().chunks(digest)) == data
    assert place.leftovers() == []


@pytest.mark.parametrize("said", [0, CHUNK - 1, CHUNK + 1, OVERLAPPED])
def test_a_file_of_another_size_is_not_received(
    store: Store, place: Place, folder: Path, said: int
) -> None:
    data = data_of(CHUNK)
    with file_of(folder, data).open("rb", buffering=0) as source, pytest.raises(Damaged):
        store.receive(source, said)
    assert list(store.blobs()) == []
    assert place.leftovers() == []


def test_3_wrong_bytes_of_the_right_size_are_replaced(store: Store, place: Place) -> None:
    data = data_of(CHUNK + 1)
    digest = put_bytes(store, data)
    place.overwrite(digest, data[:-1] + b"?")
    store.put(io.BytesIO(data), digest, len(data))
    assert get_bytes(place.open(), digest, len(data)) == data


def test_2_a_batch_is_whole_when_it_ends(store: Store, place: Place, folder: Path) -> None:
    contents = [bytes([i]) * (i + 1) for i in range(40)]

    def receive(i: int) -> Digest:
        path = folder / str(i)
        path.write_bytes(contents[i])
        with path.open("rb", buffering=0) as source:
            return batch.receive(source, i + 1)

    with store.batch() as batch:
        found = together([lambda i=i: receive(i) for i in range(40)])
    assert found == [Digest.of(content) for content in contents]
    assert [get_bytes(place.open(), d, 100) for d in found] == contents


def test_2_a_batch_that_fails_says_so(store: Store) -> None:
    with pytest.raises(KeyError), store.batch() as batch:
        put_bytes(batch, b"one")
        raise KeyError
    assert get_bytes(store, put_bytes(store, b"one"), 3) == b"one"


def test_2_what_is_there_is_kept(store: Store, place: Place) -> None:
    digest = put_bytes(store, b"12345")
    assert place.open().keep(digest, 5)
    assert not place.open().keep(digest, 4)
    assert not place.open().keep(Digest.of(b"never stored"), 5)
    with place.open().batch() as batch:
        assert batch.keep(digest, 5)


@pytest.mark.parametrize("size", SIZES)
def test_4_a_fetched_file_is_the_blob(store: Store, folder: Path, size: int) -> None:
    digest = put_bytes(store, data_of(size))
    with (folder / "out").open("x+b", buffering=0) as out:
        store.fetch(digest, out)
    assert (folder / "out").read_bytes() == data_of(size)


@pytest.mark.parametrize("size", [1, CHUNK, OVERLAPPED])
def test_4_damage_is_noticed_by_a_fetch(
    store: Store, place: Place, folder: Path, size: int
) -> None:
    data = data_of(size)
    digest = put_bytes(store, data)
    for i, wrong in enumerate((data[:-1] + bytes([data[-1] ^ 1]), data[:-1], data + b"\0")):
        place.overwrite(digest, wrong)
        with (folder / str(i)).open("x+b", buffering=0) as out, pytest.raises(Damaged):
            place.open().fetch(digest, out)


def test_4_a_range_is_checked(store: Store, place: Place) -> None:
    data = data_of(3 * CHUNK)
    digest = put_bytes(store, data)
    for start, length in ((0, 10), (CHUNK - 1, 2), (3 * CHUNK - 5, 100), (4 * CHUNK, 1), (7, 0)):
        assert store.read_range(digest, start, length) == data[start : start + length]
    place.overwrite(digest, data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Damaged):
        place.open().read_range(digest, 3 * CHUNK - 5, 5)


def test_9_what_is_deleted_is_gone(store: Store, place: Place) -> None:
    digest, other = put_bytes(store, b"one"), put_bytes(store, b"two")
    store.delete(digest)
    store.delete(digest)
    assert is_absent(place.open(), digest)
    assert get_bytes(store, other, 3) == b"two"
    assert get_bytes(store, put_bytes(store, b"one"), 3) == b"one"


def test_8_what_is_not_there_cannot_be_had(store: Store, folder: Path) -> None:
    digest = Digest.of(b"never stored")
    with pytest.raises(BlobMissing):
        store.read_range(digest, 0, 1)
    with (folder / "out").open("x+b", buffering=0) as out, pytest.raises(BlobMissing):
        store.fetch(digest, out)
