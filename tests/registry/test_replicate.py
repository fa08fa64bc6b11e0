"""Replication: a registry at every moment, whatever happens, and never back."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.local import LocalStore
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.care.collect import Collector
from stemma_registry.care.erase import erase, preview
from stemma_registry.care.replicate import Copied, open_target, replicate
from stemma_registry.config import Home
from stemma_registry.errors import LedgerBroken, Refused, StemmaError, Temporary
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import entry_key
from stemma_registry.trust.file import NOBODY
from tests.registry.stores import Disk, contents
from tests.world import World


class Killed(BaseException):
    """The process ends here."""


class Counting(MemoryStore):
    """Counts calls, and calls `before` with the name of each."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()
        self.before: Callable[[str], object] = lambda name: None

    def _note(self, name: str) -> None:
        self.calls[name] += 1
        self.before(name)

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        self._note("put")
        return super().put(source, digest, size)

    def keep(self, digest: Digest, size: int) -> bool:
        self._note("keep")
        return super().keep(digest, size)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        self._note("chunks")
        return super().chunks(digest)

    def read(self, key: str) -> bytes:
        self._note("read")
        return super().read(key)

    def create(self, key: str, data: bytes) -> None:
        self._note("create")
        super().create(key, data)

    def replace(self, key: str, data: bytes) -> None:
        self._note("replace")
        super().replace(key, data)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    world.push("data/raw:1", {"a.csv": b"1,2\n" * 50, "b.csv": b"3,4\n" * 40})
    world.push("models/m:1", {"w": b"\0" * 5000}, "trained-on=data/raw:1", kind="model")
    world.quarantine("data/raw:1")
    return world


def copy(world: World, target: MemoryStore | LocalStore) -> Copied:
    return replicate(world.store, target, world.home, world.trust)


def whole(world: World, target: MemoryStore | LocalStore, folder: Path) -> bool:
    """Whether a stranger's audit finds nothing wrong, also not that blobs are missing."""
    home = Home(folder / f"stranger{len(list(folder.iterdir()))}")
    return audit(target, home, world.trust, read_data=True).whole


def inner(store: object) -> MemoryStore:
    assert isinstance(store, MemoryStore)
    return store


def test_a_copy_is_the_same_bytes(world: World) -> None:
    target = MemoryStore()
    done = copy(world, target)
    assert target.objects == inner(world.store).objects
    assert target.blob_bytes == inner(world.store).blob_bytes
    assert (done.n, done.behind, done.entries, done.lost) == (3, 0, 4, [])
    assert done.blobs == len(target.blob_bytes)
    assert done.bytes == sum(map(len, target.blob_bytes.values()))


def test_a_copy_is_a_usable_registry(world: World) -> None:
    target = MemoryStore()
    copy(world, target)
    world.store = target
    world.rebuild()
    assert world.code("models/m:1") == 11
    world.push("data/new:1")
    assert world.code("data/new:1") == 0


def test_what_is_new_and_nothing_else(world: World) -> None:
    target = Counting()
    copy(world, target)
    target.calls.clear()
    world.push("data/more:1", {"c.csv": b"5,6\n"})
    done = copy(world, target)
    assert (done.entries, target.calls["create"]) == (1, 1)
    # The file, its manifest, two statements, the BOM, a bundle or two; the key is there already.
    assert done.blobs == target.calls["put"] - 1 < 8


def test_nothing_new_costs_the_same_however_long_the_ledger(world: World) -> None:
    target, costs = Counting(), []
    for _ in range(2):
        copy(world, target)
        target.calls.clear()
        copy(world, target)
        costs.append(dict(target.calls))
        for n in range(3):
            world.push(f"data/more{n}:{len(costs)}")
    assert costs[0] == costs[1]
    assert set(costs[0]) == {"read"}
    assert costs[0]["read"] < 8


def test_cut_off_anywhere_it_is_a_registry_and_goes_on(world: World, tmp_path: Path) -> None:
    total, cut = Counting(), 0
    copy(world, total)
    for step in range(1, sum(total.calls.values()) + 1):
        target = Counting()
        target.before = killer(step)
        try:
            copy(world, target)
        except Killed:
            cut += 1
        target.before = lambda name: None
        if entry_key(0) in target.objects:
            assert whole(world, target, tmp_path), step
        copy(world, target)
        assert target.objects == inner(world.store).objects
        assert target.blob_bytes == inner(world.store).blob_bytes
    assert cut > sum(total.calls.values()) * 0.8


def killer(step: int) -> Callable[[str], None]:
    """Ends the process at that call."""
    left = [step]

    def kill(name: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    return kill


@pytest.mark.parametrize("how", ["ahead", "another", "parted"])
def test_never_back_and_never_to_another_history(world: World, tmp_path: Path, how: str) -> None:
    target = MemoryStore()
    if how == "another":
        World(tmp_path / "other" if (tmp_path / "other").mkdir() is None else tmp_path, target)
    else:
        copy(world, target)
        (tmp_path / "other").mkdir()
        other = World.__new__(World)
        other.__dict__.update(world.__dict__)
        other.store = target
        other.catalogue_path = tmp_path / "other" / "catalogue.sqlite3"
        other.registry = other._open()
        other.push("data/elsewhere:1")
        if how == "parted":
            world.push("data/here:1")
    before = dict(target.objects), dict(target.blob_bytes)
    with pytest.raises(LedgerBroken):
        copy(world, target)
    assert before == (target.objects, target.blob_bytes)


def test_a_source_that_went_back_is_refused(world: World) -> None:
    copy(world, MemoryStore())
    del inner(world.store).objects[entry_key(3)]
    with pytest.raises(LedgerBroken):
        copy(world, MemoryStore())


def test_onto_itself_is_refused(world: World) -> None:
    with pytest.raises(Refused):
        copy(world, inner(world.store))


@pytest.mark.parametrize("harm", ["lost", "damaged"])
def test_a_lost_blob_stops_before_the_entry_that_needs_it(
    world: World, tmp_path: Path, harm: str
) -> None:
    store, target = inner(world.store), MemoryStore()
    (digest,) = [d for d, data in store.blob_bytes.items() if data == b"\0" * 5000]
    good = store.blob_bytes.pop(digest)
    if harm == "damaged":
        store.blob_bytes[digest] = b"\1" * 5000
    done = copy(world, target)
    assert (done.n, done.behind) == (1, 2)
    (lost,) = done.lost
    assert lost.blob == digest
    assert lost.needed_by == ("w of models/m:1 (ledger entry 2)",)
    assert digest not in target.blob_bytes
    assert whole(world, target, tmp_path)
    target.blob_bytes[digest] = good  # brought by other means
    assert copy(world, target).n == 3


@pytest.mark.parametrize("n", [1, 2])
def test_a_damaged_entry_stops_the_copy_before_it(world: World, tmp_path: Path, n: int) -> None:
    store, target = inner(world.store), MemoryStore()
    data = store.objects[entry_key(n)]
    place = data.index(b'"nonce":"') + 12
    digit = b"0" if data[place : place + 1] != b"0" else b"1"
    store.objects[entry_key(n)] = data[:place] + digit + data[place + 1 :]
    with pytest.raises(LedgerBroken):
        copy(world, target)
    store.objects[entry_key(n)] = b"garbage"
    target = MemoryStore()
    with pytest.raises(LedgerBroken):
        copy(world, target)
    assert f"{entry_key(n - 1)}" in target.objects
    assert entry_key(n) not in target.objects
    assert whole(world, target, tmp_path)


def test_wrong_bytes_at_the_target_are_replaced_where_their_size_tells(world: World) -> None:
    target = MemoryStore()
    for digest, data in inner(world.store).blob_bytes.items():
        target.blob_bytes[digest] = data[:-1]
    copy(world, target)
    assert target.blob_bytes == inner(world.store).blob_bytes


# Erasure.


def erase_a(world: World) -> Digest:
    (digest,) = [d for d, data in inner(world.store).blob_bytes.items() if data == b"1,2\n" * 50]
    who = Collector(world.registry, world.trust, world.signer("owner"), world.now)
    with world.view() as view:
        seen = preview(world.registry, view, str(digest), None, who.signer)
    erase(who, seen, "personal data")
    return digest


def test_what_was_erased_is_left_out(world: World, tmp_path: Path) -> None:
    digest, target = erase_a(world), MemoryStore()
    done = copy(world, target)
    assert (done.lost, done.behind, done.erased) == ([], 0, 1)
    assert digest not in target.blob_bytes
    assert whole(world, target, tmp_path)


def test_an_erasure_reaches_the_copies(world: World, tmp_path: Path) -> None:
    target = MemoryStore()
    copy(world, target)
    digest = erase_a(world)
    assert digest in target.blob_bytes
    copy(world, target)
    assert digest not in target.blob_bytes
    assert whole(world, target, tmp_path)


def test_an_erasure_by_somebody_unknown_deletes_nothing(world: World) -> None:
    target = MemoryStore()
    copy(world, target)
    digest = erase_a(world)
    replicate(world.store, target, world.home, NOBODY)
    assert digest in target.blob_bytes


def test_an_erasure_that_was_cut_off_is_finished(world: World) -> None:
    target = Counting()
    copy(world, target)
    digest = erase_a(world)
    normal = target.delete

    def killed(digest: Digest) -> None:
        raise Killed

    target.delete = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        copy(world, target)
    target.delete = normal  # type: ignore[method-assign]
    while digest in target.blob_bytes:
        before = target.calls["create"]
        copy(world, target)
        assert digest not in target.blob_bytes or target.calls["create"] > before


# At the same time.


def test_two_at_once_are_harmless(world: World) -> None:
    for n in range(4):
        world.push(f"data/more{n}:1")
    target, errors = MemoryStore(), list[BaseException]()

    def run() -> None:
        try:
            copy(world, target)
        except BaseException as error:  # noqa: BLE001 - looked at below
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert target.objects == inner(world.store).objects


def test_pushes_meanwhile_are_for_the_next_run(world: World, tmp_path: Path) -> None:
    target = Counting()
    pending = ["data/meanwhile:1"]

    def push(name: str) -> None:
        if name == "create" and pending:
            world.push(pending.pop())

    target.before = push
    assert copy(world, target).n == 3
    assert whole(world, target, tmp_path)
    assert copy(world, target).n == 4
    assert target.objects == inner(world.store).objects


def test_a_failure_that_passes_is_tried_again(world: World) -> None:
    target, fails = Counting(), [2]

    def fail(name: str) -> None:
        if name == "put" and fails[0]:
            fails[0] -= 1
            raise Temporary("not now")

    target.before = fail
    assert copy(world, target).behind == 0
    target, fails[0] = Counting(), 10**6
    target.before = fail
    with pytest.raises(Temporary):
        copy(world, target)


# On disk.


def test_to_a_directory_and_back(tmp_path: Path) -> None:
    disk = Disk(tmp_path / "disk")
    disk.fill()
    target = open_target(str(tmp_path / "backups" / "one"), disk.home)
    replicate(disk.store, target, disk.home, disk.trust)
    assert contents(tmp_path / "backups" / "one") == contents(disk.root)
    back = open_target(str(tmp_path / "back"), disk.home)
    replicate(target, back, disk.home, disk.trust)
    assert contents(tmp_path / "back") == contents(disk.root)


def test_a_directory_with_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("do not lose me")
    with pytest.raises(Refused, match=r"thesis\.tex"):
        open_target(str(tmp_path), Home(tmp_path / "home"))


def test_an_older_checkpoint_does_not_replace_a_newer_one(world: World) -> None:
    target = MemoryStore()
    old = inner(world.store).objects[CHECKPOINT]
    copy(world, target)
    world.push("data/more:1")
    inner(world.store).objects[CHECKPOINT] = old
    copy(world, target)
    assert target.objects[CHECKPOINT] == old
    inner(world.store).objects[CHECKPOINT] = b"garbage"
    copy(world, target)
    assert target.objects[CHECKPOINT] == old


def test_a_hole_in_the_target_is_named_and_not_built_upon(world: World) -> None:
    target = MemoryStore()
    copy(world, target)
    del target.objects[entry_key(1)]
    world.push("data/more:1")
    with pytest.raises(StemmaError, match="no ledger entry 1"):
        copy(world, target)
