"""kill -9 at every call that changes a file system; afterwards everything is whole.

`make test` takes an even sample of the points, `make test-all` all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.faults.commands import COMMANDS, acknowledged
from tests.faults.scene import PUSH_NEW, Scene
from tests.faults.tracer import REACHED, points, sample, traced

pytestmark = pytest.mark.faults
SHARDS = 4
# A run of CI takes the first of them; `make test-all` takes all.
SLICE = [0, *(pytest.param(shard, marks=pytest.mark.slow) for shard in range(1, SHARDS))]
ALL = 10_000
Prepare = Callable[[str], Callable[[], Scene]]


def campaign(prepared: Prepare, command: str, shard: int, most: int) -> None:
    """Kill the command at every `SHARDS`-th of at most `most` points, and look each time."""
    this, fresh = COMMANDS[command], prepared(command)
    baseline = traced(fresh(), *this.argv)
    baseline.finished.expect(0)
    killed = 0
    chosen = sample(points(baseline), most)[shard::SHARDS]
    for call, when in chosen:
        scene = fresh()
        run = traced(scene, *this.argv, inject=f"{call}:signal=KILL:when={when}")
        try:
            assert run.killed or run.finished.code == 0, run.finished
            killed += run.killed
            this.check(scene, acknowledged(run.finished))
        except AssertionError as error:
            last = "\n".join(map(repr, run.calls[-12:]))
            error.add_note(f"killed at {call}, the {when}th time, in {scene.folder}\n{last}")
            raise
        scene.remove()
    # Of one chosen call none may be reached: threads do not always make the same ones.
    assert killed >= int(len(chosen) * REACHED)


@pytest.mark.parametrize("shard", SLICE)
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_a_sample_of_calls(prepared: Prepare, command: str, shard: int) -> None:
    campaign(prepared, command, shard, COMMANDS[command].kills)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_call(prepared: Prepare, command: str, shard: int) -> None:
    campaign(prepared, command, shard, ALL)


def grow_old(scene: Scene) -> None:
    """As if what lies about had been there for two days."""
    for path in scene.leftovers():
        then = path.stat().st_mtime - 2 * 86_400
        os.utime(path, (then, then), follow_symlinks=False)


@pytest.mark.parametrize("command", ["push", "push many", "quarantine"])
def test_what_killed_commands_leave_is_swept_and_does_not_grow(
    prepared: Prepare, command: str
) -> None:
    """Five of them, killed while their temporary files are there, and a push two days later."""
    this, scene = COMMANDS[command], prepared(command)()
    named = points(traced(prepared(command)(), *this.argv))
    (call, when), *_ = [p for p in named if p[0] in ("renameat", "rename")][1:]
    for _ in range(5):
        assert traced(scene, *this.argv, inject=f"{call}:signal=KILL:when={when}").killed
    assert scene.leftovers()
    grow_old(scene)
    scene.run(*PUSH_NEW).expect(0)
    assert scene.leftovers() == []


def test_what_killed_pulls_leave_is_swept(prepared: Prepare) -> None:
    """It is in the user's directory, and only the next pull to the same place knows of it."""
    this, scene, other = COMMANDS["pull"], prepared("pull")(), prepared("pull")()
    for one in (scene, other):  # so that all pulls do the same
        one.run("list").expect(0)
    probe = traced(other, *this.argv)
    place = next(c for c in probe.calls if c.name.startswith("rename") and c.texts[1] == "out")
    for _ in range(3):
        run = traced(scene, *this.argv, inject=f"{place.name}:signal=KILL:when={place.number}")
        assert run.killed
    assert len(scene.leftovers()) == 3
    grow_old(scene)
    scene.run(*this.argv).expect(0)
    assert [path.name for path in scene.work.glob(".out*")] == []
