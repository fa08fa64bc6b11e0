"""Distrust and waivers where the registry is not at hand: the status feed, and dossiers."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.errors import Undecided
from stemma_attestations.predicates import dossier as dossier_predicate
from stemma_attestations.predicates.criterion import Distrusted
from stemma_registry.measures import distrust, matching, waiving
from stemma_registry.measures.waiving import Wish
from stemma_registry.status.documents import CUSTODY, Custody
from tests.dossier.test_feed import Fed
from tests.stating import bom, say
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


EVIL = "pkg:pypi/evil@1"


def stopped_package(world: World, text: str = EVIL, by: str = "owner") -> str:
    of, signer = matching.packages(text), world.signer(by)
    digest, _ = matching.stop(world.registry, world.trust, signer, of, "evil", world.now)
    return str(digest)


def test_an_online_key_cannot_erase_a_package_and_the_feed_alone_decides_nothing(
    feed: FeedScene,
) -> None:
    stopped_package(feed.world, by="stranger")
    feed.publish()
    assert feed.custody().bundles == ()
    digest = stopped_package(feed.world)
    feed.publish()
    assert "only known where BOMs are" in (feed.fetch().view(()).undecided or "")
    feed.publish(change={CUSTODY: Custody().encode()})
    with pytest.raises(Undecided, match="has disappeared"):
        feed.fetch()
    feed.world.release(digest)
    feed.publish()
    assert feed.fetch().view(()).undecided is None


@pytest.mark.parametrize(("by", "code"), [("owner", 11), ("stranger", 0)])
def test_a_package_reaches_a_dossier_by_the_feed(tmp_path: Path, by: str, code: int) -> None:
    fed = Fed(tmp_path)
    world = fed.scene.world
    say(world, bom(world, "acme/data:1", [EVIL]), by=by)
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    digest = stopped_package(world)
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == code
    assert fed.verify(path, None) == code  # by what this machine remembers of the feed
    world.release(digest)
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 0


def test_a_dossier_without_the_boms_of_ancestors_decides_nothing_of_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fed = Fed(tmp_path)
    build = dossier_predicate.build
    monkeypatch.setattr(dossier_predicate, "build", lambda said: build(replace(said, boms=False)))
    path = fed.scene.make(at=utc())
    monkeypatch.undo()
    assert fed.verify(path) == 0
    stopped_package(fed.scene.world)
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 14
