"""Full disks and read-only ones: abort, say why in one line, leave nothing, work again later."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.local import LocalStore
from tests.faults.commands import COMMANDS, acknowledged
from tests.faults.mounts import mount, unmount
from tests.faults.powercut import PowerCut, losses
from tests.faults.scene import PUSH_NEW, QUARANTINE, Scene, one_line
from tests.faults.tracer import REACHED, Call, sample, traced

pytestmark = pytest.mark.faults
NEEDING = [name for name, command in COMMANDS.items() if command.fulls]
ERRORS = ("ENOSPC", "EROFS", "EACCES", "EDQUOT", "EMFILE")
# What needs room, or a writable file system. Failing fsyncs are in test_power.py.
NEEDS_ROOM = frozenset(
    {"openat", "write", "pwrite64", "ftruncate", "mkdirat", "mkdir", "renameat", "rename", "linkat"}
)
SHARDS = 2
# A run of CI takes the first of them; `make test-all` takes all.
SLICE = [0, *(pytest.param(shard, marks=pytest.mark.slow) for shard in range(1, SHARDS))]
ALL = 10_000
Prepare = Callable[[str], Callable[[], Scene]]


def later(scene: Scene, command: str, done: bool = False) -> None:
    """Once there is room again, the same command succeeds, and everything is whole."""
    COMMANDS[command].check(scene, done)


def failing_call(scene: Scene, command: str, name: str, when: int, error: str) -> bool:
    """That call fails, in every thread that comes so far; whether one did."""
    this = COMMANDS[command]
    run = traced(scene, *this.argv, inject=f"{name}:error={error}:when={when}")
    failed: list[Call] = [call for call in run.calls if call.injected]
    printing = any(".out" in path for call in failed for path in call.paths)
    if run.finished.code == 0:
        cut = PowerCut(str(scene.folder)).feed(run.calls)
        for store in this.stores:
            lost = losses(scene, cut, store)
            assert lost == [], f"acknowledged, although {failed} failed"
    elif printing:  # what was written cannot be taken back, but the exit code can say no
        # 14 where the command had failed before, and that could not be printed either.
        assert run.finished.code in (1, 14)
        assert "Traceback" not in run.finished.err
        assert len(run.finished.lines) <= 1
    else:
        assert run.finished.code == 14, (run.finished, failed)
        one_line(run.finished)
    assert scene.temporary() == [], failed
    later(scene, command, run.finished.code == 0 and acknowledged(run.finished))
    return bool(failed)


def campaign(prepared: Prepare, command: str, errors: Sequence[str], most: int, shard: int) -> None:
    """Each point fails with one of the errors, in turn."""
    fresh = prepared(command)
    baseline = traced(fresh(), *COMMANDS[command].argv)
    calls = (c for c in baseline.calls if c.creates and c.name in NEEDS_ROOM)
    points = list(dict.fromkeys((c.name, c.number) for c in calls))
    chosen = sample(points, most)[shard::SHARDS]
    failed = 0
    for (name, when), error in zip(chosen, itertools.cycle(errors)):
        scene = fresh()
        try:
            failed += failing_call(scene, command, name, when, error)
        except AssertionError as problem:
            problem.add_note(f"{name} failed with {error}, the {when}th time, in {scene.folder}")
            raise
        scene.remove()
    assert failed >= len(chosen) * REACHED


@pytest.mark.parametrize("shard", SLICE)
@pytest.mark.parametrize("command", NEEDING)
def test_a_call_that_finds_no_room(prepared: Prepare, command: str, shard: int) -> None:
    campaign(prepared, command, ERRORS, COMMANDS[command].fulls, shard)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", NEEDING)
def test_any_call_that_finds_no_room(prepared: Prepare, command: str, shard: int) -> None:
    campaign(prepared, command, ERRORS, ALL, shard)


@pytest.mark.parametrize("name", ["renameat", "write", "linkat"])
def test_no_room_from_some_point_on(fresh: Callable[[], Scene], name: str) -> None:
    """Every later call of that name fails too, as on a disk that stays full."""
    for when in (1, 2, 5):
        scene = fresh()
        run = traced(scene, *PUSH_NEW, inject=f"{name}:error=ENOSPC:when={when}+")
        if run.finished.code != 0 and "error" in run.finished.out:
            assert one_line(run.finished)
        assert scene.temporary() == []
        later(scene, "push")


# A true full disk.


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """A tmpfs; call it with mount options to make or change it."""
    target = tmp_path / "disk"
    mounted = False

    def make(options: str) -> Path:
        nonlocal mounted
        options = f"remount,{options}" if mounted else options
        mount(target, "-t", "tmpfs", "-o", options, "tmpfs")
        mounted = True
        return target

    yield make
    if mounted:
        unmount(target)


def on_disk(template: Scene, root: Path, *folders: str) -> Scene:
    """A copy of the scene of which some folders are on the disk, its catalogue up to date."""
    scene = template.copy(root.parent / "scene")
    for folder in folders:
        shutil.move(scene.folder / folder, root / folder)
        (scene.folder / folder).symlink_to(root / folder)
    scene.run("list").expect(0)
    return scene


def fill(root: Path, leave: int) -> Path:
    """Fill the disk but for `leave` bytes."""
    filler = root / "filler"
    free = os.statvfs(root)
    with filler.open("wb") as out:
        out.write(bytes(max(0, free.f_bavail * free.f_bsize - leave)))
    return filler


@pytest.mark.parametrize(
    ("command", "folders"),
    [
        ("push", ["registry"]),
        pytest.param("push", ["home"], marks=pytest.mark.slow),
        ("quarantine", ["registry", "home"]),
        pytest.param("push many", ["registry"], marks=pytest.mark.slow),
        pytest.param("gc", ["registry"], marks=pytest.mark.slow),
        pytest.param("gc", ["home"], marks=pytest.mark.slow),
    ],
    ids=lambda value: value if isinstance(value, str) else " and ".join(value),
)
def test_a_full_disk(
    template: Scene, disk: Callable[[str], Path], tmp_path: Path, command: str, folders: list[str]
) -> None:
    """Less and less is left, a few pages at a time, so that many a write is the one that fails."""
    root = disk("size=32m")
    scene = on_disk(template, root, *folders)
    COMMANDS[command].before(scene)
    original = tmp_path / "original"
    shutil.copytree(scene.folder, original)
    codes = []
    # What is large needs megabytes to succeed; what is small fails within the first pages.
    for pages in (*range(0, 90, 6), 1500, 6000):
        filler = fill(root, pages * 4096)
        done = scene.run(*COMMANDS[command].argv)
        codes.append(done.code)
        if done.code == 0:
            assert acknowledged(done)
        else:
            assert done.code == 14
            one_line(done)
        assert scene.temporary() == []
        filler.unlink()
        later(scene, command, done.code == 0)
        for folder in ("home", "registry"):
            back(original / folder, scene.folder / folder)
    assert codes[-1] == 0
    assert codes[0] == 14 or "registry" not in folders


def back(original: Path, folder: Path) -> None:
    """Make a folder, which may be a link to one, as it was."""
    real = folder.resolve()
    shutil.rmtree(real)
    shutil.copytree(original, real)


def test_a_directory_that_is_larger_than_the_disk(
    template: Scene, disk: Callable[[str], Path]
) -> None:
    root = disk("size=4m")
    scene = on_disk(template, root, "registry")
    scene.write("work/big", {f"{i}.bin": bytes([i]) * 700_000 for i in range(10)})
    push = ("push", "big", "data/big:1", "--kind", "dataset")
    done = scene.run(*push)
    assert done.code == 14
    assert "space" in one_line(done).lower()
    assert scene.temporary() == []
    assert "data/big:1" not in scene.names()
    scene.assert_whole()
    assert scene.verify("models/m:1") == 0, "a full disk still answers"
    disk("size=40m")
    scene.run(*push).expect(0)
    assert scene.verify("data/big:1") == 0


def test_pulling_onto_a_full_disk(template: Scene, disk: Callable[[str], Path]) -> None:
    root = disk("size=1m")
    scene = template.copy(root.parent / "scene")
    scene.write("work/big", {"big.bin": bytes(2_000_000)})
    scene.run("push", "big", "data/big:1", "--kind", "dataset").expect(0)
    done = scene.run("pull", "data/big:1", root / "out")
    assert done.code == 14
    assert "space" in one_line(done).lower()
    assert list(root.iterdir()) == []
    disk("size=10m")
    scene.run("pull", "data/big:1", root / "out").expect(0)


# Read-only.

READERS = {
    "verify": ("verify", "models/m:1", "--json"),
    "list": ("list", "--json"),
    "trace": ("trace", "data/raw:1", "--json"),
    "show": ("show", "models/m:1", "--json"),
    "audit": ("audit", "--read-data", "--json"),
}
WRITERS = {
    "push": PUSH_NEW,
    "quarantine": QUARANTINE,
    "gc": ("gc", "--yes", "--json"),
    "replicate to": ("replicate", "../registry", "../registry/replica", "--json"),
    "init elsewhere": ("--registry", "../registry/other", "init", "--json"),
}


def test_a_read_only_registry(template: Scene, disk: Callable[[str], Path]) -> None:
    root = disk("size=4m")
    scene = on_disk(template, root, "registry")
    put_bytes(LocalStore(scene.registry), b"something to collect")
    disk("ro,size=4m")
    for what, argv in WRITERS.items():
        done = scene.run(*argv)
        assert done.code == 14, (what, done)
        assert one_line(done)
    copied = ("replicate", "../registry", "../replica", "--verify", "--json")
    for argv in (*READERS.values(), ("rebuild", "--json"), copied):
        scene.run(*argv).expect(0)
    disk("rw,size=4m")
    later(scene, "push")


def test_a_read_only_home_hinders_no_reader(template: Scene, disk: Callable[[str], Path]) -> None:
    root = disk("size=4m")
    scene = on_disk(template, root, "home")
    disk("ro,size=4m")
    for argv in READERS.values():
        scene.run(*argv).expect(0)
    scene.run(*PUSH_NEW).expect(0)
    for argv in READERS.values():
        scene.run(*argv).expect(0)


def test_a_checkout_that_cannot_be_written(template: Scene, disk: Callable[[str], Path]) -> None:
    root = disk("size=4m")
    scene = template.copy(root.parent / "scene")
    disk("ro,size=4m")
    done = scene.run("pull", "data/raw:1", root / "out", "--json")
    assert done.code == 14
    assert "read-only" in one_line(done).lower()


# Answers that cannot be given.


@pytest.mark.parametrize("argv", [*READERS.values(), PUSH_NEW, QUARANTINE])
def test_an_answer_that_cannot_be_written_is_no_yes(scene: Scene, argv: tuple[str, ...]) -> None:
    done = scene.run(*argv, stdout=Path("/dev/full"))
    assert done.code not in (0, 120), "0 would be a yes that nobody heard, 120 is Python's own"
    assert "Traceback" not in done.err
    assert len(done.lines) == 1
    scene.assert_whole()
