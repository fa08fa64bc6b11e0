"""`recheck: stat`: a directory that was whole before is not read again, unless it may differ."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations import policies, policy_file
from stemma_attestations.errors import BytesDiffer, NotVerified, Undecided
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.policy import BUILTIN, Policy, Recheck
from stemma_attestations.predicates.verdict import STEPS
from stemma_attestations.request import Request, StatusView
from stemma_attestations.times import format_time
from stemma_attestations.verdict import Verdict
from stemma_attestations.verify import verify
from stemma_registry import filesystems, gate, stat_cache
from stemma_registry.config import LIMITS
from stemma_registry.serving import asking
from stemma_registry.serving.asking import Question
from tests.building import NOW, entries_of, manifest_of
from tests.counting import Counted
from tests.world import World

NAME = NameVersion.parse("models/m:1")
FILES = {"a": b"a" * 1000, "b": b"b" * 1000, "sub/c": b"c" * 1000}
LETS = replace(BUILTIN, recheck=Recheck.STAT)


@dataclass
class Scene:
    """A model in a registry, and a directory with its bytes."""

    world: World
    root: Path

    def check(
        self, policy: Policy = LETS, rehash: bool = False, root: Path | None = None
    ) -> tuple[Verdict, int]:
        """The verdict, and how many bytes were read for it."""
        counted, world = Counted(), self.world
        terms = gate.Terms(policy, rehash=rehash)
        with world.view() as view:
            verdict = gate.verify_directory(
                world.registry, view, root or self.root, NAME, counted, terms
            )
        return verdict, counted.done

    def read(self, **options: object) -> int:
        """How many bytes a yes reads."""
        return self.check(**options)[1]  # type: ignore[arg-type]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scene:
    """The clock is an hour ahead of the files, since ctime cannot be set back."""
    world = World(tmp_path)
    world.push(str(NAME), FILES, kind="model")
    root = tmp_path / "serving"
    for path, data in FILES.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    monkeypatch.setattr(stat_cache, "now", lambda: time.time() + 3600)
    monkeypatch.setattr(filesystems, "mounted", lambda: {root.stat().st_dev: "ext4"})
    return Scene(world, root)


def test_the_first_check_reads_everything_and_the_next_nothing(scene: Scene) -> None:
    assert scene.read() == 3000
    since = format_time(scene.world.now)
    scene.world.now += timedelta(minutes=5)
    verdict, read = scene.check()
    assert (verdict.passed, read) == (True, 0)
    count, unread = verdict.steps[1].details
    assert count == "3 files, 3000 bytes"
    assert unread == (
        f"3 of 3 files not read again since {since}: they look unchanged, and "
        "builtin:v0.1 lets that do (recheck: stat)"
    )
    said = gate.predicate(verdict)[STEPS][1]["details"]
    assert said == list(verdict.steps[1].details)


def test_a_push_of_the_same_directory_is_no_check(scene: Scene) -> None:
    world = scene.world
    world.push("models/other:1", FILES, kind="model")
    assert any(world.home.stats.iterdir())
    assert scene.read(root=world.folder / f"d{world.count}") == 3000


@pytest.mark.parametrize(
    "policy",
    [BUILTIN, policy_file.parse(policies.BUILTIN, "x"), replace(LETS, recheck=Recheck.HASH)],
)
def test_where_the_policy_says_nothing_or_no_everything_is_read(
    scene: Scene, policy: Policy
) -> None:
    scene.check()
    assert scene.read(policy=policy) == 3000
    verdict, _ = scene.check(policy)
    assert verdict.steps[1].details == ("3 files, 3000 bytes hashed",)


def test_rehash_reads_everything_and_is_what_holds_without_a_word(scene: Scene) -> None:
    scene.check()
    assert scene.read(rehash=True) == 3000
    assert gate.Terms(LETS).rehash


def test_what_is_served_is_always_read(scene: Scene) -> None:
    scene.check()
    counted, world = Counted(), scene.world
    with world.view() as view:
        question = Question(str(scene.root), NAME, gate.Terms(LETS))
        asking.approve(world.registry, view, [question], counted)
    assert counted.done == 3000


def in_place(root: Path) -> None:
    """One byte, and the old modification time."""
    before = (root / "b").stat()
    with (root / "b").open("r+b") as out:
        out.write(b"B")
    os.utime(root / "b", ns=(before.st_atime_ns, before.st_mtime_ns))


def replaced(root: Path) -> None:
    before = (root / "b").stat()
    (root / "new").write_bytes(b"B" * 1000)
    os.utime(root / "new", ns=(before.st_atime_ns, before.st_mtime_ns))
    os.replace(root / "new", root / "b")


def linked(root: Path) -> None:
    """Another name for a file that was there before, of the same size."""
    outside = root.parent / "outside"
    outside.write_bytes(b"B" * 1000)
    (root / "b").unlink()
    os.link(outside, root / "b")


def swapped(root: Path) -> None:
    os.rename(root / "a", root / "x")
    os.rename(root / "b", root / "a")
    os.rename(root / "x", root / "b")


def another_directory(root: Path) -> None:
    shutil.copytree(root, root.parent / "copy")
    (root.parent / "copy/sub/c").write_bytes(b"C" * 1000)
    os.rename(root / "sub", root.parent / "old")
    os.rename(root.parent / "copy/sub", root / "sub")


@pytest.mark.parametrize("change", [in_place, replaced, linked, swapped, another_directory])
def test_other_bytes_are_found(scene: Scene, change: Callable[[Path], None]) -> None:
    scene.check()
    scene.check()
    change(scene.root)
    with pytest.raises(BytesDiffer):
        scene.check()
    assert not list(scene.world.home.rechecks.iterdir()), "what was noted is forgotten"


def linked_to(root: Path) -> None:
    (root / "link").symlink_to("a")


def more(root: Path) -> None:
    (root / "more").write_bytes(b"")


def fewer(root: Path) -> None:
    (root / "a").unlink()


@pytest.mark.parametrize("change", [linked_to, more, fewer])
def test_what_is_there_is_listed_every_time(scene: Scene, change: Callable[[Path], None]) -> None:
    scene.check()
    change(scene.root)
    with pytest.raises(BytesDiffer):
        scene.check()


def test_only_what_may_have_changed_is_read(scene: Scene) -> None:
    scene.check()
    (scene.root / "a").write_bytes(FILES["a"])  # the same bytes, written again
    verdict, read = scene.check()
    assert read == 1000
    assert verdict.steps[1].details[1].startswith("2 of 3 files not read again since ")
    assert scene.read() == 0


def test_a_copy_is_another_directory(scene: Scene) -> None:
    scene.check()
    copy = scene.root.with_name("copy")
    shutil.copytree(scene.root, copy, copy_function=shutil.copy2)
    assert scene.read(root=copy) == 3000
    os.rename(scene.root, scene.root.with_name("moved"))
    os.rename(copy, scene.root)
    assert scene.read() == 3000


def test_a_file_that_changed_a_moment_ago_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Git's rule: another change could carry the same time."""
    monkeypatch.setattr(stat_cache, "now", time.time)
    assert scene.read() == 3000
    assert scene.read() == 3000
    monkeypatch.setattr(stat_cache, "now", lambda: time.time() + LIMITS.racy_seconds + 1)
    assert scene.read() == 3000
    assert scene.read() == 0


def test_times_in_the_future_are_not_believed(scene: Scene) -> None:
    os.utime(scene.root / "a", (time.time(), time.time() + 7200))
    scene.check()
    assert scene.read() == 1000


def test_what_was_not_whole_is_not_noted(scene: Scene) -> None:
    (scene.root / "b").write_bytes(b"B")
    with pytest.raises(BytesDiffer):
        scene.check()
    (scene.root / "b").write_bytes(FILES["b"])
    assert scene.read() == 3000


def test_a_file_that_cannot_be_written_out_is_read_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have it in memory, and change a page that waits to be written."""
    synced = []

    def fsync(fd: int) -> None:
        synced.append(fd)
        if len(synced) == 2:
            raise OSError(5, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fsync)
        assert scene.read() == 3000
    assert len(synced) >= 3
    assert scene.read() == 1000
    assert scene.read() == 0


@pytest.mark.parametrize("kind", ["tmpfs", "overlay", "nfs4", "fuse.x", None])
def test_where_a_change_in_memory_leaves_no_trace_everything_is_read(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, kind: str | None
) -> None:
    found = {} if kind is None else {scene.root.stat().st_dev: kind}
    monkeypatch.setattr(filesystems, "mounted", lambda: found)
    assert scene.read() == 3000
    assert scene.read() == 3000


def test_the_mounts_of_this_machine() -> None:
    assert filesystems.mounted()[os.stat("/dev").st_dev] in ("devtmpfs", "tmpfs")
    text = "36 35 98:1 /a /m rw,x master:1 - ext4 /dev/root rw\nnonsense\n1 2 x:y / /z - tmpfs t\n"
    assert filesystems.parse(text) == {os.makedev(98, 1): "ext4"}


def notes(scene: Scene) -> Path:
    (path,) = scene.world.home.rechecks.iterdir()
    return path


@pytest.mark.parametrize("wrong", [b"", b"{", b'{"format":"x","files":{}}', b"[]", b"\xff" * 9])
def test_a_damaged_list_knows_nothing(scene: Scene, wrong: bytes) -> None:
    scene.check()
    notes(scene).write_bytes(wrong)
    assert scene.read() == 3000
    assert scene.read() == 0


def for_all(path: Path) -> None:
    path.chmod(0o666)


def for_the_group(path: Path) -> None:
    path.parent.chmod(0o770)


@pytest.mark.parametrize("open_to", [for_all, for_the_group])
def test_what_others_may_write_is_not_believed(
    scene: Scene, open_to: Callable[[Path], None]
) -> None:
    scene.check()
    assert notes(scene).parent.stat().st_mode & 0o777 == 0o700
    open_to(notes(scene))
    verdict, read = scene.check()
    assert read == 3000
    (warning,) = verdict.warnings
    assert warning.startswith("every file was read: others may write ")


def test_a_home_that_cannot_be_written_hinders_nobody(scene: Scene) -> None:
    scene.world.home.rechecks.write_text("in the way")
    assert scene.read() == 3000
    assert scene.read() == 3000


def test_the_recipe_itself_holds_it_against_the_policy(scene: Scene) -> None:
    """Whoever gathers may not decide what the policy decides."""
    request = Request(
        resource="r",
        name=NAME,
        resolution=(),
        expected=manifest_of(FILES),
        observed=Observed(entries_of(FILES), unread=1, since=NOW),
        evidence=(),
        trust=scene.world.trust,
        status=StatusView(1),
        now=NOW,
    )
    for policy, passes in ((LETS, True), (BUILTIN, False)):
        with pytest.raises(NotVerified) as caught:
            verify(replace(request, policy=policy))
        assert caught.value.verdict is not None
        step = caught.value.verdict.steps[1]
        assert str(step.outcome) == ("passed" if passes else "undecided"), step
        assert [one.code for one in step.reasons] == ([] if passes else ["bytes-unread"])
    assert issubclass(Undecided, NotVerified)
