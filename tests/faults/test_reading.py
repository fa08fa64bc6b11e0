"""Reads that fail, at every read: any error means not verified, and never a yes (P6)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.scene import QUARANTINE, Scene, one_line
from tests.faults.test_damage import damage, drop_catalogue, file_blob
from tests.faults.tracer import sample, traced

pytestmark = pytest.mark.faults
READS = ("openat", "read", "pread64", "newfstatat", "fstat", "getdents64", "lseek")
VERIFY = ("verify", "models/m:1", "--json")
PULL = ("pull", "models/m:1", "out", "--json")
TRACE = ("trace", "data/raw:1", "--json")
SHARDS = 2
# A run of CI takes the first of them; `make test-all` takes all.
SLICE = [0, *(pytest.param(shard, marks=pytest.mark.slow) for shard in range(1, SHARDS))]


def clean(scene: Scene) -> None:
    scene.run("list").expect(0)


def quarantined(scene: Scene) -> None:
    scene.run(*QUARANTINE).expect(0)


def quarantined_and_cold(scene: Scene) -> None:
    quarantined(scene)
    drop_catalogue(scene)


def damaged(scene: Scene) -> None:
    clean(scene)
    damage(file_blob(scene), "a wrong byte")


# What is asked in which state, and the one right answer.
QUESTIONS: dict[str, tuple[tuple[str, ...], Callable[[Scene], None], int]] = {
    "verify, clean": (VERIFY, clean, 0),
    "verify, quarantined": (VERIFY, quarantined, 11),
    "verify, quarantined, cold": (VERIFY, quarantined_and_cold, 11),
    "verify, damaged": (VERIFY, damaged, 12),
    "pull, quarantined": (PULL, quarantined, 11),
    "pull, damaged": (PULL, damaged, 12),
    "trace, clean": (TRACE, clean, 0),
}


def campaign(template: Scene, folder: Path, question: str, most: int, shard: int) -> None:
    argv, prepare, right = QUESTIONS[question]
    first = template.copy(folder / "first")
    prepare(first)
    probe = traced(first.copy(folder / "probe"), *argv, watch=READS)
    assert probe.finished.code == right
    answer = probe.finished.out
    # What the program is made of is not what it reads.
    reads = [c for c in probe.calls if c.target.startswith(str(folder))]
    points = [(call.name, call.number) for call in reads]
    # No trust root is a state of its own (nobody is believed), not a read that failed.
    missing = {(c.name, c.number) for c in reads if c.name == "openat" and "trust" not in c.target}
    for i, (name, when) in enumerate(sample(points, most)[shard::SHARDS]):
        error = "ENOENT" if i % 2 and (name, when) in missing else "EIO"
        scene = first.copy(folder / f"copy{i}")
        run = traced(scene, *argv, inject=f"{name}:error={error}:when={when}", watch=READS)
        try:
            check(run.finished.code, right)
            if run.finished.code != 0:
                one_line(run.finished)
            elif argv is TRACE:
                assert run.finished.out.splitlines() == answer.splitlines()
            if argv is PULL:
                assert not (scene.work / "out").exists()
        except AssertionError as problem:
            failed = [call for call in run.calls if call.injected]
            problem.add_note(f"{name} failed with {error}, the {when}th time: {failed}")
            raise


def check(code: int, right: int) -> None:
    """The right answer, or none: a verdict may get worse by what could not be read."""
    assert code in (right, 1, 3, 12, 13, 14)


@pytest.mark.parametrize("shard", SLICE)
@pytest.mark.parametrize("question", QUESTIONS)
def test_a_read_that_fails_is_no_yes(
    template: Scene, tmp_path: Path, question: str, shard: int
) -> None:
    campaign(template, tmp_path, question, 10, shard)


@pytest.mark.slow
@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.parametrize("question", QUESTIONS)
def test_no_read_that_fails_is_ever_a_yes(
    template: Scene, tmp_path: Path, question: str, shard: int
) -> None:
    campaign(template, tmp_path, question, 10_000, shard)
