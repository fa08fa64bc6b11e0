"""Distrust and waivers where the registry is not at hand: the status feed, and dossiers."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.errors import Undecided
from stemma_attestations.predicates.criterion import Distrusted
from stemma_registry.measures import distrust, waiving
from stemma_registry.measures.waiving import Wish
from stemma_registry.status.documents import CUSTODY, Custody
from tests.dossier.test_feed import Fed
from tests.status.scene import FeedScene, stopped, utc
from tests.world import World


def distrusted(world: World, principal: str, by: str = "owner") -> str:
    of = Distrusted(principal=principal)
    signer = world.signer(by)
    digest, _ = distrust.distrust(world.registry, world.trust, signer, of, "stolen", world.now)
    return str(digest)


@pytest.mark.parametrize("by", ["owner", "x-team"])
def test_an_online_key_cannot_erase_distrust(feed: FeedScene, by: str) -> None:
    feed.world.trust_also("x-team", names=["x/*"])
    digest = distrusted(feed.world, "ci", by)
    feed.publish()
    assert len(feed.fetch().custody.believed) == 1
    feed.publish(change={CUSTODY: Custody().encode()})
    with pytest.raises(Undecided, match="has disappeared"):
        feed.fetch()
    feed.world.release(digest)
    feed.publish()
    assert feed.fetch().custody.believed == ()
    feed.publish(change={CUSTODY: Custody().encode()})
    assert feed.fetch().custody.believed == ()


def test_distrust_by_a_stranger_is_not_passed_on(feed: FeedScene) -> None:
    distrusted(feed.world, "owner", "stranger")
    feed.publish()
    assert feed.custody().bundles == ()


def test_a_release_counts_no_more_when_its_signer_is_distrusted(feed: FeedScene) -> None:
    world = feed.world
    world.trust_also("ci")
    world.push("acme/d:1")
    digest = world.quarantine("acme/d:1")
    world.release(digest, by="ci")
    feed.publish()
    assert stopped(feed.fetch()) == []
    rule = distrusted(world, "ci")
    feed.publish()
    assert "acme/d:1" in stopped(feed.fetch())
    world.release(rule)
    feed.publish()
    assert stopped(feed.fetch()) == []


def test_distrust_reaches_a_dossier_by_the_feed_and_in_it(tmp_path: Path) -> None:
    fed = Fed(tmp_path)
    world = fed.scene.world
    world.trust_also("ops")
    world.push("acme/other:2", {"o": b"o"}, by="ops")
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    distrusted(world, "owner", "ops")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 13
    assert fed.verify(path, None) == 13  # what this machine has seen of the feed it remembers


def test_a_waiver_comes_along_in_a_dossier_and_ends(tmp_path: Path) -> None:
    fed = Fed(tmp_path)
    world = fed.scene.world
    digest = world.quarantine("acme/data:1")
    until = world.now + timedelta(days=2)
    wish = Wish("acme/model:1", digest, until, "looked at")
    waiving.waive(world.registry, world.trust, world.signer("owner"), wish, world.now)
    fed.feed.publish()
    fed.copy()
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    assert fed.verify(path, None, now=until + timedelta(seconds=1)) == 11
