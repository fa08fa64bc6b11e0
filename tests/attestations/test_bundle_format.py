"""Bundles: the JSON around a signature, and hostile sizes."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stemma_attestations import bundle as module
from stemma_attestations import statement
from stemma_attestations.bundle import MEDIA_TYPE, Bundle, verify_bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, SignatureRefused
from tests.building import (
    KEY_KINDS,
    bounded,
    bundle_bytes,
    bundle_document,
    compact,
    key,
    sha,
    statement_about,
)

STATEMENT = statement_about(sha(b"artifact"), "urn:example:test", {"n": 1})
both_kinds = pytest.mark.parametrize("kind", KEY_KINDS)


def refused(raw: bytes, signer_der: bytes) -> bool:
    try:
        verify_bundle(raw, signer_der)
    except SignatureRefused:
        return True
    return False


CERTIFICATE = {"rawBytes": "AA=="}
CHAIN = {"certificates": [CERTIFICATE, {"rawBytes": "AQ=="}]}
OLD = "application/vnd.dev.sigstore.bundle+json;version={}"


# --- the JSON around it ---------------------------------------------------------------------


def bent(**fields: Any) -> bytes:
    """A good bundle with fields replaced, or dropped where the value is `...`."""
    document = {**bundle_document(key("a"), STATEMENT.raw), **fields}
    return compact({name: value for name, value in document.items() if value is not ...})


def bent_envelope(**fields: Any) -> bytes:
    envelope = {**bundle_document(key("a"), STATEMENT.raw)["dsseEnvelope"], **fields}
    return bent(dsseEnvelope={name: value for name, value in envelope.items() if value is not ...})


GOOD_SIGNATURE = bundle_document(key("a"), STATEMENT.raw)["dsseEnvelope"]["signatures"][0]
HINT = {"hint": key("a").public.id}


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"[]", id="a list"),
        pytest.param(b"{}", id="an empty object"),
        pytest.param(bent(mediaType=...), id="no media type"),
        pytest.param(bent(mediaType=MEDIA_TYPE.replace("0.3", "0.2")), id="an older version"),
        pytest.param(bent(mediaType=MEDIA_TYPE.replace("0.3", "0.4")), id="a newer version"),
        pytest.param(
            bent(mediaType="application/vnd.dev.sigstore.bundle+json;version=0.3"),
            id="old spelling",
        ),
        pytest.param(bent(mediaType=None), id="null as media type"),
        pytest.param(bent(dsseEnvelope=...), id="no envelope"),
        pytest.param(bent(dsseEnvelope=..., messageSignature={}), id="a message signature"),
        pytest.param(bent(dsseEnvelope=[]), id="an envelope that is a list"),
        pytest.param(bent(verificationMaterial=...), id="no material"),
        pytest.param(bent(verificationMaterial=[]), id="material that is a list"),
        pytest.param(bent(verificationMaterial={}), id="empty material"),
        pytest.param(bent(verificationMaterial={"publicKey": {}}), id="no hint"),
        pytest.param(bent(verificationMaterial={"publicKey": {"hint": ""}}), id="an empty hint"),
        pytest.param(bent(verificationMaterial={"publicKey": {"hint": 7}}), id="a number as hint"),
        pytest.param(bent(verificationMaterial={"publicKey": HINT["hint"]}), id="a bare hint"),
        pytest.param(
            bent(verificationMaterial={"certificate": {"rawBytes": "AB=="}}), id="stray bits"
        ),
        pytest.param(bent(verificationMaterial={"certificate": "AA=="}), id="a bare certificate"),
        pytest.param(bent(verificationMaterial={"certificate": {}}), id="an empty certificate"),
        pytest.param(
            bent(verificationMaterial={"certificate": CERTIFICATE}, messageSignature={}),
            id="an envelope and a message signature",
        ),
        pytest.param(
            bent(mediaType=OLD.format("0.2"), verificationMaterial={"certificate": CERTIFICATE}),
            id="one certificate in an old bundle",
        ),
        pytest.param(bent(verificationMaterial={"x509CertificateChain": CHAIN}), id="a new chain"),
        pytest.param(
            bent(mediaType=OLD.format("0.2"), verificationMaterial={"x509CertificateChain": {}}),
            id="an empty chain",
        ),
        pytest.param(bent(mediaType=OLD.format("0.3")), id="a key in another spelling of v0.3"),
        pytest.param(
            bent(verificationMaterial={"publicKey": HINT, "certificate": {}}), id="key and cert"
        ),
        pytest.param(
            bent(verificationMaterial={"publicKey": HINT, "x509CertificateChain": {}}),
            id="key and chain",
        ),
        pytest.param(bent_envelope(signatures=[]), id="no signature"),
        pytest.param(bent_envelope(signatures=[GOOD_SIGNATURE] * 2), id="a signature twice"),
        pytest.param(
            bent_envelope(signatures=[{"sig": "AAAA"}, GOOD_SIGNATURE]), id="a second signature"
        ),
        pytest.param(bent_envelope(signatures=[GOOD_SIGNATURE] * 65), id="many signatures"),
        pytest.param(bent_envelope(payload=...), id="no payload"),
        pytest.param(bent_envelope(payloadType=...), id="no payload type"),
        pytest.param(bent() + b"{}", id="trailing data"),
        pytest.param(b"\xef\xbb\xbf" + bent(), id="a byte order mark"),
        pytest.param(
            bent().replace(b'"payload":', b'"payload":"AAAA","payload":'), id="a duplicate key"
        ),
        pytest.param(
            bent().replace(b'"payload":', b'"p\\u0061yload":"AAAA","payload":'),
            id="a duplicate key, escaped",
        ),
    ],
)
def test_not_a_bundle(raw: bytes) -> None:
    with pytest.raises(BadBundle):
        Bundle.parse(raw)
    assert refused(raw, key("a").public.der)


def test_near_misses_are_bundles() -> None:
    for raw in (bent(), bent(extension={"a": [1]}), bent_envelope(extension=1), bent() + b"\n"):
        assert verify_bundle(raw, key("a").public.der).raw == STATEMENT.raw


@pytest.mark.parametrize("place", ["payload", "sig"])
def test_base64_that_decodes_to_the_same_bytes_is_refused(place: str) -> None:
    document = bundle_document(
        key("a", "ed25519"), STATEMENT.raw + b" " * (-len(STATEMENT.raw) % 3)
    )
    envelope = document["dsseEnvelope"]
    holder = envelope if place == "payload" else envelope["signatures"][0]
    text = holder[place]
    variants = [text + "\n", " " + text, text[:4] + "\n" + text[4:], text.rstrip("=") + "x"]
    variants.append(text.replace("+", "-").replace("/", "_"))
    if text.endswith("="):
        stem = text.rstrip("=")
        following = chr(ord(stem[-1]) + 1)  # only the bits behind the last byte differ
        variants += [stem, stem[:-1] + following + "=" * (len(text) - len(stem))]
    for variant in variants:
        if variant != text:
            holder[place] = variant
            assert refused(compact(document), key("a", "ed25519").public.der)


# --- hostile sizes --------------------------------------------------------------------------


def test_the_size_limit_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = bent()
    monkeypatch.setattr(module, "MAX_BYTES", len(raw))
    assert Bundle.parse(raw).raw == raw
    with pytest.raises(BadBundle):
        Bundle.parse(raw + b" ")


def test_the_largest_statement_fits_into_a_bundle() -> None:
    assert module.MAX_BYTES > statement.MAX_BYTES * 4 // 3 + 10_000


def test_a_large_bundle_costs_a_small_multiple_of_its_size() -> None:
    subject = statement_about(sha(b"x"), "urn:example:test", {"text": "a" * 1_000_000})
    raw = bundle_bytes(key("a"), subject.raw)
    with bounded(seconds=3, megabytes=15 * len(raw) / 1e6):
        verify_bundle(raw, key("a").public.der)


def test_deep_nesting_in_a_bundle_is_refused() -> None:
    deep = bent(extension=1).replace(b":1,", b":" + b"[" * 100_000 + b"]" * 100_000 + b",")
    with bounded(seconds=2, megabytes=60), pytest.raises(BadBundle):
        Bundle.parse(deep)


def test_a_private_key_is_no_way_in() -> None:
    private = key("a").private
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    der = private.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(SignatureRefused):
        verify_bundle(bent(), der)


def test_the_statement_is_shown_before_it_is_believed() -> None:
    bundle = Bundle.parse(bundle_bytes(key("mallory"), STATEMENT.raw, signed=b"anything"))
    assert bundle.statement().raw == STATEMENT.raw
    assert isinstance(bundle.digest, Digest)


# --- certificates ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("media_type", "material"),
    [
        (MEDIA_TYPE, {"certificate": CERTIFICATE}),
        (OLD.format("0.3"), {"certificate": CERTIFICATE}),
        (OLD.format("0.2"), {"x509CertificateChain": CHAIN}),
        (OLD.format("0.1"), {"x509CertificateChain": CHAIN}),
    ],
)
def test_a_certificate_is_read_and_no_key_verifies_it(
    media_type: str, material: dict[str, Any]
) -> None:
    bundle = Bundle.parse(bent(mediaType=media_type, verificationMaterial=material))
    assert bundle.certificate == b"\0"
    assert bundle.hint == ""
    assert bundle.material == material
    assert bundle.statement().raw == STATEMENT.raw
    with pytest.raises(SignatureRefused, match="certificate"):
        bundle.verify(key("a").public)
    assert refused(bundle.raw, key("a").public.der)


def test_a_key_bundle_has_no_certificate() -> None:
    material = {"publicKey": HINT, "timestampVerificationData": {}, "tlogEntries": []}
    bundle = Bundle.parse(bent(verificationMaterial=material))
    assert bundle.certificate is None
    assert bundle.material == material
    assert bundle.verify(key("a").public).raw == STATEMENT.raw
