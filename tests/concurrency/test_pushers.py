"""Two and sixteen pushers at once, processes all: names, bytes, parents, first uses."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter

import pytest

from tests.concurrency.race import assert_settled, line_up, push, race, users
from tests.faults.scene import Scene, one_line
from tests.zygote import Finished

HERE = 3  # entries in the scene


def outcomes(results: list[Finished]) -> Counter[str]:
    """How often each outcome; an error is counted by its exit code."""
    found: Counter[str] = Counter()
    for done in results:
        if done.code == 0:
            found[done.document["outcome"]] += 1
        else:
            one_line(done)
            found[f"exit {done.code}"] += 1
    return found


@pytest.mark.parametrize("homes", [1, 4])
@pytest.mark.parametrize("count", [2, 16])
def test_different_names(scene: Scene, count: int, homes: int) -> None:
    seats = users(scene, homes) if homes > 1 else []
    pushes = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(count)]
    results = race(scene, pushes, seats)
    assert outcomes(results) == {"created": count}
    entries = [done.document["entry"] for done in results]
    assert sorted(entries) == list(range(HERE, HERE + count))
    listed = scene.names()
    for i, done in enumerate(results):
        assert listed[f"data/n{i}:1"]["artifact"] == done.document["artifact"]
        assert scene.verify(f"data/n{i}:1") == 0
    assert_settled(scene, HERE + count)


@pytest.mark.parametrize("count", [2, 16])
def test_the_same_name_with_the_same_bytes(scene: Scene, count: int) -> None:
    """One creates, the others find it done, and none of them fails."""
    argv = push(scene, "data/same:1", b"same")
    results = race(scene, [argv] * count)
    assert outcomes(results) == Counter(created=1, unchanged=count - 1)
    assert len({done.document["artifact"] for done in results}) == 1
    assert scene.verify("data/same:1") == 0
    assert_settled(scene, HERE + 1)


@pytest.mark.parametrize("homes", [1, 4])
@pytest.mark.parametrize("count", [2, 16])
def test_the_same_name_with_different_bytes(scene: Scene, count: int, homes: int) -> None:
    """Exactly one wins; the others are told that the bytes differ."""
    seats = users(scene, homes) if homes > 1 else []
    pushes = [push(scene, "data/same:1", b"%d" % i) for i in range(count)]
    results = race(scene, pushes, seats)
    assert outcomes(results) == {"created": 1, "exit 12": count - 1}
    (winner,) = [done for done in results if done.code == 0]
    assert scene.names()["data/same:1"]["artifact"] == winner.document["artifact"]
    assert scene.verify("data/same:1") == 0
    assert_settled(scene, HERE + 1)


def test_the_same_bytes_with_different_parents(scene: Scene) -> None:
    """No parent is lost: one creates, the others add."""
    count = 12
    folder = push(scene, "data/child:1", b"child")
    for i in range(count):
        scene.run(*push(scene, f"data/parent{i}:1", b"%d" % i)).expect(0)
    pushes = [
        (*folder, "--input", f"derived-from=data/parent{i}:1", "--param", f"rule={i}")
        for i in range(count)
    ]
    assert outcomes(race(scene, pushes)) == Counter(created=1, added=count - 1)
    shown = scene.run("show", "data/child:1", "--json").expect(0).document
    parents = {edge["label"] for edge in shown["inputs"] if edge["relation"] == "derived-from"}
    assert parents == {f"data/parent{i}:1" for i in range(count)}
    assert_settled(scene, HERE + 2 * count)


def test_different_users_say_the_same_about_the_same_bytes(scene: Scene) -> None:
    """Each word is kept, because each is signed by somebody else."""
    argv = push(scene, "data/same:1", b"same")
    results = race(scene, [argv] * 8, users(scene, 8))
    assert outcomes(results) == Counter(created=1, added=7)
    assert scene.verify("data/same:1") == 0
    assert_settled(scene, HERE + 8)


def test_a_chain_is_pushed_while_it_grows(scene: Scene) -> None:
    """Children name parents that are pushed at the same moment: there, or refused."""
    pushes = [push(scene, "data/c0:1", b"0")]
    for i in range(1, 8):
        parent = f"derived-from=data/c{i - 1}:1"
        pushes.append(push(scene, f"data/c{i}:1", b"%d" % i, "--input", parent))
    results = race(scene, pushes)
    assert results[0].code == 0
    there = scene.names()
    for i, done in enumerate(results):
        done.expect(0, 3)
        assert (f"data/c{i}:1" in there) == (done.code == 0)
        if done.code == 0 and i:
            assert f"data/c{i - 1}:1" in there
    assert_settled(scene)


def test_sixteen_first_readers_make_one_catalogue(template: Scene, scene: Scene) -> None:
    """The catalogue is not there yet, and all of them find that out at once."""
    for round_ in range(3):
        fresh = template.copy(scene.folder / f"fresh{round_}")
        fresh.catalogue.unlink()
        results = race(fresh, [("list", "--json")] * 16)
        assert {done.expect(0).out for done in results} == {results[0].out}
        assert len(results[0].document) == 2


def test_of_many_that_make_a_registry_one_does(scene: Scene) -> None:
    """With a fresh home: key and trust root are made once too, and fit each other."""
    home, place = scene.folder / "new-home", scene.folder / "new"
    results = race(scene, [("--registry", str(place), "init", "--json")] * 8, [home])
    assert [done.code for done in results].count(0) == 1
    for done in results:
        if done.code:
            one_line(done)
    mine = {"STEMMA_HOME": str(home), "STEMMA_REGISTRY": str(place)}
    scene.run(*push(scene, "data/first:1", b"first"), environment=mine).expect(0)
    scene.run("verify", "data/first:1", environment=mine).expect(0)
    scene.run("audit", "--read-data", environment=mine).expect(0)


def test_pushers_that_are_killed_hinder_nobody(scene: Scene) -> None:
    import os
    import signal
    import time

    pushes = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(16)]
    children = line_up(scene, pushes)
    for child in children:
        child.go()
    for child in children[::4]:
        time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
    results = [child.wait() for child in children]
    there = scene.names()
    for i, done in enumerate(results):
        if i % 4:
            done.expect(0)
        if done.code == 0:
            assert f"data/n{i}:1" in there
        else:
            assert done.code == -9
    for argv in pushes:
        scene.run(*argv).expect(0)
    assert len(scene.names()) == 2 + 16
    scene.assert_whole()
    assert len(scene.entries()) == HERE + 16


def test_two_ordinary_processes(scene: Scene) -> None:
    """The same without the zygote: interpreters that start from nothing."""
    pushes = [push(scene, "data/one:1", b"1"), push(scene, "data/two:1", b"2")]
    pushes += [push(scene, "data/same:1", b"3"), push(scene, "data/same:1", b"4")]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "stemma_cli.main", *argv, "--record-index", "off"],
            cwd=scene.work,
            env=scene.seat.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for argv in pushes
    ]
    results = []
    for argv, process in zip(pushes, processes, strict=True):
        out, err = process.communicate(timeout=120)
        results.append(Finished(argv, process.returncode, out, err))
    assert outcomes(results[:2]) == {"created": 2}
    assert outcomes(results[2:]) == {"created": 1, "exit 12": 1}
    assert_settled(scene, HERE + 3)
