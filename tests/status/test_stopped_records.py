"""Records that are stopped, where the registry is not at hand: the status feed, and dossiers."""

from __future__ import annotations

from pathlib import Path

from stemma_registry.measures import recorded
from stemma_registry.records.children import children
from tests.dossier.test_feed import Fed
from tests.records.scene import indexed, question
from tests.status.scene import FeedScene, stopped, utc
from tests.world import World

BAD = b'{"id": 1, "t": "bad"}\n'


def stop(world: World, later: bool = True) -> str:
    asked = question(world.folder, [{"id": 1, "t": "bad"}]), None
    signer = world.signer("owner")
    _, digest, _ = recorded.stop(
        world.registry, world.trust, signer, asked, "a leak", world.now, later
    )
    return str(digest)


def test_the_feed_alone_stops_what_was_found_and_decides_nothing_else(feed: FeedScene) -> None:
    world = feed.world
    indexed(world, "acme/rows:1", {"a.jsonl": BAD})
    digest = stop(world)
    feed.publish()
    seen = feed.fetch()
    assert "only known where record indexes are" in (seen.view(()).undecided or "")
    assert "acme/rows:1" in stopped(seen)
    world.release(digest)
    stop(world, later=False)
    feed.publish()
    seen = feed.fetch()
    assert seen.view(()).undecided is None
    assert "acme/rows:1" in stopped(seen)


def test_a_dossier_carries_what_indexes_say_of_it(tmp_path: Path) -> None:
    fed = Fed(tmp_path)
    world = fed.scene.world
    with children() as readers:
        indexed(world, "acme/old:1", {"a.jsonl": b"3\n" + BAD}, readers=readers)
        fed.scene.push("acme/model:1", data="acme/old:1")
        before = fed.scene.make("acme/model:1", at=utc())
        digest = stop(world)
        indexed(world, "acme/rows:1", {"a.jsonl": b"1\n2\n"}, readers=readers)
        world.push("acme/bare:1", {"a.jsonl": b"1\n3\n"})
    fed.feed.publish()
    fed.copy()
    assert fed.verify(before) == 11
    fed.scene.push("acme/model:2", data="acme/rows:1")
    fed.scene.push("acme/model:3", data="acme/bare:1")
    looked = {}
    for name in ("acme/model:2", "acme/model:3"):
        path, root = fed.scene.make(name, at=utc()), fed.scene.directory(name)
        verdict = fed.scene.verify(path, root, now=utc())
        looked[name] = any("nobody who is believed" in one for one in verdict.warnings)
    assert looked == {"acme/model:2": False, "acme/model:3": True}
    world.release(digest)
    fed.feed.publish()
    fed.copy()
    assert fed.verify(before) == 0
