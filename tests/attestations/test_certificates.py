"""Bundles signed with the key of a certificate: up to a pinned root, or refused."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from stemma_attestations import certificates
from stemma_attestations.bundle import Bundle
from stemma_attestations.certificates import Verified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, SignatureRefused
from stemma_attestations.statement import ResourceDescriptor, Statement
from tests.authorities import DAY, SERVER, Holder, chained, issue, signer
from tests.building import key
from tests.sigstore.encoding import unb64
from tests.sigstore.stack import LocalSigstore

STATEMENT = Statement.build(
    [ResourceDescriptor(digests=(Digest.of(b"weights"),))], "urn:example:test", {"n": 1}
)
PAYLOAD = STATEMENT.raw
ROOT = issue("root")
MIDDLE = issue("middle", ROOT)


def read(document: Any, pinned: Sequence[Holder] = (ROOT,), **options: Any) -> Verified:
    raw = document if isinstance(document, bytes) else json.dumps(document).encode()
    now = options.pop("now", datetime.now(UTC))
    return certificates.verify(raw, [one.der for one in pinned], now, **options)


def refused(document: Any, match: str, pinned: Sequence[Holder] = (ROOT,), **options: Any) -> None:
    with pytest.raises(SignatureRefused, match=match) as caught:
        read(document, pinned, **options)
    assert "\n" not in str(caught.value)


# --- good -----------------------------------------------------------------------------------


def test_a_path_to_a_pinned_root() -> None:
    who = signer(MIDDLE, names=[x509.RFC822Name("alice@example.com")])
    found = read(chained(PAYLOAD, who, MIDDLE))
    assert found.statement.raw == PAYLOAD
    assert found.signer.startswith("certificate CN=signer alice@example.com (")
    assert found.root == Digest.of(ROOT.der)
    assert found.signed is None
    assert read(chained(PAYLOAD, who), [MIDDLE, ROOT]).root == found.root
    assert read(chained(PAYLOAD, who, MIDDLE, ROOT)) == found
    assert read(chained(PAYLOAD, signer(ROOT))).root == found.root


@pytest.mark.parametrize("curve", [ec.SECP256R1(), ec.SECP384R1(), ec.SECP521R1()])
def test_the_curves_of_model_signing_each_with_its_hash(curve: ec.EllipticCurve) -> None:
    who = signer(ROOT, key=ec.generate_private_key(curve))
    assert read(chained(PAYLOAD, who)).root == Digest.of(ROOT.der)


def test_authorities_may_have_rsa_keys() -> None:
    root = issue("rsa", key=rsa.generate_private_key(65537, 2048))
    assert read(chained(PAYLOAD, signer(root)), [root]).root == Digest.of(root.der)


def test_a_signer_that_says_ca_and_is_named_as_its_issuer() -> None:
    """What the fixtures of model_signing's own repository look like."""
    who = signer(MIDDLE, "middle", ca=True, signs=True, issues=False)
    assert read(chained(PAYLOAD, who, MIDDLE)).root == Digest.of(ROOT.der)


def test_what_model_signing_1_0_wrote() -> None:
    """No list of log entries, and a key id that is null."""
    document = chained(PAYLOAD, signer(MIDDLE), MIDDLE)
    del document["verificationMaterial"]["tlogEntries"]
    document["dsseEnvelope"]["signatures"][0]["keyid"] = None
    assert read(document).root == Digest.of(ROOT.der)


# --- paths that are none --------------------------------------------------------------------


def test_the_bundle_brings_no_trust() -> None:
    other = issue("root")
    who = signer(other)
    refused(chained(PAYLOAD, who, other), "no path from the certificate")
    refused(chained(PAYLOAD, who, other, ROOT), "no path from the certificate")
    refused(chained(PAYLOAD, who, other), "none of the pinned", [])
    assert read(chained(PAYLOAD, who), [other])


def test_another_root_with_the_same_subject_and_key_id() -> None:
    twin = issue("root")
    assert twin.certificate.subject == ROOT.certificate.subject
    refused(chained(PAYLOAD, signer(twin)), "signature does not match")
    assert read(chained(PAYLOAD, signer(twin)), [ROOT, twin]).root == Digest.of(twin.der)


def test_one_who_issued_himself() -> None:
    who = signer(None)
    refused(chained(PAYLOAD, who), "no path")
    refused(chained(PAYLOAD, who, who, ROOT), "no path")
    refused(chained(PAYLOAD, who), "nobody issued it", [who])


def test_an_intermediate_is_no_root() -> None:
    who = signer(MIDDLE)
    refused(chained(PAYLOAD, who), "none of the pinned certificates is a root", [MIDDLE])
    refused(chained(PAYLOAD, who, MIDDLE, ROOT), "none of the pinned", [MIDDLE])
    refused(chained(PAYLOAD, who), "no path")


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"ca": False, "issues": True}, "cA must be asserted"),
        ({"ca": None, "issues": True}, "no basicConstraints"),
        ({"issues": False}, "keyCertSign"),
        ({"purposes": [SERVER]}, "may not issue for codeSigning"),
        ({"end": -DAY}, "not valid at validation time"),
        ({"start": DAY}, "not valid at validation time"),
        ({"key": ed25519.Ed25519PrivateKey.generate()}, "Forbidden public key"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "too weak"),
    ],
)
def test_an_intermediate_that_may_not(changes: dict[str, Any], why: str) -> None:
    middle = issue("between", ROOT, **changes)
    refused(chained(PAYLOAD, signer(middle), middle), why)
    refused(chained(PAYLOAD, signer(middle)), why, [ROOT, middle])


def test_a_signer_issues_nobody() -> None:
    thief = signer(ROOT)
    refused(chained(PAYLOAD, signer(thief), thief), "no path")


def test_the_length_of_a_path_and_expired_roots() -> None:
    short = issue("short", path=0)
    middle = issue("m", short)
    assert read(chained(PAYLOAD, signer(short)), [short])
    refused(chained(PAYLOAD, signer(middle), middle), "path length", [short])
    old = issue("old", end=-DAY)
    refused(chained(PAYLOAD, signer(old)), "not valid", [old])


def test_names_that_an_authority_may_not_give() -> None:
    allowed = x509.NameConstraints([x509.RFC822Name("example.com")], None)
    middle = issue("named", ROOT, constraints=allowed)
    good = signer(middle, names=[x509.RFC822Name("a@example.com")])
    assert read(chained(PAYLOAD, good, middle))
    who = signer(middle, names=[x509.RFC822Name("a@evil.example")])
    refused(chained(PAYLOAD, who, middle), "name constraints")


# --- signers that may not -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"purposes": None}, "does not say that its key signs code"),
        ({"purposes": [SERVER]}, "not codeSigning"),
        ({"signs": None}, "does not say that its key signs code"),
        ({"signs": False}, "not digitalSignature"),
        ({"end": -DAY}, "no trusted time says when"),
        ({"start": DAY}, "not valid at validation time"),
        ({"key": ec.generate_private_key(ec.SECP256K1())}, "not ECDSA P-256"),
        ({"key": ed25519.Ed25519PrivateKey.generate()}, "not ECDSA P-256"),
    ],
)
def test_a_signer_that_may_not(changes: dict[str, Any], why: str) -> None:
    refused(chained(PAYLOAD, signer(ROOT, **changes)), why)


def test_a_signature_of_another_key_or_over_other_bytes() -> None:
    who, other = signer(ROOT), signer(ROOT)
    good, theirs = chained(PAYLOAD, who), chained(PAYLOAD, other)
    refused({**good, "dsseEnvelope": theirs["dsseEnvelope"]}, "not of the certificate's key")
    refused(
        {**good, "verificationMaterial": theirs["verificationMaterial"]},
        "not of the certificate's key",
    )
    changed = {**good["dsseEnvelope"], "payloadType": "text/plain"}
    refused({**good, "dsseEnvelope": changed}, "payload type")
    raw = who.private.sign(PAYLOAD, ec.ECDSA(certificates._HASHES["secp256r1"]))
    refused(chained(PAYLOAD, who, signature=raw), "not of the certificate's key")
    refused(chained(b"{}", who), "not a statement")


def test_every_byte_of_a_bundle_counts() -> None:
    raw = json.dumps(chained(PAYLOAD, signer(MIDDLE), MIDDLE)).encode()
    assert read(raw)
    for at in range(0, len(raw), 37):
        bent = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
        try:
            found = read(bent)
        except SignatureRefused:
            continue
        assert found.statement.raw == PAYLOAD


# --- when it was signed ---------------------------------------------------------------------


def stamped(sigstore: LocalSigstore, who: Holder, *moments: datetime) -> dict[str, Any]:
    document = chained(PAYLOAD, who)
    signature = unb64(document["dsseEnvelope"]["signatures"][0]["sig"])
    stamps = tuple(sigstore.tsa.stamp(signature, moment) for moment in moments)
    return chained(PAYLOAD, who, stamps=stamps, signature=signature)


def test_a_timestamp_keeps_what_was_signed_while_the_certificate_was_valid(
    sigstore: LocalSigstore,
) -> None:
    now, root = datetime.now(UTC).replace(microsecond=0), sigstore.trusted_root()
    past = now - timedelta(hours=2)
    who = signer(ROOT, end=-timedelta(hours=1))
    document = stamped(sigstore, who, past, now)
    found = read(document, trusted_root=root)
    assert found.signed == past
    refused(document, "no trusted time")  # whose word that is, was not said
    refused(stamped(sigstore, who, now), "not valid", trusted_root=root)
    another = LocalSigstore()
    try:
        refused(document, "no trusted time", trusted_root=another.trusted_root())
    finally:
        another.close()
    refused(document, "not verified", trusted_root=b"{}")


def test_a_timestamp_of_another_signature_is_none(sigstore: LocalSigstore) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    who = signer(ROOT, end=-timedelta(hours=1))
    stamp = sigstore.tsa.stamp(b"something else", past)
    document = chained(PAYLOAD, who, stamps=(stamp,))
    refused(document, "no trusted time", trusted_root=sigstore.trusted_root())
    rotten = chained(PAYLOAD, who, stamps=(b"rotten",))
    refused(rotten, "not verified", trusted_root=sigstore.trusted_root())


def test_the_seconds_at_the_ends() -> None:
    root = issue("long", start=-90 * DAY, end=90 * DAY)
    who = signer(root)
    first, last = who.certificate.not_valid_before_utc, who.certificate.not_valid_after_utc
    second = timedelta(seconds=1)
    for good in (first, last):
        assert read(chained(PAYLOAD, who), [root], now=good)
    refused(chained(PAYLOAD, who), "not valid", [root], now=first - second)
    refused(chained(PAYLOAD, who), "not valid", [root], now=last + second)


# --- what is not read -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "bend",
    [
        {"material": {"tlogEntries": [{}]}},
        {"material": {"publicKey": {"hint": "x"}}},
        {"material": {"certificate": {"rawBytes": "AAAA"}}},
        {"material": {"x509CertificateChain": []}},
        {"material": {"x509CertificateChain": {"certificates": []}}},
        {"material": {"x509CertificateChain": {"certificates": ["x"]}}},
        {"material": {"x509CertificateChain": {"certificates": [{"rawBytes": "AAAA"}]}}},
        {"material": {"x509CertificateChain": {"certificates": [{"rawBytes": "A"}]}}},
        {"material": {"timestampVerificationData": []}},
        {"material": {"timestampVerificationData": {"rfc3161Timestamps": ["x"]}}},
        {"mediaType": "application/vnd.dev.sigstore.bundle+json;version=0.1"},
        {"messageSignature": {}},
        {"verificationMaterial": None},
        {"dsseEnvelope": None},
    ],
)
def test_bundles_that_are_not_read(bend: dict[str, Any]) -> None:
    refused(chained(PAYLOAD, signer(ROOT), **bend), ".")


def test_too_much_of_it() -> None:
    refused(chained(PAYLOAD, signer(ROOT), *[MIDDLE] * certificates.MAX_CHAIN), "1 to 10")
    with pytest.raises(BadKey, match="not certificates"):
        certificates.read_pem(b"x")


def test_a_library_that_crashes_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicException(BaseException):
        """What a crash of Rust code is called."""

    for crash in (RuntimeError("boom"), PanicException("boom")):

        def fall(*_: object, crash: BaseException = crash) -> None:
            raise crash

        monkeypatch.setattr(certificates, "_path", fall)
        refused(chained(PAYLOAD, signer(ROOT)), "not verified: boom")


# --- what is written ------------------------------------------------------------------------


def test_what_is_written_is_read_and_has_no_root() -> None:
    mine = key("certified")
    who = signer(MIDDLE, key=mine.private)
    chain = [who.der, MIDDLE.der, ROOT.der]
    certificates.check(chain, mine.public, datetime.now(UTC))
    raw = certificates.bundle(mine.sign(STATEMENT), chain)
    assert read(raw).statement.raw == PAYLOAD
    assert certificates.Chained.parse(raw).chain == (who.der, MIDDLE.der)
    with pytest.raises(BadBundle):
        Bundle.parse(raw)


def test_what_could_not_be_verified_is_not_signed() -> None:
    mine, now = key("certified"), datetime.now(UTC)
    who, twin = signer(MIDDLE, key=mine.private), issue("root")
    for chain, match in (
        ([signer(MIDDLE).der], "not of the key"),
        ([signer(MIDDLE, key=mine.private, end=-DAY).der], "not valid at"),
        ([signer(MIDDLE, key=mine.private, purposes=[SERVER]).der], "not codeSigning"),
        ([who.der, ROOT.der], "no path"),
        ([who.der, MIDDLE.der, twin.der], "no path"),
    ):
        with pytest.raises(SignatureRefused, match=match):
            certificates.check(chain, mine.public, now)
    with pytest.raises(SignatureRefused, match="not of the certificate's key"):
        certificates.bundle(key("another").sign(STATEMENT), [who.der])
