"""Quarantine beside pushes: in every interleaving, what descends from it ends blocked (P4)."""

from __future__ import annotations

import pytest

from tests.concurrency.race import Argv, assert_settled, push, race, users
from tests.faults.scene import QUARANTINE, Scene


def child(scene: Scene, name: str, parent: str) -> Argv:
    return push(scene, name, name.encode(), "--input", f"filtered-from={parent}")


@pytest.mark.parametrize("place", [0, 4, 8], ids=["first", "middle", "last"])
@pytest.mark.parametrize("homes", [1, 3])
def test_descendants_pushed_at_the_same_moment_are_blocked(
    scene: Scene, place: int, homes: int
) -> None:
    commands = [child(scene, f"data/d{i}:1", "data/raw:1") for i in range(8)]
    clean = push(scene, "data/clean:1", b"clean")
    commands.insert(place, QUARANTINE)
    results = race(scene, [*commands, clean], users(scene, homes) if homes > 1 else [])
    for done in results:
        done.expect(0)
    for name in ("data/raw:1", "models/m:1", *(f"data/d{i}:1" for i in range(8))):
        assert scene.verify(name) == 11, name
    assert scene.verify("data/clean:1") == 0
    assert_settled(scene, 3 + 10)


def test_a_verdict_beside_a_quarantine_is_never_later_than_it(scene: Scene) -> None:
    """Whoever asks after the quarantine has returned is refused, whatever else is going on."""
    from tests.concurrency.race import line_up

    pushes = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(6)]
    children = line_up(scene, [*pushes, QUARANTINE])
    for process in children:
        process.go()
    children[-1].wait().expect(0)
    during = race(scene, [("verify", "models/m:1", "--json")] * 6)
    for process in children[:-1]:
        process.wait().expect(0)
    assert [done.code for done in during] == [11] * 6


def test_grandchildren_of_what_is_being_quarantined(scene: Scene) -> None:
    """Both generations arrive while the quarantine is signed."""
    scene.run(*child(scene, "data/son:1", "data/raw:1")).expect(0)
    commands = [child(scene, f"data/g{i}:1", "data/son:1") for i in range(4)]
    commands += [child(scene, f"data/s{i}:1", "data/raw:1") for i in range(4)]
    for done in race(scene, [*commands[:4], QUARANTINE, *commands[4:]]):
        done.expect(0)
    late = child(scene, "data/late:1", "data/g0:1")
    scene.run(*late).expect(0)
    for name in (*(f"data/g{i}:1" for i in range(4)), *(f"data/s{i}:1" for i in range(4))):
        assert scene.verify(name) == 11, name
    assert scene.verify("data/late:1") == 11
    assert_settled(scene)


def test_many_quarantines_of_one_thing_stand_alone(scene: Scene) -> None:
    results = race(scene, [QUARANTINE] * 6)
    digests = [done.expect(0).document["quarantine"] for done in results]
    assert len(set(digests)) == 6
    for left, digest in enumerate(reversed(digests), -5):
        assert scene.verify("models/m:1") == 11
        scene.run("release", digest, "--reason", "good").expect(0)
        assert scene.verify("models/m:1") == (0 if left == 0 else 11)
    assert_settled(scene, 3 + 12)


def test_a_release_beside_a_quarantine_lifts_only_its_own(scene: Scene) -> None:
    first = scene.run(*QUARANTINE).expect(0).document["quarantine"]
    release: Argv = ("release", first, "--reason", "good", "--json")
    results = race(scene, [release, QUARANTINE])
    assert [done.code for done in results] == [0, 0]
    assert scene.verify("models/m:1") == 11
    scene.run("release", results[1].document["quarantine"], "--reason", "good").expect(0)
    assert scene.verify("models/m:1") == 0
    assert_settled(scene)
