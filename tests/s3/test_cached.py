"""The cache: it serves only right bytes, keeps to its size, and is never the reason of an error."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs import cached
from stemma_registry.blobs.cached import Cached
from stemma_registry.blobs.contract import Store, get_bytes, put_bytes
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.errors import BlobMissing, Damaged, Temporary
from tests.counting import Counted
from tests.s3.flaky import Clock, Flaky, Remote, patient
from tests.threads import together

LIMIT = 8 * CHUNK
DATA = bytes(range(253)) * 12_500  # three chunks and a bit
Read = Callable[[Store, Digest, Path], bytes]


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def cache(remote: Remote, tmp_path: Path) -> Cached:
    return Cached(remote, tmp_path / "cache", LIMIT)


def copy_of(cache: Cached, digest: Digest) -> Path:
    return cache.folder / "blobs" / "sha256" / digest.value[:2] / digest.value[2:]


def kept(cache: Cached) -> int:
    """The bytes of all copies."""
    return sum(p.stat().st_size for p in (cache.folder / "blobs").rglob("*") if p.is_file())


def unfinished(cache: Cached) -> list[str]:
    tmp = cache.folder / "tmp"
    return os.listdir(tmp) if tmp.exists() else []


def by_chunks(store: Store, digest: Digest, folder: Path) -> bytes:
    return b"".join(store.chunks(digest))


def by_file(store: Store, digest: Digest, folder: Path) -> bytes:
    with (folder / os.urandom(8).hex()).open("x+b", buffering=0) as out:
        store.fetch(digest, out)
        out.seek(0)
        return out.read()


def by_range(store: Store, digest: Digest, folder: Path) -> bytes:
    return store.read_range(digest, 0, len(DATA) + 1)


READ = [by_chunks, by_file]
WAYS = pytest.mark.parametrize("read", READ)
ALL_WAYS = pytest.mark.parametrize("read", [*READ, by_range])


@pytest.mark.parametrize("data", [b"", b"x", DATA])
@ALL_WAYS
@pytest.mark.parametrize("first", READ)
def test_the_second_reading_does_not_ask_the_store(
    cache: Cached, remote: Remote, tmp_path: Path, first: Read, read: Read, data: bytes
) -> None:
    digest = put_bytes(cache, data)
    assert first(cache, digest, tmp_path) == data
    assert remote.readings == 1
    for handle in (cache, Cached(remote, cache.folder, LIMIT)):
        assert read(handle, digest, tmp_path) == data
    assert remote.readings == 1
    assert unfinished(cache) == []


@pytest.mark.parametrize("damage", ["changed", "cut", "grown", "emptied", "directory", "pipe"])
@ALL_WAYS
def test_a_damaged_copy_is_dropped_and_fetched_again(
    cache: Cached, remote: Remote, tmp_path: Path, read: Read, damage: str
) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))
    copy = copy_of(cache, digest)
    if damage in ("directory", "pipe"):
        copy.unlink()
        copy.mkdir() if damage == "directory" else os.mkfifo(copy)
    else:
        changed = {"changed": DATA[:-1] + b"?", "cut": DATA[:-1], "grown": DATA + b"?"}
        copy.write_bytes(changed.get(damage, b""))
    for _ in range(2):
        assert read(cache, digest, tmp_path) == DATA
    if damage not in ("directory", "pipe"):
        by_chunks(cache, digest, tmp_path)
        readings = remote.readings
        assert read(cache, digest, tmp_path) == DATA
        assert remote.readings == readings, "the new copy serves"


def test_progress_counts_each_byte_once_also_behind_a_damaged_copy(
    cache: Cached, tmp_path: Path
) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))
    copy_of(cache, digest).write_bytes(DATA[:-1] + b"?")
    for name in ("damaged", "right"):
        progress = Counted()
        with (tmp_path / name).open("x+b", buffering=0) as out:
            cache.fetch(digest, out, progress)
        assert progress.done == len(DATA)
        assert (tmp_path / name).read_bytes() == DATA


def test_a_copy_that_changes_while_it_is_handed_out_is_no_success(cache: Cached) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))
    reading = cache.chunks(digest)
    next(reading)
    with copy_of(cache, digest).open("r+b") as file:
        file.seek(2 * CHUNK)
        file.write(b"????")
    with pytest.raises(Temporary, match=digest.value):
        list(reading)
    assert b"".join(cache.chunks(digest)) == DATA


@WAYS
def test_what_the_store_refuses_is_not_kept(
    cache: Cached, remote: Remote, tmp_path: Path, read: Read
) -> None:
    digest = put_bytes(remote, DATA)
    remote.blob_bytes[digest] = DATA[:-1] + b"?"
    for _ in range(2):
        with pytest.raises(Damaged):
            read(cache, digest, tmp_path)
    assert (kept(cache), unfinished(cache)) == (0, [])


def test_a_reading_that_is_broken_off_is_not_kept(cache: Cached) -> None:
    digest = put_bytes(cache, DATA)
    reading = cache.chunks(digest)
    next(reading)
    assert len(unfinished(cache)) == 1
    reading.close()  # type: ignore[attr-defined]
    assert (kept(cache), unfinished(cache)) == (0, [])


def test_around_a_store_that_breaks_off_and_is_tried_again(tmp_path: Path) -> None:
    store = Flaky(cut=2)
    digest = put_bytes(store, DATA)
    store.failing = [Temporary("x")] * 3
    cache = Cached(patient(store, Clock()), tmp_path / "cache", LIMIT)
    assert b"".join(cache.chunks(digest)) == DATA
    store.blob_bytes.clear()
    assert b"".join(cache.chunks(digest)) == DATA


# Presence is the store's to say.


def test_the_store_says_what_is_there(cache: Cached, remote: Remote) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))
    del remote.blob_bytes[digest]
    assert cache.size(digest) is None
    assert not cache.keep(digest, len(DATA))
    assert list(cache.blobs()) == []
    assert b"".join(cache.chunks(digest)) == DATA, "documented: bytes come from the copy"


def test_what_is_deleted_is_deleted_here_too(cache: Cached, remote: Remote) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))
    cache.delete(digest)
    with pytest.raises(BlobMissing):
        list(cache.chunks(digest))
    assert kept(cache) == 0


def test_it_is_dropped_even_if_the_store_cannot_delete(cache: Cached, remote: Remote) -> None:
    digest = put_bytes(cache, DATA)
    list(cache.chunks(digest))

    def fails(digest: Digest) -> None:
        raise Temporary("x")

    remote.delete = fails  # type: ignore[method-assign]
    with pytest.raises(Temporary):
        cache.delete(digest)
    assert kept(cache) == 0


# Size.


def test_what_was_used_longest_ago_goes_first(cache: Cached, remote: Remote) -> None:
    blobs = [bytes([n]) * CHUNK for n in range(8)]
    digests = [put_bytes(remote, data) for data in blobs]
    for age, digest in enumerate(digests):
        list(cache.chunks(digest))
        os.utime(copy_of(cache, digest), (1000 + age, 1000 + age))
    assert kept(cache) == LIMIT
    list(cache.chunks(digests[0]))  # used
    list(cache.chunks(put_bytes(remote, DATA[:CHUNK])))
    assert copy_of(cache, digests[0]).exists()
    assert not copy_of(cache, digests[1]).exists()
    assert copy_of(cache, digests[7]).exists()


@WAYS
def test_it_never_takes_more_than_its_limit(
    cache: Cached, remote: Remote, tmp_path: Path, read: Read
) -> None:
    numbers = random.Random(3)
    for _ in range(25):
        data = numbers.randbytes(numbers.choice([0, 10, 1000, CHUNK, 3 * CHUNK]))
        digest = put_bytes(remote, data)
        assert read(cache, digest, tmp_path) == data
        assert kept(cache) <= LIMIT
        assert kept(cache) >= len(data), "what was read last is there"


@WAYS
def test_a_blob_larger_than_the_limit_is_not_kept(
    cache: Cached, remote: Remote, tmp_path: Path, read: Read
) -> None:
    small, large = put_bytes(remote, b"small"), put_bytes(remote, bytes(LIMIT + 1))
    list(cache.chunks(small))
    assert len(read(cache, large, tmp_path)) == LIMIT + 1
    assert (kept(cache), unfinished(cache)) == (5, [])


@WAYS
def test_a_limit_of_nothing_keeps_and_reads_nothing(
    remote: Remote, tmp_path: Path, read: Read
) -> None:
    digest = put_bytes(remote, DATA)
    list(Cached(remote, tmp_path / "cache", LIMIT).chunks(digest))
    none = Cached(remote, tmp_path / "cache", 0)
    assert read(none, digest, tmp_path) == DATA
    assert remote.readings == 2


@pytest.mark.parametrize("total", [None, b"", b"nonsense", b"-5", b"0", b"9" * 31])
def test_a_lost_or_wrong_total_is_counted_anew(
    cache: Cached, remote: Remote, total: bytes | None
) -> None:
    digests = [put_bytes(remote, bytes([n]) * CHUNK) for n in range(7)]
    for digest in digests:
        list(cache.chunks(digest))
    place = cache.folder / "total"
    place.unlink() if total is None else place.write_bytes(total)
    for n in range(7, 30):
        list(cache.chunks(put_bytes(remote, bytes([n]) * CHUNK)))
        if total != b"0":  # what nobody can have written is found when it was filled once
            assert kept(cache) <= LIMIT
    assert kept(cache) <= LIMIT
    assert int(place.read_bytes()) <= LIMIT


# Many at once.


def test_many_readers_of_the_same_and_of_others(cache: Cached, remote: Remote) -> None:
    blobs = {put_bytes(remote, bytes([n]) * (CHUNK + n)): n for n in range(20)}

    def read() -> bool:
        handle = Cached(remote, cache.folder, LIMIT)
        for digest, n in random.sample(sorted(blobs.items()), 20):
            assert get_bytes(handle, digest, LIMIT) == bytes([n]) * (CHUNK + n)
        return True

    assert together([read] * 8) == [True] * 8
    assert kept(cache) <= LIMIT
    assert unfinished(cache) == []
    assert int((cache.folder / "total").read_bytes()) >= kept(cache)


PROGRAM = """
import sys, random
from pathlib import Path
from stemma_registry.blobs.cached import Cached
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.blobs.local import LocalStore
store = LocalStore(Path(sys.argv[1]))
cache = Cached(store, Path(sys.argv[2]), int(sys.argv[3]))
blobs = list(store.blobs())
for digest in random.sample(blobs, len(blobs)):
    get_bytes(cache, digest, 1 << 30)
"""


def test_processes_that_share_it(tmp_path: Path) -> None:
    from stemma_registry.blobs.local import LocalStore

    (tmp_path / "store").mkdir()
    store = LocalStore(tmp_path / "store")
    for n in range(40):
        put_bytes(store, bytes([n]) * 100_000)
    argv = [sys.executable, "-c", PROGRAM, str(store.root), str(tmp_path / "cache"), "1000000"]
    running = [subprocess.Popen(argv) for _ in range(4)]
    assert [each.wait(60) for each in running] == [0] * 4
    cache = Cached(store, tmp_path / "cache", 1_000_000)
    assert 0 < kept(cache) <= 1_000_000
    assert unfinished(cache) == []


def test_what_a_killed_writer_left_is_swept_and_what_a_living_one_makes_is_not(
    cache: Cached, remote: Remote, tmp_path: Path
) -> None:
    digest = put_bytes(remote, DATA)
    living = cache.chunks(digest)
    next(living)
    alive = unfinished(cache)
    (cache.folder / "tmp" / "dead").write_bytes(b"half")
    other = Cached(remote, cache.folder, LIMIT)
    list(other.chunks(put_bytes(remote, b"x")))
    assert unfinished(cache) == alive
    list(living)
    assert unfinished(cache) == []
    (cache.folder / "tmp" / "dead").write_bytes(b"half")
    other.sweep(0)
    assert unfinished(cache) == []


# A cache that does not work is none.


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
@pytest.mark.parametrize("call", ["open", "write_all", "sendfile", "replace", "flock", "mkdir"])
@WAYS
def test_no_failure_of_the_cache_fails_a_reading(
    cache: Cached,
    remote: Remote,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    read: Read,
    call: str,
    number: int,
) -> None:
    digest = put_bytes(remote, DATA)

    def fails(*values: object, **more: object) -> int:
        raise OSError(number, os.strerror(number))

    hits = []
    target = {"write_all": cached, "flock": fcntl, "mkdir": Path}.get(call, os)
    works = getattr(target, call)

    def inside(*values: object, **more: object) -> object:
        texts = " ".join(map(str, values))
        if call in ("write_all", "sendfile", "flock") or str(cache.folder) in texts:
            hits.append(call)
            fails()
        return works(*values, **more)

    with monkeypatch.context() as patched:
        patched.setattr(target, call, inside)
        if call == "sendfile":
            patched.setattr(cached, "clone", lambda source, to: False)
        for _ in range(2):
            assert read(cache, digest, tmp_path) == DATA
    only = {"write_all": by_chunks, "sendfile": by_file}.get(call, read)
    assert hits or read is not only, "the fault was there"
    assert unfinished(cache) == []
    assert read(cache, digest, tmp_path) == DATA, "and afterwards it works"


@WAYS
def test_a_folder_that_cannot_be_made(remote: Remote, tmp_path: Path, read: Read) -> None:
    (tmp_path / "file").write_text("no directory")
    digest = put_bytes(remote, DATA)
    assert read(Cached(remote, tmp_path / "file" / "cache", LIMIT), digest, tmp_path) == DATA


def test_a_target_that_is_no_file_of_the_system(cache: Cached) -> None:
    digest = put_bytes(cache, DATA)
    for _ in range(2):
        out = io.BytesIO()
        cache.fetch(digest, out)
        assert out.getvalue() == DATA
