"""Real power cuts: a disk image is copied while it is mounted, and the copy is what is left.

The copy holds what reached the disk, and no page that was only in memory.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS, acknowledged
from tests.faults.mounts import make_ext4, mount, unmount
from tests.faults.scene import PUSH_NEW, Scene
from tests.faults.tracer import points, sample, traced

pytestmark = [pytest.mark.faults, pytest.mark.slow]
Cut = Callable[[], Scene]
DURABLE = [name for name, command in COMMANDS.items() if command.syncs]


@pytest.fixture
def machine(template: Scene, tmp_path: Path) -> Iterator[tuple[Scene, Cut]]:
    """A scene on an ext4 disk of its own, and a function that cuts the power.

    The function gives the scene as it is found at the next start. The machine
    itself goes on, so that it can be cut again.
    """
    disk, image = tmp_path / "disk", tmp_path / "disk.img"
    make_ext4(image, 160)
    mounted: list[Path] = []

    def start(source: Path, target: Path) -> None:
        mount(target, "-o", "loop", str(source))
        mounted.append(target)

    def cut() -> Scene:
        copy, target = tmp_path / f"cut{len(mounted)}.img", tmp_path / f"after{len(mounted)}"
        shutil.copyfile(image, copy)
        start(copy, target)
        # The same place as before, so that what the home remembers is about this registry.
        return Scene(target / "scene", template.zygote)

    start(image, disk)
    try:
        scene = template.copy(disk / "scene")
        scene.run("list").expect(0)
        os.sync()
        yield scene, cut
    finally:
        for target in mounted:
            unmount(target)
        for left in tmp_path.glob("*.img"):  # they are large, and pytest keeps its folders
            left.unlink()


def test_a_cut_takes_what_was_not_made_safe(machine: tuple[Scene, Cut]) -> None:
    """Or the tests below could not fail."""
    scene, cut = machine
    (scene.folder / "forgotten").write_text("never fsynced")
    assert not (cut().folder / "forgotten").exists()


@pytest.mark.parametrize("command", DURABLE)
def test_what_was_acknowledged_is_there_after_a_cut(
    machine: tuple[Scene, Cut], command: str
) -> None:
    scene, cut = machine
    this = COMMANDS[command]
    this.before(scene)
    os.sync()
    done = scene.run(*this.argv).expect(0)
    assert acknowledged(done)
    this.check(cut(), True)


@pytest.mark.parametrize("command", DURABLE)
def test_a_command_repeated_after_a_kill_is_there_after_a_cut(
    machine: tuple[Scene, Cut], command: str
) -> None:
    """Killed at several of its calls; each time its repetition is acknowledged, and then cut."""
    scene, cut = machine
    this = COMMANDS[command]
    this.before(scene)
    copies = [scene.copy(scene.folder.parent / f"copy{i}") for i in range(5)]
    chosen = sample(points(traced(copies[0], *this.argv)), 6)[1:-1]
    for copy, (call, when) in zip(copies[1:], chosen, strict=True):
        os.sync()
        traced(copy, *this.argv, inject=f"{call}:signal=KILL:when={when}")
        before = Scene(cut().folder.parent / copy.folder.name, copy.zygote)
        this.check(before, False)
        copy.run(*this.argv).expect(0)
        after = Scene(cut().folder.parent / copy.folder.name, copy.zygote)
        this.check(after, True)
        copy.remove()


def test_a_new_registry_with_its_key_is_there_after_a_cut(machine: tuple[Scene, Cut]) -> None:
    scene, cut = machine
    shutil.rmtree(scene.registry)
    shutil.rmtree(scene.seat.home)
    os.sync()
    scene.run("init").expect(0)
    scene.run("push", "new", "data/new:1", "--kind", "dataset").expect(0)
    after = cut()
    after.assert_whole()
    assert after.verify("data/new:1") == 0


def test_a_push_that_found_its_entry_is_there_after_a_cut(machine: tuple[Scene, Cut]) -> None:
    """The first was killed before it could make the entry safe; the second said `unchanged`."""
    scene, cut = machine
    probe = traced(scene.copy(scene.folder.parent / "probe"), *PUSH_NEW)
    link = next(i for i, call in enumerate(probe.calls) if call.name == "linkat")
    unlink = next(call for call in probe.calls[link:] if call.name == "unlinkat")
    killed = traced(scene, *PUSH_NEW, inject=f"unlinkat:signal=KILL:when={unlink.number}")
    assert killed.killed
    assert scene.run(*PUSH_NEW).expect(0).document["outcome"] == "unchanged"
    after = cut()
    after.assert_whole()
    assert after.verify("data/new:1") == 0


@pytest.mark.parametrize("pushes", [3])
def test_cuts_at_any_time_leave_the_registry_whole(machine: tuple[Scene, Cut], pushes: int) -> None:
    """Cut in the middle of a push, at several of its calls: there, or not there, and whole."""
    scene, cut = machine
    probe = traced(scene.copy(scene.folder.parent / "probe"), *PUSH_NEW)
    renames = [call.number for call in probe.calls if call.name == "renameat"]
    for number in renames[:: max(1, len(renames) // pushes)]:
        run = traced(scene, *PUSH_NEW, inject=f"renameat:signal=KILL:when={number}")
        after = cut()
        after.assert_whole()
        assert set(after.names()) >= {"data/raw:1", "models/m:1"}
        after.run(*PUSH_NEW).expect(0)
        assert after.verify("data/new:1") == 0
        if not run.killed:
            break


def test_the_catalogue_after_a_cut_answers_as_a_rebuilt_one(machine: tuple[Scene, Cut]) -> None:
    """SQLite does not wait for the disk (synchronous=NORMAL): what is lost is in the ledger."""
    scene, cut = machine

    def answers(of: Scene) -> list[object]:
        names = of.names()
        asked = (("list",), *(("trace", name) for name in names))
        told = [of.run("--json", *words).expect(0).document for words in asked]
        return [names, [of.verify(name) for name in names], told]

    steps = (
        PUSH_NEW,
        ("quarantine", "data/raw:1", "--reason", "bad"),
        ("push", "new", "data/more:1", "--kind", "dataset", "--input", "derived-from=data/raw:1"),
    )
    for done, step in enumerate(steps, 1):
        scene.run(*step).expect(0)
        after = cut()
        found = answers(after)
        assert found == answers(scene), done
        after.run("rebuild").expect(0)
        assert answers(after) == found, done
        after.assert_whole()
