"""Hashing directories and writing them."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Manifest
from stemma_registry import directory
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import AlreadyThere, BadTree, BlobMissing, Damaged, NotFound
from tests.counting import Counted


def tree(root: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    return root


def test_every_file_is_hashed_and_empty_directories_are_passed_over(tmp_path: Path) -> None:
    files = {"a": b"", "b/c": b"x" * 3_000_000, "b/d/e.txt": b"e"}
    root = tree(tmp_path / "t", files)
    (root / "empty/er").mkdir(parents=True)
    observed = directory.observe(directory.scan(root))
    assert {e.path: (e.size, e.sha256.value) for e in observed.entries} == {
        path: (len(data), hashlib.sha256(data).hexdigest()) for path, data in files.items()
    }
    assert observed.oddities == ()


def test_progress_counts_every_byte(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"a": b"x" * 2_500_000, "b": b"y" * 10})
    counted = Counted()
    directory.observe(directory.scan(root), counted)
    assert counted.done == counted.expected == 2_500_010


def test_names_that_are_not_utf8_are_oddities(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"a": b"a"})
    (Path(os.fsdecode(os.fsencode(root) + b"/\xff"))).write_bytes(b"x")
    observed = directory.observe(directory.scan(root))
    assert [what for _, what in observed.oddities] == ["a name that is not UTF-8"]
    with pytest.raises(BadTree):
        directory.manifest_of(root, observed)


def test_a_file_that_grows_while_it_is_read_is_refused(tmp_path: Path) -> None:
    root = tree(tmp_path / "t", {"a": b"x" * 3_000_000})

    def grow(_: int) -> None:
        with (root / "a").open("ab") as out:
            out.write(b"more")

    observed = directory.observe(directory.scan(root), Counted(grow))
    assert [what for _, what in observed.oddities] == ["a file that changed while it was read"]


def test_deep_trees_end(tmp_path: Path) -> None:
    here = tmp_path / "t"
    here.mkdir()
    fd = os.open(here, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=fd)
        child = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = child
    os.close(fd)
    observed = directory.observe(directory.scan(here))
    assert "nested deeper" in observed.oddities[0][1]


def test_what_is_not_a_directory(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(NotFound):
        directory.observe(directory.scan(tmp_path / "none"))
    with pytest.raises(BadTree):
        directory.observe(directory.scan(tmp_path / "file"))


def stored(files: dict[str, bytes], tmp_path: Path) -> tuple[MemoryStore, Manifest]:
    root = tree(tmp_path / "source", files)
    store = MemoryStore()
    for data in files.values():
        put_bytes(store, data)
    return store, directory.manifest_of(root, directory.observe(directory.scan(root)))


def test_materialise_is_the_inverse_of_observe(tmp_path: Path) -> None:
    store, manifest = stored({"a": b"1", "b/c": b"2" * 2_000_000}, tmp_path)
    target = tmp_path / "new/out"
    directory.materialise(store, manifest, target)
    assert directory.manifest_of(target, directory.observe(directory.scan(target))) == manifest


def test_materialise_never_overwrites(tmp_path: Path) -> None:
    store, manifest = stored({"a": b"1"}, tmp_path)
    for name in ("there", "link"):
        target = tmp_path / name
        target.mkdir() if name == "there" else target.symlink_to("nowhere")
        with pytest.raises(AlreadyThere):
            directory.materialise(store, manifest, target)


@pytest.mark.parametrize("damage", ["changed", "short", "long", "lost"])
def test_wrong_bytes_leave_nothing(tmp_path: Path, damage: str) -> None:
    store, manifest = stored({"a": b"1", "b": b"good"}, tmp_path)
    digest = Digest.of(b"good")
    bad = {"changed": b"goof", "short": b"goo", "long": b"good!"}
    if damage == "lost":
        del store.blob_bytes[digest]
    else:
        store.blob_bytes[digest] = bad[damage]
    with pytest.raises((Damaged, BlobMissing)):
        directory.materialise(store, manifest, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["source"]
