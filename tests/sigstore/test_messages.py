"""Message signatures: bundles over a file itself, keyless and of a key."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from stemma_attestations import keyed, keyless
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused, UnknownLog
from stemma_attestations.message import MessageBundle
from tests.building import KEY_KINDS, bundle_bytes, key, pss, statement_about
from tests.sigstore.blobs import ARTIFACT, Blob, assemble, by_key, statement_by_key
from tests.sigstore.encoding import b64, rfc3339, seconds_now, sha256
from tests.sigstore.forge import raw
from tests.sigstore.scene import bent, both, entry, flipped, good, material, proof
from tests.sigstore.stack import LocalSigstore

DIGEST = Digest.of(ARTIFACT)
OTHER = b"poisoned weights\n"
Change = Callable[[dict[str, Any]], object]
kinds = pytest.mark.parametrize("kind", KEY_KINDS)


def no(document: dict[str, Any], root: bytes, match: str, artifact: Digest = DIGEST) -> None:
    """Expect a refusal that says so, on one line."""
    with pytest.raises(SignatureRefused, match=match) as caught:
        keyless.verify_message(raw(document), artifact, root)
    assert "\n" not in str(caught.value)


# --- keyless --------------------------------------------------------------------------------


@both
def test_a_file_that_somebody_signed(sigstore: LocalSigstore, rekor: int) -> None:
    root = sigstore.trusted_root()
    document = assemble(Blob(sigstore, rekor=rekor))
    for ask in (keyless.verify_message, keyless.verify_artifact):
        found = ask(raw(document), DIGEST, root, pin=Digest.of(root))
        assert isinstance(found, keyless.VerifiedMessage)
        assert found.digest == DIGEST
        assert (found.identity.subject, found.identity.issuer) == (
            "alice@example.com",
            sigstore.oidc.url,
        )
        assert found.log.kind == f"hashedrekord/0.0.{rekor}"
        assert found.times
    with pytest.raises(SignatureRefused, match="pinned"):
        keyless.verify_message(raw(document), DIGEST, root, pin=DIGEST)


@both
def test_the_digest_in_the_bundle_may_be_missing_and_proves_nothing(
    sigstore: LocalSigstore, rekor: int
) -> None:
    root, document = sigstore.trusted_root(), assemble(Blob(sigstore, rekor=rekor))
    silent = bent(document, lambda d: d["messageSignature"].pop("messageDigest"))
    assert keyless.verify_message(raw(silent), DIGEST, root).digest == DIGEST
    no(silent, root, "invalid for input", Digest.of(OTHER))
    no(document, root, "of other bytes", Digest.of(OTHER))

    def lies(d: dict[str, Any]) -> None:
        d["messageSignature"]["messageDigest"]["digest"] = b64(sha256(OTHER))

    no(bent(document, lies), root, "of other bytes")
    no(bent(document, lies), root, "invalid for input", Digest.of(OTHER))


BENT: dict[str, tuple[Change, str]] = {
    "signature": (
        lambda d: d["messageSignature"].update(
            signature=flipped(d["messageSignature"]["signature"], 9)
        ),
        "not verified",
    ),
    "no signature": (lambda d: d["messageSignature"].pop("signature"), "signature is base64"),
    "second spelling": (lambda d: d["messageSignature"].update(message_digest={}), "camelCase"),
    "an envelope too": (lambda d: d.update(dsseEnvelope={}), "nothing else"),
    "another hash": (
        lambda d: d["messageSignature"]["messageDigest"].update(algorithm="SHA2_512"),
        "SHA2_256",
    ),
    "a short digest": (
        lambda d: d["messageSignature"]["messageDigest"].update(digest=b64(b"short")),
        "64 lower-case hex",
    ),
    "not an object": (lambda d: d.update(messageSignature=[]), "nothing else"),
    "no log entry": (lambda d: material(d).pop("tlogEntries"), "one log entry"),
    "the proof": (
        lambda d: proof(d).update(rootHash=flipped(proof(d)["rootHash"])),
        "another tree",
    ),
    "the body": (
        lambda d: entry(d).update(canonicalizedBody=flipped(entry(d)["canonicalizedBody"], 80)),
        "not verified",
    ),
    "another kind": (lambda d: entry(d)["kindVersion"].update(kind="dsse"), "not verified"),
    "no certificate": (
        lambda d: (material(d).pop("certificate"), material(d).update(publicKey={"hint": "k"})),
        "no certificate",
    ),
}


@both
@pytest.mark.parametrize("name", BENT)
def test_a_bundle_with_one_thing_bent(sigstore: LocalSigstore, rekor: int, name: str) -> None:
    change, match = BENT[name]
    document = assemble(Blob(sigstore, rekor=rekor))
    no(bent(document, change), sigstore.trusted_root(), match)


@both
def test_the_log_saw_something_else(sigstore: LocalSigstore, rekor: int) -> None:
    root = sigstore.trusted_root()
    document = assemble(Blob(sigstore, rekor=rekor, logged=OTHER))
    no(document, root, "inconsistent")
    foreign = assemble(Blob(sigstore, rekor=rekor))
    swapped = copy.deepcopy(assemble(Blob(sigstore, rekor=rekor)))
    material(swapped)["tlogEntries"] = material(foreign)["tlogEntries"]
    no(swapped, root, "inconsistent|no trusted time")


def test_what_surrounds_the_signature_is_checked_as_for_statements(
    sigstore: LocalSigstore,
) -> None:
    document = assemble(Blob(sigstore))
    root = sigstore.trusted_root_json()
    root["tlogs"] = [
        log for log in root["tlogs"] if log["publicKey"]["keyDetails"] != "PKIX_ED25519"
    ]
    with pytest.raises(UnknownLog):
        keyless.verify_message(raw(document), DIGEST, raw(root))
    root = sigstore.trusted_root_json()
    for log in root["tlogs"]:
        log["publicKey"]["validFor"]["end"] = rfc3339(seconds_now() - timedelta(hours=1))
    no(document, raw(root), "was not in use")
    no(assemble(Blob(sigstore, stamped=False)), sigstore.trusted_root(), "timestamp")


def test_the_last_second_of_a_timestamp_authority_counts(sigstore: LocalSigstore) -> None:
    """A window is closed: https://github.com/sigstore/protobuf-specs (TimeRange)."""
    moment = seconds_now()
    document = assemble(Blob(sigstore, stamp_time=moment))
    root = sigstore.trusted_root_json()
    valid = root["timestampAuthorities"][0]["validFor"]
    valid["end"] = rfc3339(moment)
    assert keyless.verify_message(raw(document), DIGEST, raw(root)).times == (moment,)
    valid["end"] = rfc3339(moment - timedelta(seconds=1))
    no(document, raw(root), "not enough sources of verified time")


@both
def test_a_kind_of_entry_that_is_not_of_this(sigstore: LocalSigstore, rekor: int) -> None:
    document = assemble(Blob(sigstore, rekor=rekor))
    statement = good(sigstore, 1)
    material(document)["tlogEntries"] = material(statement)["tlogEntries"]
    no(document, sigstore.trusted_root(), "'dsse/0.0.1' is not verified for this")
    material(statement)["tlogEntries"] = material(assemble(Blob(sigstore, rekor=1)))["tlogEntries"]
    with pytest.raises(SignatureRefused, match=r"hashedrekord/0\.0\.1. is not verified for this"):
        keyless.verify(raw(statement), sigstore.trusted_root())


def test_a_statement_is_about_a_file_by_its_subject(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root()
    found = keyless.verify_artifact(raw(good(sigstore, 2)), Digest.of(b"weights"), root)
    assert isinstance(found, keyless.Verified)
    with pytest.raises(SignatureRefused, match="other bytes"):
        keyless.verify_artifact(raw(good(sigstore, 2)), DIGEST, root)


def test_neither_is_taken_for_the_other(sigstore: LocalSigstore) -> None:
    root = sigstore.trusted_root()
    with pytest.raises(SignatureRefused, match="instead of an envelope"):
        keyless.verify(raw(assemble(Blob(sigstore))), root)
    no(good(sigstore, 2), root, "message signature")
    with pytest.raises(BadBundle):
        Bundle.parse(raw(assemble(Blob(sigstore))))
    with pytest.raises(BadBundle):
        MessageBundle.parse(raw(good(sigstore, 2)))
    for data in (b"", b"{", b"[]", b"null"):
        with pytest.raises(SignatureRefused):
            keyless.verify_artifact(data, DIGEST, root)


# --- keys -----------------------------------------------------------------------------------


@kinds
def test_a_key_signed_the_file(kind: str) -> None:
    signer = key("a", kind)
    data = raw(by_key(signer, ARTIFACT))
    assert keyed.verify_artifact(data, ARTIFACT, signer.public) is None
    with pytest.raises(SignatureRefused, match="of other bytes"):
        keyed.verify_artifact(data, OTHER, signer.public)
    with pytest.raises(SignatureRefused, match="names key"):
        keyed.verify_artifact(data, ARTIFACT, key("b", kind).public)
    forged = bent(by_key(signer, ARTIFACT), lambda d: d.update(by_key(signer, OTHER)))
    forged["messageSignature"]["messageDigest"]["digest"] = b64(sha256(ARTIFACT))
    with pytest.raises(SignatureRefused, match="does not verify"):
        keyed.verify_artifact(raw(forged), ARTIFACT, signer.public)
    if kind == "ed25519":
        with pytest.raises(SignatureRefused, match="digest is not enough"):
            keyed.verify_artifact(data, DIGEST, signer.public)
    else:
        assert keyed.verify_artifact(data, DIGEST, signer.public) is None
        with pytest.raises(SignatureRefused, match="sha256"):
            keyed.verify_artifact(data, Digest("sha512", "0" * 128), signer.public)


def test_both_paddings_of_rsa() -> None:
    signer = key("a", "rsa")
    assert isinstance(signer.private, rsa.RSAPrivateKey)
    for way in (padding.PKCS1v15(), pss(32), pss(222)):
        signature = signer.private.sign(ARTIFACT, way, hashes.SHA256())
        data = raw(by_key(signer, ARTIFACT, signature=signature))
        keyed.verify_artifact(data, ARTIFACT, signer.public)
    for digest in (hashes.SHA1(), hashes.SHA512()):
        signature = signer.private.sign(ARTIFACT, padding.PKCS1v15(), digest)
        with pytest.raises(SignatureRefused, match="does not verify"):
            data = raw(by_key(signer, ARTIFACT, signature=signature))
            keyed.verify_artifact(data, ARTIFACT, signer.public)


@kinds
def test_a_key_signed_a_statement_about_the_file(kind: str) -> None:
    signer = key("a", kind)
    data = bundle_bytes(signer, statement_about(DIGEST, "urn:example:test", {}).raw)
    for artifact in (ARTIFACT, DIGEST):
        found = keyed.verify_artifact(data, artifact, signer.public)
        assert found is not None
        assert found.predicate_type == "urn:example:test"
    with pytest.raises(SignatureRefused, match="other bytes"):
        keyed.verify_artifact(data, OTHER, signer.public)


@both
@kinds
def test_a_key_with_a_log_entry(sigstore: LocalSigstore, rekor: int, kind: str) -> None:
    signer, root = key("a", kind), sigstore.trusted_root()
    data = raw(by_key(signer, ARTIFACT, Blob(sigstore, rekor=rekor)))
    keyed.verify_artifact(data, ARTIFACT, signer.public, root)


LOGGED: dict[str, tuple[Change, str]] = {
    "proof": (lambda d: proof(d)["hashes"].append(b64(bytes(32))), "lead to its root"),
    "checkpoint": (lambda d: proof(d).update(treeSize="9999"), "root hash|another tree"),
    "body": (
        lambda d: entry(d).update(canonicalizedBody=flipped(entry(d)["canonicalizedBody"], 80)),
        "root hash",
    ),
    "kind": (lambda d: entry(d)["kindVersion"].update(kind="intoto"), "are not read"),
    "two entries": (lambda d: material(d)["tlogEntries"].append(entry(d)), "exactly one"),
    "certificate": (
        lambda d: (
            material(d).pop("publicKey"),
            material(d).update(certificate={"rawBytes": b64(b"leaf")}),
        ),
        "no key verifies it",
    ),
}


@both
@pytest.mark.parametrize("name", LOGGED)
def test_a_log_entry_of_a_key_that_is_bent(sigstore: LocalSigstore, rekor: int, name: str) -> None:
    signer, (change, match) = key("a"), LOGGED[name]
    sigstore.rekor1.append(b"not alone")
    sigstore.rekor2.append(b"not alone")
    document = bent(by_key(signer, ARTIFACT, Blob(sigstore, rekor=rekor)), change)
    with pytest.raises(SignatureRefused, match=match):
        keyed.verify_artifact(raw(document), ARTIFACT, signer.public, sigstore.trusted_root())


@both
def test_a_log_entry_of_another_key_or_file(sigstore: LocalSigstore, rekor: int) -> None:
    signer, root = key("a"), sigstore.trusted_root()
    other_file = by_key(signer, ARTIFACT, Blob(sigstore, rekor=rekor, logged=OTHER))
    other_key = by_key(signer, ARTIFACT)
    mallory = by_key(key("b"), ARTIFACT, Blob(sigstore, rekor=rekor))
    material(other_key)["tlogEntries"] = material(mallory)["tlogEntries"]
    for document in (other_file, other_key):
        with pytest.raises(SignatureRefused, match="another signature"):
            keyed.verify_artifact(raw(document), ARTIFACT, signer.public, root)
    # Nobody can judge it without a root; the signature stands.
    keyed.verify_artifact(raw(other_key), ARTIFACT, signer.public)


@both
@kinds
def test_a_statement_of_a_key_with_a_log_entry(
    sigstore: LocalSigstore, rekor: int, kind: str
) -> None:
    signer, root = key("a", kind), sigstore.trusted_root()
    payload = statement_about(DIGEST, "urn:example:test", {}).raw
    other = statement_about(DIGEST, "urn:example:other", {}).raw
    document = statement_by_key(signer, payload, sigstore, rekor)
    assert keyed.verify_artifact(raw(document), ARTIFACT, signer.public, root) is not None
    swapped = copy.deepcopy(document)
    for foreign in (
        statement_by_key(signer, other, sigstore, rekor),
        statement_by_key(key("b", kind), payload, sigstore, rekor),
    ):
        material(swapped)["tlogEntries"] = material(foreign)["tlogEntries"]
        with pytest.raises(SignatureRefused, match="another signature"):
            keyed.verify_artifact(raw(swapped), ARTIFACT, signer.public, root)
    blob = by_key(signer, ARTIFACT, Blob(sigstore, rekor=rekor))
    material(swapped)["tlogEntries"] = material(blob)["tlogEntries"]
    with pytest.raises(SignatureRefused, match=r"another signature|are not read"):
        keyed.verify_artifact(raw(swapped), ARTIFACT, signer.public, root)


def test_a_promise_and_a_window_of_a_keys_entry(sigstore: LocalSigstore) -> None:
    signer = key("a")
    document = by_key(signer, ARTIFACT, Blob(sigstore, rekor=1))
    late = bent(document, lambda d: entry(d).update(integratedTime="1700000000"))
    with pytest.raises(SignatureRefused, match="does not verify"):
        keyed.verify_artifact(raw(late), ARTIFACT, signer.public, sigstore.trusted_root())
    root = sigstore.trusted_root_json()
    for log in root["tlogs"]:
        log["publicKey"]["validFor"]["end"] = rfc3339(seconds_now() - timedelta(hours=1))
    with pytest.raises(SignatureRefused, match="was not in use"):
        keyed.verify_artifact(raw(document), ARTIFACT, signer.public, raw(root))
    root["tlogs"] = []
    with pytest.raises(UnknownLog):
        keyed.verify_artifact(raw(document), ARTIFACT, signer.public, raw(root))
