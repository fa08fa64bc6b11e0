"""What a gate believes of a feed, and what it refuses: always with exit code 14."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, Undecided
from stemma_attestations.predicates import status as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken, Refused
from stemma_registry.status import offline, reader
from stemma_registry.status.documents import CUSTODY, FOLDER, HEAD, Custody, FeedHead
from stemma_registry.status.judging import Reached
from stemma_registry.status.metadata import Keys
from stemma_registry.status.publish import TIMESTAMP
from stemma_registry.status.reader import Status
from stemma_registry.trust import file as trust_file
from tests.status.scene import FeedScene, quarantine, release, stopped, utc
from tests.world import new_signer


def objects(feed: FeedScene) -> dict[str, bytes]:
    store = feed.store
    assert isinstance(store, MemoryStore)
    return store.objects


def refused(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(Undecided) as caught:
        action()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_feed_says_where_the_ledger_ends_and_how_old_it_is(feed: FeedScene) -> None:
    status = feed.fetch(max_age=timedelta(minutes=1))
    head = feed.world.registry.catalogue.catch_up()
    assert (status.head.n, status.head.entry) == (head.n, head.entry)
    assert status.checkpoint_by == "owner"
    assert status.age(utc()) < timedelta(seconds=30)
    assert stopped(status) == []


def test_a_quarantine_and_its_release(feed: FeedScene) -> None:
    digest = feed.world.quarantine("acme/d:1")
    feed.publish()
    status = feed.fetch()
    assert "acme/d:1" in stopped(status)
    assert {str(said.statement) for said in status.custody.believed} == {digest}
    feed.world.release("acme/d:1")
    feed.publish()
    assert stopped(feed.fetch()) == []
    feed.fetch("a gate that comes later")


def test_too_old_is_not_known(feed: FeedScene) -> None:
    soon = utc() + timedelta(minutes=10)
    assert feed.fetch(now=soon).age(soon) > timedelta(minutes=9)
    refused(lambda: feed.fetch(now=soon, max_age=timedelta(minutes=5)), "10m old", "at most 5m")


# Freeze: an old timestamp, whole and signed, and nothing newer.


def test_an_expired_timestamp_by_the_time_of_the_question(feed: FeedScene) -> None:
    feed.fetch()
    refused(lambda: feed.fetch(now=utc() + timedelta(minutes=16)), "expired", "timestamp")


def test_an_expired_timestamp_by_the_clock_of_the_machine(feed: FeedScene) -> None:
    feed.publish(at=utc() - timedelta(minutes=20), always=True)
    refused(lambda: feed.fetch("new gate"), "expired")
    refused(lambda: feed.fetch("new gate", now=utc() - timedelta(minutes=19)), "expired")


def test_a_timestamp_from_the_future(feed: FeedScene) -> None:
    feed.publish(at=utc() + timedelta(minutes=10), always=True)
    refused(feed.fetch, "still to come")


def test_withholding_a_quarantine_is_seen_when_the_age_runs_out(feed: FeedScene) -> None:
    before = dict(objects(feed))
    feed.world.quarantine("acme/d:1")
    feed.publish()
    objects(feed).clear()
    objects(feed).update(before)
    later = utc() + timedelta(minutes=6)
    refused(lambda: feed.fetch(now=later, max_age=timedelta(minutes=5)), "old")


# Rollback, mix-and-match.


def test_older_files_are_refused_once_newer_ones_were_seen(feed: FeedScene) -> None:
    before = dict(objects(feed))
    feed.world.quarantine("acme/d:1")
    feed.publish()
    feed.fetch()
    after = dict(objects(feed))
    objects(feed)[TIMESTAMP] = before[TIMESTAMP]
    refused(feed.fetch, "feed")
    objects(feed).clear()
    objects(feed).update(before)
    refused(feed.fetch, "feed")
    objects(feed).update(after)
    assert "acme/d:1" in stopped(feed.fetch())


def test_an_old_snapshot_under_a_new_timestamp(feed: FeedScene) -> None:
    first = dict(objects(feed))
    feed.world.quarantine("acme/d:1")
    feed.publish()
    old = next(k for k in first if k.endswith(".snapshot.json"))
    new = next(k for k in objects(feed) if k.endswith(".snapshot.json") and k not in first)
    objects(feed)[new] = first[old]
    refused(lambda: feed.fetch("new gate"), "feed")


def test_targets_of_one_version_with_the_snapshot_of_another(feed: FeedScene) -> None:
    first = dict(objects(feed))
    feed.world.quarantine("acme/d:1")
    feed.publish()
    old = next(k for k in first if k.endswith(".targets.json"))
    new = next(k for k in objects(feed) if k.endswith(".targets.json") and k not in first)
    objects(feed)[new] = first[old]
    refused(lambda: feed.fetch("new gate"), "feed")


def test_a_target_file_with_other_bytes(feed: FeedScene) -> None:
    key = next(k for k in objects(feed) if k.endswith(f".{CUSTODY}"))
    objects(feed)[key] = objects(feed)[key].replace(b"[]", b"{}")
    refused(lambda: feed.fetch("new gate"), "feed")
    del objects(feed)[key]
    refused(lambda: feed.fetch("new gate"), "feed")


def test_junk_and_nothing_in_the_place_of_each_file(feed: FeedScene) -> None:
    gates = (f"gate {n}" for n in range(1000))  # which have kept nothing
    for key in [k for k in objects(feed) if k.startswith(FOLDER)]:
        whole = objects(feed)[key]
        if key.endswith("1.root.json"):
            continue  # every gate has that
        for junk in (b"", b"{}", b"\xff" * 100, whole[:-10], whole * 2, None):
            if junk is None:
                del objects(feed)[key]
            else:
                objects(feed)[key] = junk
            refused(lambda: feed.fetch(next(gates)), "feed")
        objects(feed)[key] = whole
    feed.fetch(next(gates))


# Keys.


def test_the_feed_of_another_root(feed: FeedScene) -> None:
    other = FeedScene(feed.folder / "other")
    refused(lambda: feed.fetch("new gate", root=other.root), "feed")


def test_a_changed_root_is_not_pinned(feed: FeedScene) -> None:
    for wrong in (b"{}", b"x", feed.root.replace(b'"threshold":2', b'"threshold":1')):
        with pytest.raises(Malformed):
            feed.pin("new gate", wrong)


@pytest.mark.parametrize("role", ["targets", "timestamp"])
def test_a_key_signs_for_its_role_only(
    feed: FeedScene, role: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "may_sign", lambda root, keys: None)
    online = feed.keys.online
    assert online is not None
    wrong = Keys(feed.keys.timestamp, feed.keys.timestamp)
    if role == "timestamp":
        wrong = Keys(online, online)
    feed.publish(wrong, always=True)
    refused(lambda: feed.fetch("new gate"), "signed by 0/1 keys")


def test_ours_refuses_to_sign_with_a_key_that_nobody_would_believe(feed: FeedScene) -> None:
    for wrong in (
        Keys(feed.keys.timestamp, feed.keys.timestamp),
        Keys(feed.keys.online, new_signer()),
    ):
        with pytest.raises(Refused, match="is not the feed's key"):
            feed.publish(wrong, always=True)


# What an online key cannot do.


def test_an_online_key_cannot_erase_a_quarantine(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1")
    feed.publish()
    empty = {CUSTODY: Custody().encode()}
    feed.fetch()
    feed.publish(change=empty)
    refused(feed.fetch, "an online key cannot erase a quarantine", "acme/d:1")
    refused(feed.fetch, "an online key cannot erase a quarantine")
    # Whoever never saw it cannot miss it: what the ledger says is then the only word.
    assert stopped(feed.fetch("new gate")) == []
    feed.publish()
    assert "acme/d:1" in stopped(feed.fetch())


def test_nor_while_a_gate_asks_under_another_trust_root(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1")
    feed.publish()
    feed.fetch()
    feed.publish(change={CUSTODY: Custody().encode()})
    assert stopped(feed.fetch(trust=trust_file.NOBODY)) == []
    refused(feed.fetch, "an online key cannot erase a quarantine")


def test_nor_with_a_release_by_somebody_who_may_not(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1")
    feed.publish()
    (said, *_) = feed.fetch().custody.believed
    stranger = feed.world.signer("stranger")
    forged = release(stranger, [said.statement], "acme/d:1")
    custody = feed.custody()
    for bundles in ((forged,), (*custody.bundles, forged)):
        keys = (*custody.keys, stranger.public.der)
        feed.publish(change={CUSTODY: Custody.of(bundles, keys).encode()})
        if len(bundles) == 1:
            refused(feed.fetch, "has disappeared")
        else:
            assert "acme/d:1" in stopped(feed.fetch())


def test_a_release_that_is_believed_lifts_it_for_ever(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1")
    feed.publish()
    feed.fetch()
    feed.world.release("acme/d:1")
    feed.publish()
    assert stopped(feed.fetch()) == []
    feed.publish(change={CUSTODY: Custody().encode()})
    assert stopped(feed.fetch()) == []


def test_a_forged_quarantine_stops_nobody(feed: FeedScene) -> None:
    stranger = feed.world.signer("stranger")
    feed.world.trust_also("other", names=("x/**",))
    artifact = feed.world.push("acme/e:1").artifact
    forged = [
        quarantine(stranger, (artifact, "acme/e:1")),
        quarantine(feed.world.signer("other"), (artifact, "acme/e:1")),
        quarantine(feed.world.signer("other"), (artifact, "x/e:1")),
    ]
    broken = quarantine(feed.world.signer("owner"), (artifact, "acme/e:1")).replace(b"A", b"B", 1)
    custody = Custody.of([*forged, broken], [stranger.public.der])
    feed.publish(change={CUSTODY: custody.encode()})
    status = feed.fetch()
    seen = status.view((Reached(artifact, "acme/e"),))
    assert seen.stops == ()
    assert len(seen.suspects) == 3
    assert status.custody.refused == 1
    # Under the name that he may speak about it does stop.
    assert len(status.view((Reached(artifact, "x/e"),)).stops) == 1


def test_what_strangers_put_into_the_ledger_is_not_passed_on(feed: FeedScene) -> None:
    feed.world.quarantine("acme/d:1", by="stranger")
    feed.publish()
    assert feed.custody().bundles == ()


def test_a_status_that_only_a_newer_version_understands(feed: FeedScene) -> None:
    digest = Digest.of(b"x")
    said = {"action": "distrust", "reason": "x", "issuedAt": "2026-11-21T12:00:00Z"}
    statement = Statement.build(
        [ResourceDescriptor(name="acme/d:1", digests=(digest,))], predicate.TYPE, said
    )
    for signer, undecided in (("stranger", False), ("owner", True)):
        holder = feed.world.signer(signer)
        custody = Custody.of([holder.sign(statement).raw], [holder.public.der])
        feed.publish(change={CUSTODY: custody.encode()})
        assert bool(feed.fetch().view(()).undecided) == undecided


def test_a_target_that_only_a_newer_version_understands(feed: FeedScene) -> None:
    feed.publish(change={"distrust.json": b"{}"})
    refused(feed.fetch, "distrust.json", "newer stemma")


def test_a_head_that_goes_back(feed: FeedScene) -> None:
    status = feed.fetch()
    before = FeedHead(0, Digest.of(b"0"), "0" * 64, "2026-11-21T12:00:00Z")
    other = FeedHead(status.head.n, Digest.of(b"0"), "0" * 64, "2026-11-21T12:00:00Z")
    for head in (before, other):
        feed.publish(change={HEAD: head.encode()})
        refused(feed.fetch, "rewound or replaced")


def test_a_checkpoint_that_says_something_else(feed: FeedScene) -> None:
    status = feed.fetch()
    changed = replace(status.head, n=0, entry=Digest.of(b"0"))
    feed.publish(change={HEAD: changed.encode()})
    refused(lambda: feed.fetch("new gate"), "checkpoint")


def test_nothing_is_published_of_a_ledger_that_was_replaced(feed: FeedScene) -> None:
    head = FeedHead(1, Digest.of(b"another"), "0" * 64, "2026-11-21T12:00:00Z")
    feed.publish(change={HEAD: head.encode()})
    with pytest.raises(LedgerBroken, match="rewound or replaced"):
        feed.publish()


# What descends: the function that the gate asks.


def test_stops_by_ancestor_and_by_file(feed: FeedScene) -> None:
    artifact = feed.world.push("acme/m:1", {"w.bin": b"w"}, kind="model").artifact
    feed.world.quarantine("acme/d:1")
    feed.publish()
    status = feed.fetch()
    (said, *_) = status.custody.believed
    target = said.targets[0].digest
    blob = Digest.of(b"acme/d:1")
    up = Reached(target, "acme/d", ("  trained-on acme/d:1",))
    view = status.view((Reached(artifact, "acme/m"), up))
    assert [stop.path for stop in view.stops] == [up.path]
    inside = status.view((Reached(artifact, "acme/m"), Reached(blob, "acme/m", file="a.txt")))
    assert [stop.target for stop in inside.stops] == [f"a.txt ({blob.short})"]
    assert status.view((Reached(artifact, "acme/m"),)).stops == ()
    assert view.entry == status.head.n


def test_a_thousand_quarantines(feed: FeedScene) -> None:
    signer = feed.world.signer("owner")
    bundles = [
        quarantine(signer, (Digest.of(b"%d" % i), f"acme/d{i}:1"), nonce=str(i))
        for i in range(1000)
    ]
    custody = Custody.of(bundles, [signer.public.der])
    feed.publish(change={CUSTODY: custody.encode()})
    begun = time.process_time()
    assert len(stopped(feed.fetch())) == 1000
    assert len(stopped(feed.fetch())) == 1000
    assert time.process_time() - begun < 10
    assert len(custody.encode()) < 2_000_000


def test_the_target_files_are_canonical(feed: FeedScene) -> None:
    for name in (HEAD, CUSTODY):
        raw = next(v for k, v in objects(feed).items() if k.endswith(f".{name}"))
        assert canonical.dumps(json.loads(raw)) == raw


# What was read last.


def test_what_was_read_last_counts_until_it_is_too_old(feed: FeedScene) -> None:
    def recall(**options: Any) -> Status:
        now = options.pop("now", utc())
        return reader.recall(feed.pin(), feed.world.trust, {}, now, **options)

    refused(recall, "never read here")
    feed.world.quarantine("acme/d:1")
    feed.publish()
    feed.fetch()
    objects(feed).clear()
    assert "acme/d:1" in stopped(recall(max_age=timedelta(minutes=1)))
    refused(lambda: recall(now=utc() + timedelta(minutes=5), max_age=timedelta(minutes=1)), "old")
    refused(lambda: recall(now=utc() + timedelta(minutes=16)), "expired")
    kept = feed.pin().folder / "targets" / CUSTODY
    kept.write_bytes(kept.read_bytes().replace(b"e", b"f"))
    refused(recall, "SHA-256")
