"""Root keys: thresholds, rotation, and roots that nobody should follow."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.errors import BadKey, Malformed, Undecided
from stemma_registry.errors import AlreadyThere, Damaged, Refused
from stemma_registry.signing import KeySigner
from stemma_registry.status import offline
from stemma_registry.status.documents import FOLDER
from stemma_registry.status.metadata import Keys, Lifetimes, tuf_key
from tests.status.scene import FeedScene, utc
from tests.world import new_signer


def rotate(feed: FeedScene, signers: list[KeySigner], change: offline.Change) -> bytes:
    return offline.rotate(feed.store, signers, change, utc(), Lifetimes())


def test_there_is_one_feed_beside_a_ledger(feed: FeedScene) -> None:
    with pytest.raises(AlreadyThere):
        feed.initialise()
    with pytest.raises(AlreadyThere):
        offline.refuse_another(feed.store)


def test_a_threshold_must_be_met_at_once(tmp_path: Path) -> None:
    feed = FeedScene(tmp_path)
    feed.store.remove(f"{FOLDER}1.root.json")
    feed.roots = feed.roots[:1]
    with pytest.raises(Refused, match="not possible"):
        feed.initialise()


def test_a_root_key_is_no_online_key(tmp_path: Path) -> None:
    feed = FeedScene(tmp_path)
    feed.store.remove(f"{FOLDER}1.root.json")
    feed.keys = Keys(feed.roots[0], new_signer())
    with pytest.raises(Refused, match="keep it offline"):
        feed.initialise()


def test_a_root_key_is_replaced_and_gates_follow(feed: FeedScene) -> None:
    feed.fetch()
    one, two, three = feed.roots
    fresh = new_signer()
    gone = tuf_key(three.public).keyid
    rotate(feed, [one, two, fresh], offline.Change([fresh.public], [gone]))
    assert feed.fetch().versions["root"] == 2
    assert feed.fetch("new gate").versions["root"] == 2
    # The old key counts for nothing any more.
    with pytest.raises(Refused, match="no root key"):
        rotate(feed, [one, three], offline.Change(threshold=1))
    rotate(feed, [one, fresh], offline.Change(threshold=1))
    assert feed.fetch().versions["root"] == 3


def test_with_too_few_old_keys_nothing_is_changed(feed: FeedScene) -> None:
    fresh = [new_signer(), new_signer()]
    change = offline.Change([signer.public for signer in fresh])
    with pytest.raises(Refused, match="the old root asks for 2 signatures of its keys, and 1"):
        rotate(feed, [feed.roots[0], *fresh], change)
    removed = [tuf_key(signer.public).keyid for signer in feed.roots[:2]]
    with pytest.raises(Refused, match="the new root asks for 2"):
        rotate(feed, feed.roots[:2], offline.Change(change.add, removed))
    with pytest.raises(Malformed, match="names no root key"):
        rotate(feed, feed.roots[:2], offline.Change(remove=["0" * 12]))
    assert offline.newest(feed.store)[0].signed.version == 1


def test_gates_do_not_follow_a_root_that_the_old_keys_did_not_sign(feed: FeedScene) -> None:
    """All old keys are lost, and somebody makes a new root without them."""
    feed.fetch()
    other = FeedScene(feed.folder / "other")
    forged = offline.rotate(other.store, other.roots, offline.Change(), utc(), Lifetimes())
    feed.store.create(f"{FOLDER}2.root.json", forged)
    for gate in ("gate", "new gate"):
        with pytest.raises(Undecided, match="signed by 0/2 keys"):
            feed.fetch(gate)
    with pytest.raises(Damaged):
        feed.publish()
    # The way out is another feed, which people pin again by hand.
    feed.store.remove(f"{FOLDER}2.root.json")
    feed.fetch()


def test_gates_do_not_follow_a_root_that_skips_a_version(feed: FeedScene) -> None:
    two = rotate(feed, feed.roots, offline.Change())
    three = rotate(feed, feed.roots, offline.Change())
    feed.store.replace(f"{FOLDER}2.root.json", three)
    with pytest.raises(Undecided):
        feed.fetch("new gate")
    feed.store.replace(f"{FOLDER}2.root.json", two)
    assert feed.fetch("new gate").versions["root"] == 3


def test_an_online_key_is_replaced_and_the_stolen_one_counts_for_nothing(feed: FeedScene) -> None:
    feed.fetch()
    old, fresh = feed.keys, Keys(new_signer(), new_signer())
    assert fresh.online is not None
    change = offline.Change(online=fresh.online.public, timestamp=fresh.timestamp.public)
    rotate(feed, feed.roots[:2], change)
    with pytest.raises(Undecided):
        feed.fetch()  # until somebody publishes with the new key
    feed.publish(fresh)
    feed.fetch()
    with pytest.raises(Refused, match="not the feed's key"):
        feed.publish(old)


def test_an_expired_root(tmp_path: Path) -> None:
    feed = FeedScene(tmp_path)
    feed.publish()
    with pytest.raises(Undecided, match="expired"):
        feed.fetch(now=utc() + timedelta(days=366))


def test_two_people_who_change_the_root_at_once(feed: FeedScene) -> None:
    create = feed.store.create

    def first(key: str, data: bytes) -> None:
        feed.store.create = create  # type: ignore[method-assign]
        rotate(feed, feed.roots, offline.Change(threshold=3))
        create(key, data)

    feed.store.create = first  # type: ignore[method-assign]
    with pytest.raises(Refused, match="somebody else"):
        rotate(feed, feed.roots, offline.Change(threshold=1))
    assert offline.newest(feed.store)[0].signed.roles["root"].threshold == 3


def test_rsa_keys_sign_no_feed(feed: FeedScene) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from stemma_registry.signing import keyfile

    private = rsa.generate_private_key(65537, 2048)
    with pytest.raises(BadKey, match="ECDSA P-256 or Ed25519"):
        tuf_key(keyfile.from_private(private).public)


def test_an_ed25519_feed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.asymmetric import ed25519

    from stemma_registry.signing import keyfile
    from tests.status import scene

    def make() -> KeySigner:
        return keyfile.from_private(ed25519.Ed25519PrivateKey.generate())

    monkeypatch.setattr(scene, "new_signer", make)
    feed = FeedScene(tmp_path)
    feed.publish()
    feed.fetch()
