"""The commands that change something, and what must be true after one of them was cut off.

Every campaign (kills, failing fsyncs, no room, power cuts) runs over this table:
another command is another line.
"""

from __future__ import annotations

import io
import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_registry.blobs.local import LocalStore
from tests.faults.scene import NEW, PUSH_NEW, QUARANTINE, Scene
from tests.tensors import models
from tests.zygote import Finished

PULL = ("pull", "data/raw:1", "out", "--json")
RELEASE = ("release", "data/raw:1", "--reason", "it was good", "--json")
MANY: Mapping[str, bytes] = {
    # More than one thread's share, more than one directory, and one that is written by a
    # thread of its own while it is hashed.
    **{f"shards/{i:02d}.bin": b"shard %d\n" % i for i in range(24)},
    **{f"more/{i}/part.txt": b"part %d\n" % i for i in range(4)},
    "large.bin": b"\x00large\xff" * (9 * 1024 * 1024 // 7),
}
FEED = ("feed", "publish", "--json")
TENSORS = ("tensors", "models/t:1", "--build", "--json")
PUSH_TENSORS = ("push", "tensors", "data/t:1", "--kind", "dataset", "--json")
PUSH_MANY = ("push", "many", "data/many:1", "--kind", "dataset", "--json")


@dataclass(frozen=True)
class Command:
    """What is run, in which state, and what is asked afterwards.

    `check` gets the scene, and whether the command had said, whole, that it was
    done. It runs the command again. `kills`, `syncs` and `fulls` are how many
    points of each campaign `make test` takes; `make test-all` takes all.
    `stores` are the folders of the scene with the stores that are written.
    """

    argv: tuple[str, ...]
    check: Callable[[Scene, bool], None]
    before: Callable[[Scene], None] = lambda scene: None
    kills: int = 8
    syncs: int = 0
    fulls: int = 0
    stores: tuple[str, ...] = ("registry",)


def acknowledged(done: Finished) -> bool:
    """Whether a command said, whole, that it was done."""
    try:
        document = json.loads(done.out)
    except ValueError:
        return False
    return "error" not in document


# push


def pushed(
    scene: Scene, argv: tuple[str, ...], name: str, files: Mapping[str, bytes], done: bool
) -> None:
    """The push is there or not there, was not promised in vain, and can be repeated."""
    scene.assert_whole()
    there = name in scene.names()
    assert there == scene.entry(3).exists(), "the ledger entry is the commit point"
    assert there or not done, "an acknowledged push was lost"
    if there:
        assert scene.verify(name) == 0
    again = scene.run(*argv).expect(0).document
    assert again["outcome"] == ("unchanged" if there else "created")
    assert scene.verify(name) == 0
    assert scene.verify("models/m:1") == 0
    assert scene.names()[name]["artifact"] == again["artifact"]
    assert len(scene.entries()) == 4
    scene.run("pull", name, "pulled").expect(0)
    assert {path: (scene.work / "pulled" / path).read_bytes() for path in files} == files
    shutil.rmtree(scene.work / "pulled")
    scene.assert_whole()


def after_push(scene: Scene, done: bool) -> None:
    pushed(scene, PUSH_NEW, "data/new:1", NEW, done)


def many_before(scene: Scene) -> None:
    scene.write("work/many", MANY)


def after_push_many(scene: Scene, done: bool) -> None:
    pushed(scene, PUSH_MANY, "data/many:1", MANY, done)


# tensors

LAYERS = {"m.safetensors": models.safetensors(models.layers(1, 3))}


def tensors_before(scene: Scene) -> None:
    scene.write("work/tensors", LAYERS)


def after_push_tensors(scene: Scene, done: bool) -> None:
    """What was pushed has its tensors; what was not has none, and gets them."""
    if scene.entry(3).exists():
        assert scene.run("tensors", "data/t:1", "--json").expect(0).document["count"] == 3
    pushed(scene, PUSH_TENSORS, "data/t:1", LAYERS, done)
    assert scene.run("tensors", "data/t:1", "--json").expect(0).document["count"] == 3


def untold_before(scene: Scene) -> None:
    tensors_before(scene)
    push = ("push", "tensors", "models/t:1", "--kind", "model", "--no-tensors")
    scene.run(*push).expect(0)


def after_tensors(scene: Scene, done: bool) -> None:
    scene.assert_whole()
    there = scene.entry(4).exists()
    assert there or not done, "acknowledged tensors were lost"
    assert scene.run("tensors", "models/t:1", "--json").code == (0 if there else 3)
    assert scene.run(*TENSORS).expect(0).document["entry"] == (None if there else 4)
    assert scene.run("similar", "models/t:1", "--json").expect(0).document["tensors"] == 3
    scene.assert_whole()


# custody


def after_quarantine(scene: Scene, done: bool) -> None:
    scene.assert_whole()
    there = scene.entry(3).exists()
    assert there or not done, "an acknowledged quarantine was lost"
    assert {row["quarantined"] for row in scene.names().values()} == {there}
    expected = 11 if there else 0
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (expected, expected)
    scene.run(*QUARANTINE).expect(0)
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (11, 11)
    scene.assert_whole()


def quarantined_before(scene: Scene) -> None:
    scene.run(*QUARANTINE).expect(0)


def after_release(scene: Scene, done: bool) -> None:
    scene.assert_whole()
    there = scene.entry(4).exists()
    assert there or not done, "an acknowledged release was lost"
    assert {row["quarantined"] for row in scene.names().values()} == {not there}
    if not there:
        scene.run(*RELEASE).expect(0)
    assert (scene.verify("data/raw:1"), scene.verify("models/m:1")) == (0, 0)
    scene.assert_whole()


# The status feed.


def feed_before(scene: Scene) -> None:
    """There is a feed, and the ledger has gone on since."""
    scene.run("key", "new", "--out", "root.pem").expect(0)
    scene.run("feed", "init", "--root-key", "key:root.pem", "--out", "ROOT.json").expect(0)
    scene.run(*PUSH_NEW).expect(0)


def fed(scene: Scene) -> tuple[int, bool]:
    """The ledger entry that the feed names, and whether it stops `data/raw:1`; it is whole."""
    scene.run("feed", "trust", "ROOT.json").expect(0)
    found = scene.run("feed", "fetch", "--json").expect(0).document
    return found["entry"], any(one["label"] == "data/raw:1" for one in found["quarantines"])


def after_feed(scene: Scene, done: bool) -> None:
    entry, _ = fed(scene)
    assert entry in (2, 3)
    assert entry == 3 or not done, "an acknowledged feed was lost"
    scene.run("feed", "refresh").expect(0)
    assert fed(scene) == (3, False)
    scene.assert_whole()


def after_quarantine_with_feed(scene: Scene, done: bool) -> None:
    there, (_, stopped) = scene.entry(4).exists(), fed(scene)
    assert there or not (done or stopped)
    assert stopped or not done, "it was acknowledged before the feed said so"
    scene.run("feed", "refresh").expect(0)
    assert fed(scene)[1] == there
    scene.assert_whole()


# pull, rebuild


def after_pull(scene: Scene, done: bool) -> None:
    target = scene.work / "out"
    assert target.exists() or not done
    if not target.exists():
        scene.run(*PULL).expect(0)
    files = {p.name: p.read_bytes() for p in target.iterdir()}
    assert files == {"a.txt": b"raw a\n", "b.txt": b"raw b\n"}
    assert scene.run("verify", "out", "--as", "data/raw:1").code == 0


def after_rebuild(scene: Scene, done: bool) -> None:
    scene.assert_whole()
    assert set(scene.names()) == {"data/raw:1", "models/m:1"}
    assert scene.verify("models/m:1") == 0
    scene.run("rebuild").expect(0)
    assert scene.verify("models/m:1") == 0


# What nothing refers to.


SURPLUS_BYTES = (*NEW.values(), b"surplus 1", b"surplus 2", b"surplus 3")


def surplus(scene: Scene) -> list[Path]:
    """Blobs that nothing refers to, such as an interrupted push leaves; those of `NEW` first."""
    return [scene.blob(str(Digest.of(data))) for data in SURPLUS_BYTES]


def surplus_before(scene: Scene) -> None:
    """Some of them are condemned already, and may be deleted."""
    store = LocalStore(scene.registry)

    def put(blobs: Sequence[bytes]) -> None:
        for data in blobs:
            store.put(io.BytesIO(data), Digest.of(data), len(data))

    put(SURPLUS_BYTES[::2])
    scene.run("gc", "--yes").expect(0)
    time.sleep(1.0 - time.time() % 1.0)  # times in the ledger are whole seconds
    put(SURPLUS_BYTES[1::2])
    assert all(path.exists() for path in surplus(scene))


GC = ("gc", "--yes", "--grace", "0s", "--json")
GROUPS = ("to_condemn", "waiting", "to_delete", "left", "unfinished_erasures")


def collect_all(scene: Scene) -> None:
    """Collect until nothing is left: what was condemned this second is due in the next."""
    for _ in range(4):
        assert scene.run(*GC).expect(0).document["failed"] == []
        plan = scene.run("gc", "--json").expect(0).document
        if not any(plan[group] for group in GROUPS):
            return
        time.sleep(0.4)
    raise AssertionError(plan)


def after_gc(scene: Scene, done: bool) -> None:
    """Nothing that is needed was deleted, and the next collector finishes the work."""
    scene.assert_whole()
    assert scene.verify("models/m:1") == scene.verify("data/raw:1") == 0
    assert not (done and any(path.exists() for path in surplus(scene)[::2])), "it said it had"
    collect_all(scene)
    assert not any(path.exists() for path in surplus(scene))
    scene.assert_whole()
    assert scene.verify("models/m:1") == scene.verify("data/raw:1") == 0
    scene.run(*PUSH_NEW).expect(0)
    assert scene.verify("data/new:1") == 0


def after_gc_push(scene: Scene, done: bool) -> None:
    """A push needs blobs that were being deleted: it stores them again, and they stay."""
    scene.assert_whole()
    scene.run(*PUSH_NEW).expect(0)
    assert scene.verify("data/new:1") == 0
    collect_all(scene)
    assert scene.verify("data/new:1") == scene.verify("models/m:1") == 0
    assert not any(path.exists() for path in surplus(scene)[len(NEW) :])
    scene.assert_whole()


REPLICATE = ("replicate", "../registry", "../replica", "--json")


def ledger_of(scene: Scene, store: str) -> dict[str, bytes]:
    """Path below the ledger -> bytes."""
    root = scene.folder / store / "ledger"
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*.json"))}


def after_replicate(scene: Scene, done: bool) -> None:
    """The copy is a registry from its first entry on, never ahead of its blobs, and is finished."""
    there = ("--registry", "../replica")
    source, copied = ledger_of(scene, "registry"), ledger_of(scene, "replica")
    assert copied.items() <= source.items()
    assert copied == source or not done, "it said that it had copied everything"
    if copied:
        assert scene.run(*there, "audit", "--read-data", "--json").expect(0).document["whole"]
    again = scene.run(*REPLICATE, "--verify").expect(0).document
    assert (again["behind"], again["lost"], again["verified"]) == (0, [], True)
    assert ledger_of(scene, "replica") == source
    scene.run(*there, "verify", "models/m:1").expect(0)
    scene.run(*there, "pull", "data/raw:1", "pulled").expect(0)
    shutil.rmtree(scene.work / "pulled")
    scene.assert_whole()


def replicated_before(scene: Scene) -> None:
    """A copy that is a few entries behind."""
    scene.run(*REPLICATE).expect(0)
    scene.run(*PUSH_NEW).expect(0)
    scene.run(*QUARANTINE).expect(0)
    scene.run(*RELEASE).expect(0)


COMMANDS: Mapping[str, Command] = {
    "push": Command(PUSH_NEW, after_push, kills=28, syncs=12, fulls=12),
    "push many": Command(PUSH_MANY, after_push_many, many_before, kills=8, syncs=6, fulls=6),
    "push tensors": Command(PUSH_TENSORS, after_push_tensors, tensors_before, kills=4),
    "tensors": Command(TENSORS, after_tensors, untold_before, kills=4),
    "quarantine": Command(QUARANTINE, after_quarantine, kills=12, syncs=10, fulls=10),
    "release": Command(RELEASE, after_release, quarantined_before),
    "gc": Command(GC, after_gc, surplus_before, kills=6, syncs=4, fulls=4),
    "gc, then push": Command(GC, after_gc_push, surplus_before, kills=4),
    "replicate": Command(
        REPLICATE, after_replicate, kills=6, syncs=4, fulls=4, stores=("replica",)
    ),
    "replicate more": Command(
        REPLICATE, after_replicate, replicated_before, kills=4, syncs=4, stores=("replica",)
    ),
    "feed publish": Command(FEED, after_feed, feed_before, kills=6),
    "quarantine, with a feed": Command(
        QUARANTINE, after_quarantine_with_feed, feed_before, kills=4
    ),
    "pull": Command(PULL, after_pull),
    "rebuild": Command(("rebuild", "--json"), after_rebuild),
}
