"""The catalogue is dropped and rebuilt under everybody's feet, and no answer is wrong."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Sequence

import pytest

from tests.concurrency.race import Argv, assert_settled, line_up, push, race
from tests.faults.scene import QUARANTINE, Scene, one_line
from tests.zygote import Finished

READERS: Sequence[Argv] = (
    ("verify", "models/m:1", "--json"),
    ("list", "--json"),
    ("trace", "data/raw:1", "--json"),
    ("audit", "--json"),
)


def test_rebuilding_beside_pushers_and_readers(scene: Scene) -> None:
    """`stemma rebuild` is an ordinary command: beside it everything succeeds."""
    pushes = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(8)]
    rebuilds: list[Argv] = [("rebuild", "--json")] * 4
    results = race(scene, [*pushes[:4], *rebuilds, *READERS, *pushes[4:]])
    for done in results:
        done.expect(0)
    listed = [done.document for done in results if done.argv[0] == "list"]
    for names in listed:
        assert {"data/raw", "models/m"} <= {row["name"] for row in names}
    assert len(scene.names()) == 2 + 8
    assert_settled(scene, 3 + 8)


def test_sixteen_rebuilds_at_once(scene: Scene) -> None:
    for done in race(scene, [("rebuild", "--json")] * 16):
        assert done.expect(0).document["entries"] == 3
    assert_settled(scene, 3)


def test_a_verdict_beside_a_rebuild_is_the_right_one(scene: Scene) -> None:
    """A catalogue that is half rebuilt must not have forgotten the quarantine."""
    for i in range(12):
        scene.run(*push(scene, f"data/n{i}:1", b"%d" % i)).expect(0)
    scene.run(*QUARANTINE).expect(0)
    verify: Argv = ("verify", "models/m:1", "--json")
    pull: Argv = ("pull", "models/m:1", "out", "--json")
    for _ in range(3):
        results = race(scene, [verify, ("rebuild",), verify, pull, ("rebuild",), verify, verify])
        for done in results:
            done.expect(0 if done.argv[0] == "rebuild" else 11)
    assert not (scene.work / "out").exists()


@pytest.mark.parametrize("lock", ["BEGIN", "BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_first_reader_waits_for_another_that_is_making_the_catalogue(
    scene: Scene, lock: str
) -> None:
    """It holds a lock of each kind on a database that is not in WAL mode yet."""
    scene.catalogue.unlink()
    with contextlib.closing(sqlite3.connect(scene.catalogue, isolation_level=None)) as other:
        other.execute("CREATE TABLE t (c)")
        other.execute("DROP TABLE t")
        other.execute(lock)
        other.execute("SELECT * FROM sqlite_master").fetchall()
        child = scene.zygote.start(scene.seat, "list", "--json")
        time.sleep(0.3)
        other.execute("COMMIT")
    assert len(child.wait().expect(0).document) == 2


@pytest.mark.parametrize("quarantined", [False, True], ids=["clean", "quarantined"])
def test_files_that_are_deleted_under_readers_and_writers(scene: Scene, quarantined: bool) -> None:
    """Somebody runs rm. An answer may then be missing (14), never wrong, and no push is lost."""
    if quarantined:
        scene.run(*QUARANTINE).expect(0)
    pushes = [push(scene, f"data/n{i}:1", b"%d" % i) for i in range(8)]
    children = line_up(scene, [*pushes[:4], *READERS, *pushes[4:], *READERS])
    for child in children:
        child.go()
    for _ in range(12):
        for suffix in ("", "-wal", "-shm"):
            scene.catalogue.with_name(scene.catalogue.name + suffix).unlink(missing_ok=True)
        time.sleep(0.05)
    results = [child.wait() for child in children]
    scene.run("rebuild").expect(0)
    there = scene.names()
    for done in results:
        judge(done, there.keys(), 11 if quarantined else 0)
    for argv in pushes:
        scene.run(*argv).expect(0)
    assert len(scene.names()) == 2 + 8
    assert scene.verify("models/m:1") == (11 if quarantined else 0)
    assert_settled(scene, 3 + 8 + quarantined)


def judge(done: Finished, there: object, verdict: int) -> None:
    """The answer is right, or it is missing."""
    if done.code == 14:
        one_line(done)
        return
    if done.argv[0] == "verify":
        done.expect(verdict)
        return
    done.expect(0)
    if done.argv[0] == "push":
        assert done.argv[2] in there  # type: ignore[operator]
    elif done.argv[0] == "list":
        assert {"data/raw", "models/m"} <= {row["name"] for row in done.document}
