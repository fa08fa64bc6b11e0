"""Repair: good bytes come back from wherever they are, and nothing wrong ever does."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import Report
from stemma_registry.care.repair import DirectorySource, RegistrySource, open_source, repair_all
from stemma_registry.care.replicate import replicate
from stemma_registry.errors import NotFound
from stemma_registry.ledger.heads import CHECKPOINT
from tests.registry.stores import Disk, contents, overwrite


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    disk = Disk(tmp_path / "disk")
    disk.fill()
    return disk


@pytest.fixture
def replica(disk: Disk) -> MemoryStore:
    store = MemoryStore()
    replicate(disk.store, store, disk.home, disk.trust)
    return store


def mend(disk: Disk, source: RegistrySource | DirectorySource) -> tuple[Report, list[str]]:
    return repair_all(disk.store, disk.home, disk.trust, disk.audit(), lambda _: source, True)


def test_everything_is_lost_but_the_folders(disk: Disk, replica: MemoryStore) -> None:
    before = contents(disk.root)
    for path in disk.objects():
        path.unlink()
    report, mended = mend(disk, RegistrySource(replica))
    assert report.whole
    assert contents(disk.root) == before
    assert len(mended) == len(before)


@pytest.mark.parametrize(
    "lost", [set(s) for k in (1, 2, 3, 4) for s in itertools.combinations(range(4), k)], ids=str
)
@pytest.mark.parametrize("how", ["lost", "garbage"])
def test_any_entries_come_back(disk: Disk, replica: MemoryStore, lost: set[int], how: str) -> None:
    before = contents(disk.root)
    for n in lost:
        overwrite(disk.entry(n), None if how == "lost" else b"garbage")
    report, mended = mend(disk, RegistrySource(replica))
    assert report.whole, report.findings
    assert {f"entry {n}" for n in lost} == set(mended)
    assert contents(disk.root) == before


def test_entries_of_another_history_are_not_taken(disk: Disk, tmp_path: Path) -> None:
    other = Disk(tmp_path / "other")
    other.fill()
    for n in (1, 3):
        overwrite(disk.entry(n), b"garbage")
    before = contents(disk.root)
    report, mended = mend(disk, RegistrySource(other.store))
    assert mended == []
    assert {finding.subject for finding in report.findings} == {"entry 1", "entry 3"}
    assert contents(disk.root) == before


def test_a_source_that_is_damaged_too_gives_what_it_has(disk: Disk, replica: MemoryStore) -> None:
    one, two = sorted(replica.blob_bytes)[:2]
    replica.blob_bytes[one] += b"!"
    before = contents(disk.root)
    for digest in (one, two):
        disk.blob(digest).unlink()
    report, mended = mend(disk, RegistrySource(replica))
    assert mended == [str(two)]
    assert [finding.subject for finding in report.findings] == [str(one)]
    assert disk.blob(two).read_bytes() == before[str(disk.blob(two).relative_to(disk.root))]
    assert not disk.blob(one).exists()


def test_a_plain_directory_has_the_bytes(disk: Disk, tmp_path: Path) -> None:
    """The training data somewhere else, under other names, among other files."""
    folder = tmp_path / "elsewhere" / "deep"
    folder.mkdir(parents=True)
    (folder / "renamed.bin").write_bytes(b"1,2\n" * 50)
    (folder / "same-size.bin").write_bytes(b"9,9\n" * 50)
    (folder / "link").symlink_to(folder / "renamed.bin")
    lost = [path for path in disk.objects() if path.read_bytes() == b"1,2\n" * 50]
    lost[0].unlink()
    report = disk.audit()
    source = open_source(str(folder.parent), disk.home, report)
    assert isinstance(source, DirectorySource)
    assert len(source.files) == 1
    assert mend(disk, source)[0].whole


def test_files_that_change_before_they_are_taken_are_not_taken(disk: Disk, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    file = tmp_path / "data" / "a.csv"
    file.write_bytes(b"1,2\n" * 50)
    (lost,) = [path for path in disk.objects() if path.read_bytes() == file.read_bytes()]
    lost.unlink()
    source = open_source(str(tmp_path / "data"), disk.home, disk.audit())
    file.write_bytes(b"6,6\n" * 50)
    report, mended = mend(disk, source)  # type: ignore[arg-type]
    assert mended == []
    assert not report.whole
    assert not lost.exists()


def test_a_registry_is_recognised(disk: Disk, tmp_path: Path) -> None:
    source = open_source(str(disk.root), disk.home, disk.audit())
    assert isinstance(source, RegistrySource)
    with pytest.raises(NotFound):
        open_source(str(tmp_path / "nowhere"), disk.home, disk.audit())


def test_the_signed_head_comes_back_only_if_it_is_believed(
    disk: Disk, replica: MemoryStore
) -> None:
    good = replica.objects[CHECKPOINT]
    for bad in (b"garbage", None):
        overwrite(disk.root / CHECKPOINT, bad)
        replica.objects[CHECKPOINT] = b"{}"
        assert mend(disk, RegistrySource(replica))[1] == []
        replica.objects[CHECKPOINT] = good
        assert mend(disk, RegistrySource(replica))[1] == [CHECKPOINT]
    assert (disk.root / CHECKPOINT).read_bytes() == good


def test_a_link_in_place_of_a_blob_is_replaced_and_not_followed(
    disk: Disk, replica: MemoryStore, tmp_path: Path
) -> None:
    digest = min(replica.blob_bytes)
    target = tmp_path / "outside"
    target.write_bytes(b"mine")
    disk.blob(digest).unlink()
    disk.blob(digest).symlink_to(target)
    assert not disk.audit().whole
    assert mend(disk, RegistrySource(replica))[0].whole
    assert target.read_bytes() == b"mine"
    assert not disk.blob(digest).is_symlink()
