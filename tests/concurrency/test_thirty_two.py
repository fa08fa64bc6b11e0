"""32 processes push at once: same and different names and bytes, to a directory and to a bucket."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests import seaweed
from tests.concurrency.race import Argv, push, users
from tests.faults.scene import Scene, one_line
from tests.zygote import Finished

COUNT = 32
_numbers = itertools.count()


@dataclass(frozen=True)
class Arena:
    """A scene whose registry is where `environment` says; `homes` are those of its users."""

    scene: Scene
    environment: Mapping[str, str]
    homes: Sequence[Path]

    def run(self, *argv: str, home: Path | None = None) -> Finished:
        seat = replace(self.scene.seat, home=home or self.scene.seat.home)
        return self.scene.zygote.run(seat, *argv, environment=self.environment)

    def race(self, commands: Sequence[Argv]) -> list[Finished]:
        """All at once, the users taking turns; how each ended, in order."""
        children = []
        for argv, home in zip(commands, itertools.cycle(self.homes)):
            seat = replace(self.scene.seat, home=home)
            environment = {**self.environment, "STEMMA_HOME": str(home)}
            start = self.scene.zygote.start
            children.append(start(seat, *argv, gate=True, environment=environment))
        for child in children:
            child.go()
        return [child.wait(seconds=300) for child in children]

    def entries(self) -> int:
        """How many the ledger has, after every blob was read and the chain was followed."""
        report: dict[str, Any] = self.run("audit", "--read-data", "--json").expect(0).document
        assert report["whole"], report
        return int(report["entries"])

    def names(self) -> dict[str, str]:
        rows = self.run("list", "--json").expect(0).document
        return {f"{row['name']}:{row['version']}": row["artifact"] for row in rows}


def bucket_environment() -> dict[str, str]:
    server = seaweed.shared()
    name = server.bucket(f"thirty-two-{next(_numbers)}")
    return {**server.environment(), "STEMMA_REGISTRY": f"s3://{name}/registry"}


@pytest.fixture
def arena(request: pytest.FixtureRequest, scene: Scene) -> Arena:
    """An empty registry, and four users who trust each other."""
    if request.param == "local":
        environment = {"STEMMA_REGISTRY": str(scene.folder / "arena")}
    else:
        environment = bucket_environment()
    made = Arena(scene, environment, [scene.seat.home, *users(scene, 3)])
    made.run("init").expect(0)
    return made


def outcomes(results: Sequence[Finished]) -> Counter[str]:
    """How often each outcome; an error is counted by its exit code, and must be a clear one."""
    found: Counter[str] = Counter()
    for done in results:
        if done.code:
            one_line(done)
        found[f"exit {done.code}" if done.code else done.document["outcome"]] += 1
    return found


def same_bytes(scene: Scene, names: Sequence[str]) -> list[Argv]:
    """Pushes of one directory under several names."""
    first = push(scene, names[0], b"the same")
    return [(*first[:2], name, *first[3:]) for name in names]


@pytest.mark.parametrize(
    ("arena", "count"),
    [("local", COUNT), ("s3", 8), pytest.param("s3", COUNT, marks=pytest.mark.slow)],
    indirect=["arena"],
)
def test_all_kinds_at_once(arena: Arena, count: int) -> None:
    """One winner a name, nobody gives up, nothing is lost, and the chain is whole."""
    each, scene = count // 4, arena.scene
    different = [push(scene, f"data/d{i}:1", b"d%d" % i) for i in range(each)]
    same = same_bytes(scene, ["data/same:1"] * each)
    aliases = same_bytes(scene, [f"data/alias{i}:1" for i in range(each)])
    contested = [push(scene, "data/contested:1", b"c%d" % i) for i in range(each)]
    groups = [different, same, aliases, contested]
    commands = [argv for four in zip(*groups, strict=True) for argv in four]
    results = arena.race(commands)
    by_group = [results[i::4] for i in range(4)]
    assert outcomes(by_group[0]) == {"created": each}
    # A second user's word on the same bytes is kept: four users, one `created`.
    assert outcomes(by_group[1])["created"] == 1
    assert set(outcomes(by_group[1])) <= {"created", "added", "unchanged"}
    assert outcomes(by_group[2]) == {"created": each}
    assert outcomes(by_group[3]) == {"created": 1, "exit 12": each - 1}
    assert_agreed(arena, results)


def assert_agreed(arena: Arena, results: Sequence[Finished]) -> None:
    """What was acknowledged is there, at a place of its own, and everybody sees the same."""
    names = arena.names()
    places: list[int] = []
    for done in results:
        if done.code == 0:
            assert names[done.argv[2]] == done.document["artifact"]
            if done.document["entry"] is not None:
                places.append(done.document["entry"])
    assert len(set(places)) == len(places), "two were given the same place in the ledger"
    assert sorted(places) == list(range(1, len(places) + 1))
    assert arena.entries() == len(places) + 1
    for name in names:
        arena.run("verify", name).expect(0)
    log = arena.run("log", "--json").expect(0).out
    for home in arena.homes[1:]:
        assert arena.run("log", "--json", home=home).expect(0).out == log


@pytest.mark.slow
@pytest.mark.parametrize(("arena", "rounds"), [("local", 8), ("s3", 3)], indirect=["arena"])
def test_again_and_again(arena: Arena, rounds: int) -> None:
    results: list[Finished] = []
    for round_ in range(rounds):
        pushes = [push(arena.scene, f"data/r{round_}-{i}:1", b"%d" % i) for i in range(COUNT // 2)]
        pushes += [push(arena.scene, f"data/c{round_}:1", b"%d" % i) for i in range(COUNT // 2)]
        done = arena.race(pushes)
        assert outcomes(done[: COUNT // 2]) == {"created": COUNT // 2}
        assert outcomes(done[COUNT // 2 :]) == {"created": 1, "exit 12": COUNT // 2 - 1}
        results += done
    assert_agreed(arena, results)


def test_the_chain_of_a_local_ledger(scene: Scene) -> None:
    """Followed with nothing of Stemma's: each entry names the SHA-256 of the one before."""
    commands = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(COUNT)]
    children = [scene.zygote.start(scene.seat, *argv, gate=True) for argv in commands]
    for child in children:
        child.go()
    for child in children:
        child.wait(seconds=300).expect(0)
    files = sorted((scene.registry / "ledger").rglob("*.json"))
    assert len(files) == 3 + COUNT
    before = None
    for n, path in enumerate(files):
        data = path.read_bytes()
        entry = json.loads(data)
        assert entry["n"] == n
        assert entry["previous"] == before
        before = f"sha256:{hashlib.sha256(data).hexdigest()}"
