"""What a gate remembers of a feed, and what the holder of an online key cannot make it forget."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from stemma_attestations.digest import Digest
from stemma_attestations.times import Dated
from stemma_registry.status.documents import CUSTODY, Custody
from stemma_registry.status.judging import Reached
from tests.status.scene import FeedScene, stopped
from tests.status.test_reader import refused


def test_the_same_statement_signed_by_somebody_else_is_not_it(feed: FeedScene) -> None:
    feed.world.trust_also("x-team", names=("acme/*",))
    feed.world.quarantine("acme/d:1")
    feed.publish()
    (said, *_) = feed.fetch().custody.believed
    payload = said.bundle.verify(feed.world.signer("owner").public)
    for who in ("stranger", "x-team"):  # of whom one may speak about fewer names
        again = feed.world.signer(who).sign(payload).raw
        custody = Custody.of([again], [feed.world.signer(who).public.der])
        feed.publish(change={CUSTODY: custody.encode()})
        refused(feed.fetch, "an online key cannot erase a quarantine", "acme/d:1")


def test_a_signer_whom_the_trust_root_drops_is_not_missed(feed: FeedScene) -> None:
    feed.world.trust_also("team", names=("acme/*",))
    feed.world.quarantine("acme/d:1", by="team")
    feed.publish()
    before = feed.world.trust
    assert stopped(feed.fetch()) != []
    feed.publish(change={CUSTODY: Custody().encode()})
    left = tuple(one for one in before.signers if one.principal != "team")
    assert stopped(feed.fetch(trust=replace(before, signers=left))) == []
    refused(feed.fetch, "has disappeared")  # where he is believed, it is


def test_who_may_release_one_name_does_not_release_another(feed: FeedScene) -> None:
    feed.world.trust_also("x-team", names=("x/*",))
    artifact = feed.world.push("x/foo:1", {"w": b"same"}).artifact
    feed.world.push("prod/y:1", {"w": b"same"})
    feed.world.quarantine("x/foo:1")
    feed.world.release("x/foo:1", by="x-team")
    feed.publish()
    status = feed.fetch()
    assert len(status.view((Reached(artifact, "prod/y"),)).stops) == 1
    assert status.view((Reached(artifact, "x/foo"),)).stops == ()
    # The gate has kept it: it cannot be erased because somebody released a part.
    feed.publish(change={CUSTODY: Custody().encode()})
    refused(feed.fetch, "has disappeared")
    feed.world.release("x/foo:1")
    feed.publish()
    assert feed.fetch().view((Reached(artifact, "prod/y"),)).stops == ()


def test_a_statement_without_the_time_that_it_counts_by_is_not_it(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1")
    feed.publish()
    judged, root = feed.fetch().custody, Digest.of(b"a root")
    (said,) = judged.standing
    revoked = tuple(replace(one, revoked=feed.world.now) for one in judged.trust.signers)
    trust = replace(judged.trust, signers=revoked, time=(root,))
    dated = replace(said, signed=(Dated(feed.world.now - timedelta(days=1), root),))
    stripped = replace(judged, trust=trust, standing=(said,))
    proven = replace(judged, trust=trust, standing=(dated,))
    assert (len(stripped.believed), len(proven.believed)) == (0, 1)
    assert stripped.lost(proven) == (dated, dated.targets[0])
    assert proven.lost(proven) is None
    assert proven.lost(stripped) is None
