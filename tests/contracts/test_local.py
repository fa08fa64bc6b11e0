"""The local store alone: names, links, odd files, descriptors. Durability is in tests/faults."""

from __future__ import annotations

import io
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_registry.blobs.contract import Store, get_bytes, put_bytes
from stemma_registry.blobs.local import LocalStore
from stemma_registry.errors import BlobMissing, Damaged, NotFound, StoreError, Unavailable
from tests.contracts.places import LocalPlace

KEY = "ledger/000/000/000000.json"
DATA = b"hello"
DIGEST = Digest.of(DATA)


@pytest.fixture
def place(tmp_path: Path) -> LocalPlace:
    root = tmp_path / "store"
    root.mkdir()
    return LocalPlace(root)


@pytest.fixture
def store(place: LocalPlace) -> Store:
    return place.open()


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below `folder`, with the bytes of regular files."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.mark.parametrize(
    "key",
    [
        "",
        "ledger",
        "ledger/",
        "/ledger/a",
        "ledger//a",
        "ledger/../a",
        "ledger/a/..",
        "ledger/.hidden",
        "ledger/a/",
        "ledger/a\n",
        "ledger/a\x00",
        "ledger/\u00e9",
        "blobs/sha256/aa/bb",
        "tmp/a",
        "catalogue.sqlite3",
        "ledgers/a",
    ],
)
def test_a_key_that_could_lead_elsewhere_is_refused(place: LocalPlace, key: str) -> None:
    store, before = place.open(), tree(place.root.parent)
    attempts: list[Callable[[], object]] = [
        lambda: store.create(key, b"x"),
        lambda: store.replace(key, b"x"),
        lambda: store.read(key),
        lambda: store.settle(key),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError):
            attempt()
    assert tree(place.root.parent) == before


@pytest.mark.parametrize(("algorithm", "length"), [("sha512", 128), ("gitCommit", 40), ("md5", 32)])
def test_blobs_are_named_by_sha256_only(store: Store, algorithm: str, length: int) -> None:
    digest = Digest(algorithm, "0" * length)
    with pytest.raises(StoreError):
        store.put(io.BytesIO(b""), digest, 0)
    with pytest.raises(StoreError):
        store.size(digest)


# No component below the root is followed if it is a symbolic link.


def operations(store: Store) -> dict[str, Callable[[], object]]:
    """Everything that walks to a blob or an object."""
    return {
        "put": lambda: store.put(io.BytesIO(DATA), DIGEST, len(DATA)),
        "chunks": lambda: list(store.chunks(DIGEST)),
        "size": lambda: store.size(DIGEST),
        "create": lambda: store.create("ledger/000/000/000001.json", b"x"),
        "replace": lambda: store.replace("status/a", b"x"),
        "read": lambda: store.read(KEY),
        "settle": lambda: store.settle(KEY),
    }


WALKS = {
    "blobs": ("put", "chunks", "size"),
    "blobs/sha256": ("put", "chunks", "size"),
    f"blobs/sha256/{DIGEST.value[:2]}": ("put", "chunks", "size"),
    "ledger": ("create", "read", "settle"),
    "ledger/000": ("create", "read", "settle"),
    "ledger/000/000": ("create", "read", "settle"),
    "status": ("replace",),
    "tmp": ("create", "replace"),
}


@pytest.mark.parametrize("directory", WALKS)
def test_a_directory_swapped_for_a_link_is_not_followed(place: LocalPlace, directory: str) -> None:
    store = place.open()
    put_bytes(store, DATA)
    store.create(KEY, b"entry")
    store.replace("status/a", b"status")
    outside = place.root.parent / "outside"
    (place.root / directory).rename(outside)
    (place.root / directory).symlink_to(outside)
    before = tree(outside)
    for name in WALKS[directory]:
        try:
            result = operations(store)[name]()
        except StoreError:
            continue
        assert (name, result) == ("size", None), f"{name} followed the link"
    assert tree(outside) == before


def test_a_blob_swapped_for_a_link_is_damaged(place: LocalPlace) -> None:
    store = place.open()
    put_bytes(store, DATA)
    elsewhere = place.root.parent / "elsewhere"
    elsewhere.write_bytes(DATA)
    place.path(DIGEST).unlink()
    place.path(DIGEST).symlink_to(elsewhere)
    with pytest.raises(Damaged):
        list(store.chunks(DIGEST))
    assert store.size(DIGEST) is None
    store.put(io.BytesIO(DATA), DIGEST, len(DATA))
    assert get_bytes(store, DIGEST, 100) == DATA
    assert not place.path(DIGEST).is_symlink()
    assert elsewhere.read_bytes() == DATA


def test_an_entry_swapped_for_a_link_is_damaged(place: LocalPlace) -> None:
    store = place.open()
    store.create(KEY, b"entry")
    (place.root / KEY).rename(place.root.parent / "elsewhere")
    (place.root / KEY).symlink_to(place.root.parent / "elsewhere")
    with pytest.raises(Damaged):
        store.read(KEY)


@pytest.mark.parametrize("what", ["pipe", "directory"])
def test_an_odd_file_is_damaged_and_never_waited_for(place: LocalPlace, what: str) -> None:
    store = place.open()
    put_bytes(store, DATA)
    store.create(KEY, b"entry")
    for path in (place.path(DIGEST), place.root / KEY):
        path.unlink()
        if what == "pipe":
            os.mkfifo(path)
        else:
            path.mkdir()
    with pytest.raises(Damaged):
        list(store.chunks(DIGEST))
    with pytest.raises(Damaged):
        store.read(KEY)
    assert store.size(DIGEST) is None


def test_a_file_where_a_directory_should_be(place: LocalPlace) -> None:
    (place.root / "blobs").write_text("not a directory")
    (place.root / "ledger").write_text("not a directory")
    store = place.open()
    for operation in operations(store).values():
        try:
            assert operation() is None
        except StemmaError as error:
            assert isinstance(error, StoreError | NotFound)
    assert list(store.blobs()) == []


def test_foreign_files_among_the_blobs_are_passed_over(place: LocalPlace) -> None:
    store = place.open()
    digest = put_bytes(store, DATA)
    (place.path(digest).parent / "notes.txt").write_text("mine")
    (place.root / "blobs" / "sha256" / "README").write_text("mine")
    (place.root / "blobs" / "sha256" / "zz").mkdir()
    assert list(store.blobs()) == [digest]


# The root itself may be a link: people put registries on other disks.


def test_the_root_may_be_a_link_and_is_the_same_place(place: LocalPlace) -> None:
    link = place.root.parent / "link"
    link.symlink_to(place.root)
    put_bytes(LocalStore(link), DATA)
    assert get_bytes(place.open(), DIGEST, 100) == DATA
    assert LocalStore(link).location == place.open().location


def test_a_root_that_is_gone_is_an_error_of_ours(place: LocalPlace) -> None:
    place.root.rmdir()
    store = place.open()
    for name, operation in operations(store).items():
        if name == "size":
            assert operation() is None
            continue
        with pytest.raises((StoreError, NotFound)) as caught:
            operation()
        assert isinstance(caught.value, Unavailable | BlobMissing | NotFound)
        assert "\n" not in str(caught.value)
    assert list(store.blobs()) == []
    assert not place.root.exists(), "a store never makes its own root"


def test_what_is_stored_is_not_writable(place: LocalPlace) -> None:
    store = place.open()
    put_bytes(store, DATA)
    store.create(KEY, b"entry")
    for path in (place.path(DIGEST), place.root / KEY):
        assert stat.S_IMODE(path.stat().st_mode) == 0o444


# Sweeping.


def test_sweeping_removes_what_is_old_and_nothing_else(place: LocalPlace) -> None:
    store = place.open()
    put_bytes(store, DATA)
    tmp = place.root / "tmp"
    (tmp / "old").write_bytes(b"x")
    (tmp / "new").write_bytes(b"x")
    outside = place.root.parent / "outside"
    outside.write_bytes(b"x")
    (tmp / "link").symlink_to(outside)
    yesterday = time.time() - 100_000
    for name in ("old", "link"):
        os.utime(tmp / name, (yesterday, yesterday), follow_symlinks=False)
    assert store.sweep(86_400) == 2
    assert place.leftovers() == ["new"]
    assert outside.read_bytes() == b"x"
    assert get_bytes(store, DIGEST, 100) == DATA


# Descriptors.


def test_no_operation_leaks_a_descriptor(place: LocalPlace) -> None:
    store = place.open()

    def everything() -> None:
        for operation in operations(store).values():
            try:
                operation()
            except StemmaError:
                continue
        list(store.keys(""))
        list(store.blobs())
        store.sweep(0)
        with pytest.raises(Damaged):
            store.put(io.BytesIO(b"wrong"), Digest.of(b"right"), 5)
        half = store.chunks(DIGEST)
        next(half)
        half.close()  # type: ignore[attr-defined]

    everything()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        everything()
    assert len(os.listdir("/proc/self/fd")) == before
