"""Keyless bundles: what is good, and every way to be bad that somebody signed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from stemma_attestations import keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.identity import Identity
from tests.building import bundle_bytes, key
from tests.sigstore.encoding import b64, sha256
from tests.sigstore.forge import alice, raw
from tests.sigstore.rekor import pae
from tests.sigstore.scene import (
    STATEMENT,
    bent,
    both,
    entry,
    flipped,
    good,
    material,
    refused,
    signer,
    statement,
)
from tests.sigstore.stack import LocalSigstore

HOUR = timedelta(hours=1)


# --- good -----------------------------------------------------------------------------------


@both
def test_signed_by_sigstore_and_verified(sigstore: LocalSigstore, rekor: int) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    bundle = signer(sigstore, rekor).sign(STATEMENT)
    verified = keyless.verify(bundle.raw, sigstore.trusted_root())
    assert verified.statement.raw == STATEMENT.raw
    assert verified.identity == Identity(sigstore.oidc.url, "alice@example.com")
    assert verified.times
    assert all(before <= time <= datetime.now(UTC) for time in verified.times)
    assert len(verified.timestamps) == 1
    assert (verified.log_time is not None) == (rekor == 1)
    log = sigstore.log(rekor)
    assert verified.log.log_id == log.log_id.hex()
    assert verified.log.kind == {1: "dsse/0.0.1", 2: "hashedrekord/0.0.2"}[rekor]
    assert verified.log.index == len(log.tree.leaves) - 1
    assert verified.log.tree_size == len(log.tree.leaves)
    assert verified.log.root_hash == log.tree.root().hex()
    assert bundle.hint == ""
    assert bundle.certificate is not None


@both
def test_put_together_by_hand_and_verified(sigstore: LocalSigstore, rekor: int) -> None:
    """So a refusal below is for what was bent, not for how it was made."""
    verified = keyless.verify(raw(good(sigstore, rekor)), sigstore.trusted_root())
    assert verified.identity.subject == "alice@example.com"


def test_either_trusted_time_is_enough(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root()
    logged = keyless.verify(raw(good(sigstore, 1, stamped=False)), root)
    assert logged.times == (logged.log_time,)
    stamped = keyless.verify(raw(good(sigstore, 1, promised=False)), root)
    assert stamped.times == stamped.timestamps
    assert stamped.log_time is None


def test_the_index_outside_the_proof_is_not_reported(sigstore: LocalSigstore) -> None:
    """Nobody signs it in a v2 entry; in v1 it counts another thing."""
    for rekor in (1, 2):
        document = good(sigstore, rekor)
        if rekor == 2:
            entry(document)["logIndex"] = "77"
        verified = keyless.verify(raw(document), sigstore.trusted_root())
        assert str(verified.log.index) == entry(document)["inclusionProof"]["logIndex"]
        assert str(verified.log.index) != entry(document)["logIndex"]


def test_old_bundles_hold_a_list_of_certificates(sigstore: LocalSigstore) -> None:
    document = good(sigstore, 1)
    chain = {"certificates": [material(document).pop("certificate")]}
    material(document)["x509CertificateChain"] = chain
    for version in ("0.1", "0.2"):
        document["mediaType"] = f"application/vnd.dev.sigstore.bundle+json;version={version}"
        assert keyless.verify(raw(document), sigstore.trusted_root()).log_time is not None


# --- what was signed ------------------------------------------------------------------------


@both
@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "application/vnd.in-toto+json ",
        "Application/vnd.in-toto+json",
        "text/\u00e9",
    ],
)
def test_another_payload_type(sigstore: LocalSigstore, rekor: int, kind: str) -> None:
    refused(good(sigstore, rekor, payload_type=kind), sigstore.trusted_root(), "payload type")


@both
def test_a_payload_type_changed_afterwards(sigstore: LocalSigstore, rekor: int) -> None:
    document = good(sigstore, rekor, payload_type="application/json")
    document["dsseEnvelope"]["payloadType"] = "application/vnd.in-toto+json"
    refused(document, sigstore.trusted_root(), "signature")


@both
def test_a_signature_over_the_payload_itself(sigstore: LocalSigstore, rekor: int) -> None:
    document = good(sigstore, rekor, message=lambda _, payload: payload)
    refused(document, sigstore.trusted_root(), "signature")


@both
@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"null",
        b"[]",
        b"{}",
        STATEMENT.raw + b"{}",
        STATEMENT.raw.replace(b'{"n":1}', b'{"n":1,"n":2}'),
        STATEMENT.raw.replace(b"Statement/v1", b"Statement/v0.1"),
        STATEMENT.raw.replace(b'{"n":1}', b'{"n":NaN}'),
        STATEMENT.raw.replace(b'{"n":1}', b'{"n":' + b"[" * 100 + b"]" * 100 + b"}"),
        b'{"_type":"link","name":"step"}',
    ],
)
def test_well_signed_and_no_statement(sigstore: LocalSigstore, rekor: int, payload: bytes) -> None:
    refused(good(sigstore, rekor, payload=payload), sigstore.trusted_root(), "not a statement")


@both
def test_another_payload(sigstore: LocalSigstore, rekor: int) -> None:
    document = good(sigstore, rekor)
    document["dsseEnvelope"]["payload"] = b64(statement(2).raw)
    refused(document, sigstore.trusted_root(), "signature")


@both
def test_two_signatures_or_none(sigstore: LocalSigstore, rekor: int) -> None:
    root, document = sigstore.trusted_root(), good(sigstore, rekor)
    signatures = document["dsseEnvelope"]["signatures"]
    for wrong in ([], signatures * 2):
        refused(bent(document, lambda d, w=wrong: d["dsseEnvelope"].update(signatures=w)), root)


@both
def test_what_our_parser_refuses_never_reaches_another(sigstore: LocalSigstore, rekor: int) -> None:
    root, data = sigstore.trusted_root(), raw(good(sigstore, rekor))
    keyless.verify(data, root)
    refused(data.replace(b'"dsseEnvelope":', b'"dsseEnvelope": {}, "dsseEnvelope":'), root, "dupl")
    refused(data.replace(b'"rawBytes":', b'"rawBytes": "AAAA", "rawBytes":', 1), root, "dupl")
    refused(data + b"{}", root)
    refused(b"\xef\xbb\xbf" + data, root)
    for other in (b"", b"{", b"null", b"[]", b"{}", b"\xff", b"[" * 100_000):
        refused(other, root)


def test_a_bundle_that_names_a_key(sigstore: LocalSigstore) -> None:
    refused(bundle_bytes(key("a"), STATEMENT.raw), sigstore.trusted_root(), "no certificate")


# --- the certificate and its time -----------------------------------------------------------


@both
def test_a_certificate_that_had_expired(sigstore: LocalSigstore, rekor: int) -> None:
    """Also by one second; the last and the first second themselves are good."""
    root = sigstore.trusted_root()
    now = datetime.now(UTC).replace(microsecond=0)
    for age, good_one in ((601, False), (600, True), (0, True), (-1, False)):
        leaf = alice(sigstore, start=now - timedelta(seconds=age))
        document = good(sigstore, rekor, leaf=leaf, stamp_time=now, log_time=int(now.timestamp()))
        if good_one:
            assert keyless.verify(raw(document), root).times == (now,)
        else:
            refused(document, root)


def test_every_trusted_time_must_be_good(sigstore: LocalSigstore) -> None:
    now = datetime.now(UTC).replace(microsecond=0)
    late = good(sigstore, 1, stamp_time=now + HOUR)
    refused(late, sigstore.trusted_root())
    refused(good(sigstore, 1, log_time=int((now + HOUR).timestamp())), sigstore.trusted_root())


@both
def test_a_certificate_for_something_else(sigstore: LocalSigstore, rekor: int) -> None:
    leaf = alice(sigstore, purpose=ExtendedKeyUsageOID.SERVER_AUTH)
    refused(good(sigstore, rekor, leaf=leaf), sigstore.trusted_root(), "code signing")


@both
def test_a_certificate_that_names_two(sigstore: LocalSigstore, rekor: int) -> None:
    names = (x509.RFC822Name("alice@example.com"), x509.RFC822Name("root@example.com"))
    leaf = alice(sigstore)
    two = type(leaf)(names, leaf.issuer)
    refused(good(sigstore, rekor, leaf=two), sigstore.trusted_root(), "2 subjects")


@both
def test_the_certificate_of_somebody_else(sigstore: LocalSigstore, rekor: int) -> None:
    mine, theirs = good(sigstore, rekor), good(sigstore, rekor)
    material(mine)["certificate"] = material(theirs)["certificate"]
    # Theirs may be from the next second: then it was not valid yet when mine was signed.
    refused(mine, sigstore.trusted_root(), "signature|not valid at validation time")


@both
@pytest.mark.parametrize("data", [b"\0", b"0" * 64])
def test_a_certificate_that_is_none(sigstore: LocalSigstore, rekor: int, data: bytes) -> None:
    document = good(sigstore, rekor)
    material(document)["certificate"] = {"rawBytes": b64(data)}
    refused(document, sigstore.trusted_root())


# --- timestamps -----------------------------------------------------------------------------


def test_no_trusted_time_at_all(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root()
    refused(good(sigstore, 2, stamped=False), root, "timestamp")
    refused(good(sigstore, 1, stamped=False, promised=False), root, "timestamp")


def test_the_timestamp_of_another_signature(sigstore: LocalSigstore) -> None:
    document, other = good(sigstore, 2), good(sigstore, 2)
    material(document)["timestampVerificationData"] = material(other)["timestampVerificationData"]
    refused(document, sigstore.trusted_root(), "verified time")


def test_a_timestamp_that_does_not_verify_counts_nothing(sigstore: LocalSigstore) -> None:
    """The log's own time still stands, and is the only one that is reported."""
    document, other = good(sigstore, 1), good(sigstore, 1)
    material(document)["timestampVerificationData"] = material(other)["timestampVerificationData"]
    verified = keyless.verify(raw(document), sigstore.trusted_root())
    assert verified.timestamps == ()
    assert verified.times == (verified.log_time,)


def test_a_changed_timestamp(sigstore: LocalSigstore) -> None:
    root, document = sigstore.trusted_root(), good(sigstore, 2)
    stamps = material(document)["timestampVerificationData"]["rfc3161Timestamps"]
    whole = stamps[0]["signedTimestamp"]
    for at in range(0, len(whole) * 3 // 4 - 3, 97):
        stamps[0]["signedTimestamp"] = flipped(whole, at)
        refused(document, root)


@pytest.mark.parametrize("count", [2, 40])
def test_timestamps_by_the_dozen(sigstore: LocalSigstore, count: int) -> None:
    document = good(sigstore, 2)
    stamps = material(document)["timestampVerificationData"]
    stamps["rfc3161Timestamps"] *= count
    refused(document, sigstore.trusted_root(), "timestamp")


# --- the pin --------------------------------------------------------------------------------


def test_the_root_is_pinned_by_digest(sigstore: LocalSigstore) -> None:
    root, data = sigstore.trusted_root(), raw(good(sigstore, 2))
    assert keyless.verify(data, root, pin=Digest.of(root)).times
    with pytest.raises(SignatureRefused, match="pinned"):
        keyless.verify(data, root + b" ", pin=Digest.of(root))
    with pytest.raises(SignatureRefused, match="pinned"):
        keyless.verify(data, root, pin=Digest.of(root + b" "))


def test_a_bundle_of_other_statement_bytes_has_another_digest(sigstore: LocalSigstore) -> None:
    document = good(sigstore, 2)
    bundle = Bundle.parse(raw(document))
    assert bundle.digest.value == sha256(raw(document)).hex()
    assert bundle.envelope.signed_bytes == pae("application/vnd.in-toto+json", STATEMENT.raw)
    assert Bundle.parse(json.dumps(document, indent=1).encode()).digest != bundle.digest
