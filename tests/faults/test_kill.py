"""kill -9 at every call that changes a file system; afterwards everything is whole.

`make test` takes an even sample of the points, `make test-all` all of them.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scene import NEW, PUSH_NEW, QUARANTINE, Scene
from tests.faults.tracer import Traced, points, sample, traced

pytestmark = pytest.mark.faults
SHARDS = 4
SAMPLE = {"push": 28, "quarantine": 12, "release": 8, "pull": 8, "rebuild": 8}
PULL = ("pull", "data/raw:1", "out", "--json")
RELEASE = ("release", "data/raw:1", "--reason", "it was good", "--json")


def acknowledged(run: Traced) -> bool:
    """Whether the command had said, whole, that it was done."""
    try:
        document = json.loads(run.finished.out)
    except ValueError:
        return False
    return "error" not in document


def after_push(scene: Scene, run: Traced) -> None:
    scene.assert_whole()
    there = "data/new:1" in scene.names()
    assert there == scene.entry(3).exists(), "the ledger entry is the commit point"
    assert there or not acknowledged(run), "an acknowledged push was lost"
    if there:
        assert scene.verify("data/new:1") == 0
    again = scene.run(*PUSH_NEW).expect(0).document
    assert again["outcome"] == ("unchanged" if there else "created")
    assert scene.verify("data/new:1") == 0
    assert scene.verify("models/m:1") == 0
    assert scene.names()["data/new:1"]["artifact"] == again["artifact"]
    assert len(scene.entries()) == 4
    scene.run("pull", "data/new:1", "pulled").expect(0)
    assert {path: (scene.work / "pulled" / path).read_bytes() for path in NEW} == NEW
    scene.assert_whole()


def after_quarantine(scene: Scene, run: Traced) -> None:
    scene.assert_whole()
    there = scene.entry(3).exists()
    assert there or not acknowledged(run), "an acknowledged quarantine was lost"
    assert {row["quarantined"] for row in scene.names().values()} == {there}
    expected = 11 if there else 0
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (expected, expected)
    scene.run(*QUARANTINE).expect(0)
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (11, 11)
    scene.assert_whole()


def after_release(scene: Scene, run: Traced) -> None:
    scene.assert_whole()
    there = scene.entry(4).exists()
    assert there or not acknowledged(run), "an acknowledged release was lost"
    assert {row["quarantined"] for row in scene.names().values()} == {not there}
    if not there:
        scene.run(*RELEASE).expect(0)
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (0, 0)
    scene.assert_whole()


def after_pull(scene: Scene, run: Traced) -> None:
    target = scene.work / "out"
    assert target.exists() or not acknowledged(run)
    if not target.exists():
        scene.run(*PULL).expect(0)
    files = {p.name: p.read_bytes() for p in target.iterdir()}
    assert files == {"a.txt": b"raw a\n", "b.txt": b"raw b\n"}
    assert scene.run("verify", "out", "--as", "data/raw:1").code == 0


def after_rebuild(scene: Scene, run: Traced) -> None:
    scene.assert_whole()
    assert set(scene.names()) == {"data/raw:1", "models/m:1"}
    assert scene.verify("models/m:1") == 0
    scene.run("rebuild").expect(0)
    assert scene.verify("models/m:1") == 0


def nothing_before(scene: Scene) -> None:
    """The scene is right as it is."""


def quarantined_before(scene: Scene) -> None:
    scene.run(*QUARANTINE).expect(0)


Check = Callable[[Scene, Traced], None]
COMMANDS: dict[str, tuple[tuple[str, ...], Callable[[Scene], None], Check]] = {
    "push": (PUSH_NEW, nothing_before, after_push),
    "quarantine": (QUARANTINE, nothing_before, after_quarantine),
    "release": (RELEASE, quarantined_before, after_release),
    "pull": (PULL, nothing_before, after_pull),
    "rebuild": (("rebuild", "--json"), nothing_before, after_rebuild),
}


@pytest.fixture
def prepared(template: Scene, tmp_path: Path) -> Callable[[str], Callable[[], Scene]]:
    """Copies of the scene in which a command can be run."""

    def prepare(command: str) -> Callable[[], Scene]:
        first = template.copy(tmp_path / "prepared")
        COMMANDS[command][1](first)
        copies = iter(range(10_000))
        return lambda: first.copy(tmp_path / f"copy{next(copies)}")

    return prepare


def campaign(
    prepared: Callable[[str], Callable[[], Scene]], command: str, shard: int, most: int
) -> None:
    """Kill the command at every `SHARDS`-th of at most `most` points, and look each time."""
    argv, _, check = COMMANDS[command]
    fresh = prepared(command)
    baseline = traced(fresh(), *argv)
    baseline.finished.expect(0)
    killed = 0
    chosen = sample(points(baseline), most)[shard::SHARDS]
    for call, when in chosen:
        scene = fresh()
        run = traced(scene, *argv, inject=f"{call}:signal=KILL:when={when}")
        try:
            assert run.killed or run.finished.code == 0, run.finished
            killed += run.killed
            check(scene, run)
        except AssertionError as error:
            last = "\n".join(map(repr, run.calls[-12:]))
            error.add_note(f"killed at {call}, the {when}th time, in {scene.folder}\n{last}")
            raise
    # Digests differ from run to run, and the number of directories to make with them.
    assert killed >= len(chosen) * 0.8


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_a_sample_of_calls(
    prepared: Callable[[str], Callable[[], Scene]], command: str, shard: int
) -> None:
    campaign(prepared, command, shard, SAMPLE[command])


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("command", COMMANDS)
def test_killed_at_every_call(
    prepared: Callable[[str], Callable[[], Scene]], command: str, shard: int
) -> None:
    campaign(prepared, command, shard, 10_000)
