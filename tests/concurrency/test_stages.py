"""Promotions at the same moment, by real processes: one wins, and the others are told."""

from __future__ import annotations

from tests.concurrency.race import Argv, assert_settled, race, users
from tests.faults.scene import QUARANTINE, Scene


def versions(scene: Scene, count: int) -> None:
    for n in range(2, count + 1):
        scene.write(f"work/v{n}", {"w.bin": b"weights %d" % n})
        scene.run("push", f"v{n}", f"models/m:{n}", "--kind", "model").expect(0)


def promotion(n: int) -> Argv:
    return ("promote", f"models/m:{n}", "prod", "--json")


def test_promotions_at_once_follow_each_other_or_are_refused(scene: Scene) -> None:
    versions(scene, 4)
    homes = users(scene, 2)
    there, changes = None, 0
    for _ in range(2):
        results = race(scene, [promotion(n) for n in (1, 2, 3, 4)], homes)
        won = [done.document for done in results if done.code == 0]
        for done in results:
            if done.code != 0:
                error = done.document["error"]
                assert (done.code, error["kind"]) == (1, "Overtaken")
                assert "came first: models/m#prod is models/m:" in error["message"]
        assert won
        # Every one that won superseded exactly what was there at its place in the ledger.
        for document in sorted((d for d in won if d["entry"]), key=lambda d: d["entry"]):
            before = document["before"]
            assert (before["version"] if before else None) == there
            there = document["version"]
            changes += 1
    rows = scene.run("stages", "models/m", "--json").expect(0).document
    assert [row["version"] for row in rows] == [there]
    said = scene.run("stages", "models/m", "--history", "--json").expect(0).document
    assert [row["counts"] for row in said] == [True] * changes, "losers left nothing behind"
    assert_settled(scene)


def test_a_promotion_beside_a_quarantine(scene: Scene) -> None:
    """Whichever comes first, the stage never names what was stopped before it was promoted."""
    done, stop = race(scene, [promotion(1), QUARANTINE])
    stop.expect(0)
    assert done.code in (0, 11)
    assert scene.verify("models/m#prod") == (11 if done.code == 0 else 3)
    (stopped,) = (
        row for row in scene.run("log", "--json").expect(0).document if row["what"] == "quarantine"
    )
    if done.code == 0:
        assert done.document["entry"] < stopped["n"]
    assert_settled(scene)
