"""Trusted time in the trust root: whose word counts, and windows of keys, to the second."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTrustRoot
from stemma_attestations.identity import Identity
from stemma_attestations.times import Dated, format_time
from stemma_attestations.trust import Assurance, TrustRoot
from tests.building import NOW, key, signer, trust_bytes

A = key("a").public
TYPE, NAME = "urn:example:said", "acme/m"
LISTED, OTHER = Digest.of(b"one root"), Digest.of(b"another")
SECOND, YEAR = timedelta(seconds=1), timedelta(days=365)
T = NOW - YEAR


def root(*roots: Digest, **window: datetime) -> TrustRoot:
    fields = {name: format_time(time) for name, time in window.items()}
    item = {**signer(key("a")), **fields}
    return TrustRoot.parse(trust_bytes(item, time=[{"root": str(one)} for one in roots]))


def may(trust: TrustRoot, *times: Dated) -> bool:
    return trust.authorises(A.id, TYPE, NAME, NOW, times)


def test_it_is_read() -> None:
    assert root().time == TrustRoot.parse(trust_bytes()).time == ()
    assert root(LISTED, OTHER).time == (LISTED, OTHER)
    assert root(LISTED).roots == ()
    assert root(LISTED).all_roots == (LISTED,)


@pytest.mark.parametrize(
    "time",
    [
        None,
        {},
        "",
        str(LISTED),
        [str(LISTED)],
        [{}],
        [{"root": None}],
        [{"root": LISTED.value}],
        [{"root": str(LISTED).upper()}],
        [{"root": str(LISTED), "until": "2030-01-01T00:00:00Z"}],
        [{"root": str(LISTED)}, {"root": str(LISTED)}],
    ],
)
def test_refused(time: Any) -> None:
    with pytest.raises(BadTrustRoot, match="time"):
        TrustRoot.parse(trust_bytes(time=time))


@pytest.mark.parametrize("off", [-SECOND, 0 * SECOND, SECOND])
def test_windows_are_of_signing_where_that_is_proven(off: timedelta) -> None:
    proof = Dated(T + off, LISTED)
    assert may(root(LISTED, valid_from=T), proof) == (off >= 0 * SECOND)
    assert may(root(LISTED, valid_until=T), proof) == (off < 0 * SECOND)
    assert may(root(LISTED, revoked=T), proof) == (off < 0 * SECOND)
    trust = root(LISTED, revoked=T, valid_until=T - YEAR)
    assert not may(trust, proof)
    # What stops outlives the window, and not the revocation.
    assert trust.has_authorised(A.id, TYPE, NAME, (proof,)) == (off < 0 * SECOND)
    worth = trust.assurance(A.id, TYPE, NAME, NAME, (proof,))
    assert (worth is Assurance.ATTESTED) == (off < 0 * SECOND)
    assert ("was revoked" in trust.refusal(A.id, TYPE, NAME, (proof,))) == (off >= 0 * SECOND)


@pytest.mark.parametrize("off", [-SECOND, 0 * SECOND, SECOND])
def test_without_proof_the_window_is_of_the_question(off: timedelta) -> None:
    assert may(root(LISTED, valid_from=NOW + off)) == (off <= 0 * SECOND)
    assert may(root(LISTED, valid_until=NOW + off)) == (off > 0 * SECOND)
    assert not may(root(LISTED, revoked=NOW + YEAR + off))


def test_a_time_outside_the_window_does_not_count_though_the_question_is_inside() -> None:
    proof = Dated(T, LISTED)
    assert may(root(LISTED, valid_from=T + SECOND))
    assert not may(root(LISTED, valid_from=T + SECOND), proof)


def test_only_listed_roots_count_and_of_those_the_earliest() -> None:
    early, late = Dated(T - SECOND, OTHER), Dated(T + SECOND, LISTED)
    assert not may(root(revoked=T), early, late)
    assert not may(root(LISTED, revoked=T), early, late)
    assert may(root(OTHER, revoked=T), late, early)
    assert may(root(LISTED, OTHER, revoked=T), late, early)
    assert root(LISTED, OTHER).since(A.id, (late, early)) == T - SECOND
    assert root(LISTED).since(A.id, (late, early)) == T + SECOND
    assert root().since(A.id, (late, early)) is None


def test_an_identity_is_dated_by_the_root_that_names_it_and_no_other() -> None:
    who = Certified(OTHER, Identity("https://issuer.example", "alice@example.com"))
    identity = {"issuer": who.identity.issuer, "subject": who.identity.subject, "root": str(OTHER)}
    item = {"principal": "alice", "identity": identity, "may": signer(key("a"))["may"]}
    raw = trust_bytes(item, time=[{"root": str(LISTED)}])
    trust = TrustRoot.parse(raw).introducing(who)
    assert trust.all_roots == (OTHER, LISTED)
    assert trust.authorises(who.id, TYPE, NAME, NOW, (Dated(T, OTHER),))
    assert not trust.authorises(who.id, TYPE, NAME, NOW, (Dated(T, LISTED),))
    assert not trust.authorises(A.id, TYPE, NAME, NOW, (Dated(T, OTHER),))
