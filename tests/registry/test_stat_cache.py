"""A push reads only what changed, and never takes a changed file for an unchanged one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry import directory, stat_cache
from stemma_registry.blobs.local import LocalStore
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import BadTree
from stemma_registry.intake import Intake
from stemma_registry.stat_cache import StatCache
from tests.counting import Counted

OLD = time.time() - 3600


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three files; the clock is an hour ahead of them, since ctime cannot be set back."""
    folder = tmp_path / "data"
    folder.mkdir()
    for name in ("a", "b", "c"):
        (folder / name).write_bytes(name.encode() * 1000)
    monkeypatch.setattr(stat_cache, "now", lambda: time.time() + 3600)
    return folder


def look(home: Home, root: Path) -> tuple[dict[str, Digest], int]:
    """What is in the folder by the cache, and how many bytes were read for it."""
    counted = Counted()
    cache = StatCache.of(home, root)
    observed = directory.observe(directory.scan(root), counted, cache=cache)
    cache.save()
    assert counted.done == counted.expected
    return {entry.path: entry.sha256 for entry in observed.entries}, counted.done


def true_digests(root: Path) -> dict[str, Digest]:
    return {path.name: Digest.of(path.read_bytes()) for path in root.iterdir()}


def test_what_did_not_change_is_not_read_again(home: Home, root: Path) -> None:
    assert look(home, root) == (true_digests(root), 3000)
    assert look(home, root) == (true_digests(root), 0)


@pytest.mark.parametrize("keep_times", [False, True])
def test_a_changed_file_is_read(home: Home, root: Path, keep_times: bool) -> None:
    look(home, root)
    before = (root / "b").stat()
    (root / "b").write_bytes(b"B" * 1000)
    if keep_times:  # the change time betrays it
        os.utime(root / "b", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(home, root) == (true_digests(root), 1000)


def test_a_file_put_in_anothers_place_is_read(home: Home, root: Path, tmp_path: Path) -> None:
    look(home, root)
    before = (root / "b").stat()
    (tmp_path / "other").write_bytes(b"B" * 1000)
    os.utime(tmp_path / "other", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(tmp_path / "other", root / "b")
    assert look(home, root) == (true_digests(root), 1000)


def test_a_file_changed_a_moment_ago_is_not_remembered(
    home: Home, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stat_cache, "now", time.time)
    assert look(home, root)[1] == 3000
    assert look(home, root)[1] == 3000, "another change could have the same time"
    monkeypatch.setattr(stat_cache, "now", lambda: time.time() + LIMITS.racy_seconds + 1)
    assert look(home, root)[1] == 3000
    assert look(home, root)[1] == 0


def test_times_in_the_future_are_not_believed(home: Home, root: Path) -> None:
    os.utime(root / "a", (OLD, time.time() + 7200))
    look(home, root)
    assert look(home, root)[1] == 1000


@pytest.mark.parametrize("wrong", [b"", b"{", b'{"format":"x","files":{}}', b"[]", b"\xff" * 9])
def test_a_damaged_cache_knows_nothing(home: Home, root: Path, wrong: bytes) -> None:
    look(home, root)
    (path,) = home.stats.iterdir()
    path.write_bytes(wrong)
    assert look(home, root) == (true_digests(root), 3000)


def test_damaged_lines_know_nothing(home: Home, root: Path) -> None:
    look(home, root)
    (path,) = home.stats.iterdir()
    path.write_text(path.read_text().replace(Digest.of(b"a" * 1000).value, "zz"))
    assert look(home, root) == (true_digests(root), 3000)


def test_a_home_that_cannot_be_written_hinders_nobody(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    assert look(Home(tmp_path / "file" / "home"), root) == (true_digests(root), 3000)


def test_each_directory_has_its_own(home: Home, root: Path, tmp_path: Path) -> None:
    look(home, root)
    os.rename(root, tmp_path / "moved")
    assert look(home, tmp_path / "moved")[1] == 3000


def test_off_remembers_nothing(home: Home, root: Path) -> None:
    for _ in range(2):
        cache, counted = StatCache.off(), Counted()
        directory.observe(directory.scan(root), counted, cache=cache)
        cache.save()
        assert counted.done == 3000
    assert not home.stats.exists()


def take_in(home: Home, root: Path, store: LocalStore) -> int:
    counted = Counted()
    manifest = Intake(store, directory.scan(root), StatCache.of(home, root), counted).take_in()
    for entry in manifest.entries:
        assert b"".join(store.chunks(entry.sha256)) == (root / entry.path).read_bytes()
    return counted.done


def test_what_the_store_does_not_have_is_read_although_it_is_known(
    home: Home, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    one, two = LocalStore(tmp_path / "one"), LocalStore(tmp_path / "two")
    assert take_in(home, root, one) == 3000
    assert take_in(home, root, one) == 0
    assert take_in(home, root, two) == 3000
    one.delete(Digest.of(b"b" * 1000))
    assert take_in(home, root, one) == 1000


def test_what_can_be_no_artifact_is_refused_before_anything_is_stored(
    home: Home, root: Path, tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    store = LocalStore(tmp_path / "store")
    (root / "link").symlink_to("a")
    intake = Intake(store, directory.scan(root), StatCache.of(home, root))
    with pytest.raises(BadTree, match="symbolic link"):
        intake.check()
    (root / "link").unlink()
    (root / "CON").write_bytes(b"")
    with pytest.raises(BadTree, match="CON"):
        Intake(store, directory.scan(root), StatCache.of(home, root)).check()
    assert list(store.blobs()) == []
