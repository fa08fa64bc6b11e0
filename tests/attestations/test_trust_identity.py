"""Identities in the trust root, and revocation, to the second."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, BadTrustRoot
from stemma_attestations.identity import Identity
from stemma_attestations.times import Dated, Times
from stemma_attestations.trust import FORMAT, Assurance, TrustRoot
from tests.building import FIXTURES

ROOT, OTHER = Digest.of(b"one instance"), Digest.of(b"another")
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "https://github.com/acme/train/.github/workflows/train.yml@refs/heads/main"
CLAIMS = (("runner_environment", "github-hosted"), ("source_repository_ref", "refs/heads/main"))
TYPE = "https://slsa.dev/provenance/v1"
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)
CI = Certified(ROOT, Identity(ISSUER, SUBJECT, CLAIMS))


def root_of(extra: str = "", identity: str = "") -> TrustRoot:
    text = f"""\
format: {FORMAT}
signers:
  - principal: ci
    identity:
      issuer: {ISSUER}
      subject: {SUBJECT}
      root: {ROOT}
{identity}
    may:
      - {{predicates: ["{TYPE}"], names: ["models/*"]}}
{extra}
"""
    return TrustRoot.parse(text.encode())


def at(*times: datetime, root: Digest = ROOT) -> tuple[Dated, ...]:
    return tuple(Dated(time, root) for time in times)


def may(root: TrustRoot, who: Certified = CI, signed: Times | None = None) -> bool:
    times = at(NOW, root=who.root) if signed is None else signed
    return root.introducing(who).authorises(who.id, TYPE, "models/m", NOW, times)


def test_an_identity_speaks_for_its_names_and_predicates() -> None:
    root = root_of().introducing(CI)
    assert may(root)
    assert root.principal(CI.id) == "ci"
    assert not root.authorises(CI.id, TYPE, "prod/m", NOW, at(NOW))
    assert not root.authorises(CI.id, "urn:other", "models/m", NOW, at(NOW))
    assert root.assurance(CI.id, TYPE, "models/m", "models/m", at(NOW)) is Assurance.ATTESTED
    assert root.assurance(CI.id, TYPE, "models/m", "prod/m", at(NOW)) is Assurance.SIGNED
    assert root.roots == (ROOT,)


def test_an_id_that_nobody_tells_of_is_a_stranger() -> None:
    assert not root_of().authorises(CI.id, TYPE, "models/m", NOW, at(NOW))
    assert root_of().label(CI.id) == f"key {CI.id[:12]}"
    stranger = Certified(ROOT, Identity(ISSUER, "https://example.com/x"))
    assert root_of().introducing(stranger).label(stranger.id).startswith("identity https://exa")


@pytest.mark.parametrize(
    "other",
    [
        Certified(OTHER, CI.identity),
        Certified(ROOT, Identity("https://gitlab.com", SUBJECT, CLAIMS)),
        Certified(ROOT, Identity(ISSUER, SUBJECT.replace("heads/main", "tags/main"), CLAIMS)),
        Certified(ROOT, Identity(ISSUER, SUBJECT.replace("acme", "Acme"), CLAIMS)),
        Certified(ROOT, Identity(ISSUER, SUBJECT + "\n", CLAIMS)),
    ],
)
def test_near_misses(other: Certified) -> None:
    assert not may(root_of(), other)


def test_claims_are_required_where_they_are_listed() -> None:
    root = root_of(identity="      claims: {runner_environment: github-hosted}")
    assert may(root)
    hosted = Certified(ROOT, Identity(ISSUER, SUBJECT, (("runner_environment", "self-hosted"),)))
    assert not may(root, hosted)
    assert not may(root, Certified(ROOT, Identity(ISSUER, SUBJECT)))


def test_an_identity_without_a_trusted_time_counts_for_nothing() -> None:
    assert not may(root_of(), signed=())


def test_windows_are_held_against_the_time_of_signing() -> None:
    """Not against that of the question: a certificate lives ten minutes."""
    since, until = (f"{time:%Y-%m-%dT%H:%M:%SZ}" for time in (NOW - SECOND, NOW))
    root = root_of(f"    valid_from: {since}\n    valid_until: {until}")
    assert may(root, signed=at(NOW - SECOND))
    assert may(root, signed=at(NOW - timedelta(microseconds=1)))
    assert not may(root, signed=at(NOW))
    assert not may(root, signed=at(NOW - SECOND - timedelta(microseconds=1)))


def test_revocation_to_the_second() -> None:
    root = root_of(f"    revoked: {NOW:%Y-%m-%dT%H:%M:%SZ}").introducing(CI)
    before, then = at(NOW - timedelta(microseconds=1)), at(NOW)
    assert may(root, signed=before)
    assert not may(root, signed=then)
    # What stops outlives a window, but not a revocation.
    assert root.has_authorised(CI.id, TYPE, "models/m", before)
    assert not root.has_authorised(CI.id, TYPE, "models/m", then)
    assert not root.has_authorised(CI.id, TYPE, "models/m", ())
    assert "was revoked" in root.refusal(CI.id, TYPE, "models/m:1", then)


def test_a_revoked_key_has_no_trusted_time_and_is_believed_about_nothing() -> None:
    text = (FIXTURES / "trust-root.yaml").read_text()
    old = TrustRoot.parse(text.encode())
    key = old.signers[1].key
    assert key is not None
    assert old.has_authorised(key.id, "urn:stemma:status:v0.1", "a/b")
    mark = "  - principal: incident responders"
    text = text.replace(mark, f"  - revoked: 2099-01-01T00:00:00Z\n    {mark[4:]}")
    new = TrustRoot.parse(text.encode())
    assert not new.has_authorised(key.id, "urn:stemma:status:v0.1", "a/b")
    assert not new.authorises(key.id, "urn:stemma:status:v0.1", "a/b", NOW)


@pytest.mark.parametrize(
    "bad",
    [
        "    key: x",
        "    revoked: yesterday",
        "    revoked: 2026-01-01",
    ],
)
def test_refused(bad: str) -> None:
    with pytest.raises(BadTrustRoot):
        root_of(bad)


@pytest.mark.parametrize(
    "bad",
    [
        "      claims: {no_such_claim: x}",
        "      claims: [x]",
        "      claims: {runner_environment: [x]}",
        "      more: x",
        "      root: abc",
        "      issuer: https://twice.example.com",
    ],
)
def test_identities_that_are_refused(bad: str) -> None:
    with pytest.raises(BadTrustRoot):
        root_of(identity=bad)


def test_the_encoding_and_its_inverse() -> None:
    assert Certified.parse(CI.encode()) == CI
    again = Certified(ROOT, Identity(ISSUER, SUBJECT, (("runner_environment", "x"),)))
    assert again.id != CI.id
    assert again.voice == CI.voice
    for bad in (b"{}", b"[]", b"", CI.encode().replace(b'"root"', b'"toor"')):
        with pytest.raises(BadStatement):
            Certified.parse(bad)
    for root in (b"1", b"null", b"[]"):
        with pytest.raises(BadStatement):
            Certified.parse(CI.encode().replace(b'"%s"' % ROOT.value.encode(), root))
