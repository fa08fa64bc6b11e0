"""Large blobs in a bucket, on a real server: in parts, resumed, by ranges."""

from __future__ import annotations

import base64
import hashlib
import io
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.blobs.s3 import S3Store
from stemma_registry.blobs.s3_bucket import AHEAD, BUDGET, PART, THREADS
from stemma_registry.blobs.s3_read import Record, record_at
from stemma_registry.blobs.s3_upload import MAX_PARTS, composite, part_size
from stemma_registry.errors import (
    Damaged,
    Temporary,
)
from stemma_registry.settings import S3Settings
from tests.contracts.places import S3Place
from tests.contracts.watching import LARGE, Watch, large, on_disk, sha256s
from tests.threads import together


@pytest.fixture
def place(tmp_path: Path) -> S3Place:
    return S3Place(tmp_path)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def store(place: S3Place, watch: Watch) -> S3Store:
    return S3Store(watch.client, place.name, place.prefix, S3Settings())


# Large blobs.


@pytest.mark.parametrize("how", ["put", "receive", "put without seeking", "receive from memory"])
def test_a_large_blob_goes_up_in_parts_and_comes_back(
    store: S3Store, place: S3Place, watch: Watch, tmp_path: Path, how: str
) -> None:
    data = large()
    digest = Digest.of(data)
    with on_disk(tmp_path, data) as source:
        if how == "put":
            assert store.put(source, digest, LARGE)
        elif how == "receive":
            assert store.receive(source, LARGE) == digest
        elif how == "receive from memory":
            assert store.receive(io.BytesIO(data), LARGE) == digest
        else:
            piped, out = os.pipe()
            writer = threading.Thread(target=_write, args=(out, data))
            writer.start()
            with open(piped, "rb") as pipe:
                assert store.put(pipe, digest, LARGE)
            writer.join()
    assert watch.count["UploadPart"] == 4
    assert watch.count["PutObject"] == 1, "only the record"
    assert get_bytes(place.open(), digest, LARGE) == data
    assert place.leftovers() == []
    head = place.client.head_object(
        Bucket=place.name, Key=place.key(digest), ChecksumMode="ENABLED"
    )
    assert head["ChecksumSHA256"] == composite(sha256s(data))


def _write(fd: int, data: bytes) -> None:
    with open(fd, "wb") as out:
        out.write(data)


def test_what_is_there_is_not_sent_again(
    store: S3Store, place: S3Place, watch: Watch, tmp_path: Path
) -> None:
    data = large()
    with on_disk(tmp_path, data) as source:
        digest = store.receive(source, LARGE)
        watch.count.clear()
        source.seek(0)
        assert store.receive(source, LARGE) == digest
        source.seek(0)
        assert not store.put(source, digest, LARGE)
    assert not watch.count["UploadPart"] + watch.count["CreateMultipartUpload"]
    assert watch.count["GetObject"] <= 2, "the record, and never the blob"


def test_wrong_large_bytes_that_are_there_are_replaced(
    store: S3Store, place: S3Place, tmp_path: Path
) -> None:
    data = large()
    digest = Digest.of(data)
    for wrong in (data[:-1] + b"?", data[:-1], data + b"?"):
        store.put(io.BytesIO(data), digest, LARGE)
        place.overwrite(digest, wrong)
        assert store.put(io.BytesIO(data), digest, LARGE)
        assert get_bytes(place.open(), digest, LARGE) == data
    place.overwrite(digest, data)  # right bytes, without a checksum that could be compared
    assert not store.put(io.BytesIO(data), digest, LARGE)


def test_an_interrupted_upload_is_resumed(
    store: S3Store, place: S3Place, watch: Watch, tmp_path: Path
) -> None:
    data = large()

    def cut(name: str, values: dict[str, Any]) -> None:
        if name == "UploadPart" and values["PartNumber"] == 3:
            raise KeyboardInterrupt

    watch.fail = cut
    with on_disk(tmp_path, data) as source:
        with pytest.raises(KeyboardInterrupt):
            store.receive(source, LARGE)
        assert len(place.unfinished()) == 1
        watch.fail = lambda name, values: None
        before = watch.count["UploadPart"]
        watch.count.clear()
        source.seek(0)
        digest = store.receive(source, LARGE)
    assert before + watch.count["UploadPart"] == 4, "no part was sent twice"
    assert watch.count["CreateMultipartUpload"] == 0
    assert get_bytes(place.open(), digest, LARGE) == data
    assert place.leftovers() == []


def test_parts_of_something_else_are_not_kept(store: S3Store, place: S3Place, watch: Watch) -> None:
    data = large()
    key = place.key(Digest.of(data))
    begun = place.client.create_multipart_upload(
        Bucket=place.name, Key=key, ChecksumAlgorithm="SHA256"
    )
    for number, body in ((1, data[:PART]), (2, b"?" * PART), (9, b"surplus")):
        place.client.upload_part(
            Bucket=place.name, Key=key, UploadId=begun["UploadId"], PartNumber=number, Body=body,
            ChecksumSHA256=base64.b64encode(hashlib.sha256(body).digest()).decode(),
        )  # fmt: skip
    put_bytes(store, data)
    assert watch.count["UploadPart"] == 3, "all but the first"
    assert get_bytes(place.open(), Digest.of(data), LARGE) == data


def test_large_bytes_that_are_wrong_leave_nothing(store: S3Store, place: S3Place) -> None:
    data = large()
    digest = Digest.of(data)
    for wrong in (data[:-1] + b"?", data[:-1], data + b"?"):
        with pytest.raises(Damaged):
            store.put(io.BytesIO(wrong), digest, LARGE)
        assert store.size(digest) is None
        assert place.leftovers() == []


def test_a_file_that_changes_while_it_is_stored_is_refused(
    store: S3Store, place: S3Place, watch: Watch, tmp_path: Path
) -> None:
    data = large()

    def change(name: str, values: dict[str, Any]) -> None:
        if name == "CreateMultipartUpload":
            with (tmp_path / "blob").open("r+b") as file:
                file.seek(PART + 5)
                file.write(b"changed")

    watch.fail = change
    with on_disk(tmp_path, data) as source, pytest.raises(Damaged, match="changed"):
        store.receive(source, LARGE)
    assert place.keys() == []
    assert place.leftovers() == []


def test_of_writers_of_one_large_blob_none_fails(place: S3Place) -> None:
    data = large()
    results = together([lambda: put_bytes(place.open(), data) for _ in range(4)])
    assert results == [Digest.of(data)] * 4
    assert get_bytes(place.open(), Digest.of(data), LARGE) == data


def test_parts_grow_with_the_blob() -> None:
    assert part_size(0) == part_size(PART * MAX_PARTS) == PART
    assert part_size(PART * MAX_PARTS + 1) == 2 * PART
    assert part_size(5 * 1024**4) * MAX_PARTS >= 5 * 1024**4


def test_memory_is_bounded(store: S3Store, watch: Watch, tmp_path: Path) -> None:
    """However many blobs are stored at once, their parts in memory are counted together."""
    held, most, lock = 0, 0, threading.Lock()
    room = store.bucket.room
    take, give = room.take, room.give

    def taking(count: int) -> int:
        nonlocal held, most
        taken = take(count)
        with lock:
            held += taken
            most = max(most, held)
        return taken

    def giving(count: int) -> None:
        nonlocal held
        with lock:
            held -= count
        give(count)

    room.take, room.give = taking, giving  # type: ignore[method-assign]
    datas = [large(seed) for seed in range(6)]
    together([partial(put_bytes, store, data) for data in datas])
    assert 2 * PART < most <= BUDGET
    assert held == 0


# Reading.


def test_a_range_of_a_large_blob_is_read_by_chunks(
    store: S3Store, place: S3Place, watch: Watch
) -> None:
    data = large()
    digest = put_bytes(store, data)
    record = record_at(store.bucket, place.key(digest).replace("/blobs/", "/chunks/"))
    assert record == Record.of(LARGE, PART, sha256s(data))
    watch.count.clear()
    assert store.read_range(digest, PART - 3, 6) == data[PART - 3 : PART + 3]
    assert watch.count["GetObject"] == 3, "the record and two chunks"
    for start, length in ((0, 1), (LARGE - 4, 100), (LARGE, 5), (5, 0), (PART, PART)):
        assert store.read_range(digest, start, length) == data[start : start + length]


def test_a_damaged_chunk_is_noticed(store: S3Store, place: S3Place) -> None:
    data = large()
    digest = put_bytes(store, data)
    wrong = data[: PART + 5] + b"?" + data[PART + 6 :]
    assert store.read_range(digest, 7, 9) == data[7:16]
    place.overwrite(digest, wrong)
    assert store.read_range(digest, 7, 9) == data[7:16], "the record is of what was stored"
    with pytest.raises(Damaged):
        store.read_range(digest, PART, 1)
    with pytest.raises(Damaged):
        list(store.chunks(digest))
    assert [stray.name for stray in store.strays()] == [
        f"chunks/sha256/{digest.value[:2]}/{digest.value[2:]} (does not fit its blob)"
    ]


def test_a_record_that_does_not_fit_its_blob_is_not_believed(
    store: S3Store, place: S3Place
) -> None:
    """Who asks anew finds that record and blob do not fit, and reads the whole blob."""
    data = large()
    digest = put_bytes(store, data)
    forged = bytearray(data)
    forged[0] ^= 1
    key = place.key(digest).replace("/blobs/", "/chunks/")
    record = Record.of(LARGE, PART, sha256s(bytes(forged)))
    place.client.put_object(Bucket=place.name, Key=key, Body=record.encode())
    assert place.open().read_range(digest, 0, 1) == data[:1]
    place.overwrite(digest, bytes(forged))
    with pytest.raises(Damaged):
        place.open().read_range(digest, 0, 1)


def test_without_a_record_a_range_comes_from_the_whole(store: S3Store, place: S3Place) -> None:
    data = large()
    digest = put_bytes(store, data)
    key = place.key(digest).replace("/blobs/", "/chunks/")
    for bad in (b"{}", b"not JSON", Record(LARGE, PART, ()).encode()):
        place.client.put_object(Bucket=place.name, Key=key, Body=bad)
        assert place.open().read_range(digest, PART - 1, 2) == data[PART - 1 : PART + 1]
    put_bytes(place.open(), data)  # who stores it again mends the record
    assert record_at(store.bucket, key) == Record.of(LARGE, PART, sha256s(data))


def test_a_blob_that_is_replaced_while_it_is_read_is_never_mixed(
    store: S3Store, place: S3Place
) -> None:
    data = large()
    digest = put_bytes(store, data)
    chunks = store.chunks(digest)
    next(chunks)
    place.overwrite(digest, large(1))
    with pytest.raises((Damaged, Temporary)):
        list(chunks)
    deadline = time.monotonic() + 20
    while not store.bucket.ahead.try_take(AHEAD):
        assert time.monotonic() < deadline, "the room for reading ahead is given back"
        time.sleep(0.02)


def test_reading_is_ahead_and_stops_when_nobody_reads(store: S3Store, watch: Watch) -> None:
    digest = put_bytes(store, large())
    watch.count.clear()
    chunks = store.chunks(digest)
    next(chunks)
    next(chunks)
    chunks.close()  # type: ignore[attr-defined]
    assert watch.count["GetObject"] <= 1 + THREADS
    assert get_bytes(store, digest, LARGE) == large()
