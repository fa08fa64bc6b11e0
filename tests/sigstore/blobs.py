"""Bundles with a message signature, put together by hand: of a certificate, or of a key.

As in `forge`, what is bent is bent before it is signed and logged.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from tests.building import Key, bundle_document
from tests.sigstore.encoding import DER, PEM, b64, p256, sha256, unb64
from tests.sigstore.forge import BUNDLE, STATEMENT, alice
from tests.sigstore.fulcio import Leaf
from tests.sigstore.rekor import ECDSA, dsse_spec, pae
from tests.sigstore.stack import LocalSigstore

ARTIFACT = b"the weights, as they are\n"


@dataclass
class Blob:
    """What the bundle is assembled from."""

    stack: LocalSigstore
    artifact: bytes = ARTIFACT
    rekor: int = 2
    leaf: Leaf | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    logged: bytes | None = None  # what the log saw, if it was something else
    stamp_time: datetime | None = None
    stamped: bool = True


def assemble(blob: Blob) -> dict[str, Any]:
    """A keyless one."""
    stack = blob.stack
    certificate = stack.fulcio.issue(blob.key.public_key(), blob.leaf or alice(stack))
    signature = blob.key.sign(blob.artifact, ECDSA)
    verifier = {"x509Certificate": {"rawBytes": b64(certificate.public_bytes(DER))}}
    pem = certificate.public_bytes(PEM)
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": {
            "certificate": {"rawBytes": b64(certificate.public_bytes(DER))},
            "tlogEntries": [_logged(blob, signature, verifier, pem)],
            **_stamps(blob, signature),
        },
        "messageSignature": message(blob.artifact, signature),
    }


def by_key(
    key: Key, artifact: bytes, blob: Blob | None = None, signature: bytes | None = None
) -> dict[str, Any]:
    """One of a key; with `blob` it is logged and stamped as that says."""
    signature = signature or key.sign_bytes(artifact)
    material: dict[str, Any] = {"publicKey": {"hint": key.public.id}}
    if blob is not None:
        verifier = {"publicKey": {"rawBytes": b64(key.public.der)}}
        entry = _logged(blob, signature, verifier, key.public.pem.encode())
        material |= {"tlogEntries": [entry], **_stamps(blob, signature)}
    return {
        "mediaType": BUNDLE,
        "verificationMaterial": material,
        "messageSignature": message(artifact, signature),
    }


def statement_by_key(key: Key, payload: bytes, stack: LocalSigstore, rekor: int) -> dict[str, Any]:
    """A statement of a key, logged."""
    document = bundle_document(key, payload)
    envelope, signed = document["dsseEnvelope"], pae(STATEMENT, payload)
    pem = key.public.pem.encode()
    if rekor == 2:
        verifier = {"publicKey": {"rawBytes": b64(key.public.der)}}
        signature = unb64(envelope["signatures"][0]["sig"])
        entry = _logged(Blob(stack, signed), signature, verifier, pem)
    else:
        spec = dsse_spec(json.dumps(envelope), payload, envelope["signatures"], b64(pem))
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
        entry = stack.rekor1.entry(body, "dsse")
    document["verificationMaterial"]["tlogEntries"] = [entry]
    return document


def message(artifact: bytes, signature: bytes) -> dict[str, Any]:
    """The field of the bundle."""
    return {
        "messageDigest": {"algorithm": "SHA2_256", "digest": b64(sha256(artifact))},
        "signature": b64(signature),
    }


def _stamps(blob: Blob, signature: bytes) -> dict[str, Any]:
    if not blob.stamped:
        return {}
    stamp = blob.stack.tsa.stamp(signature, blob.stamp_time)
    stamps = [{"signedTimestamp": b64(stamp)}]
    return {"timestampVerificationData": {"rfc3161Timestamps": stamps}}


def _logged(blob: Blob, signature: bytes, verifier: dict[str, Any], pem: bytes) -> dict[str, Any]:
    digest = sha256(blob.logged or blob.artifact)
    if blob.rekor == 2:
        said = {
            "data": {"algorithm": "SHA2_256", "digest": b64(digest)},
            "signature": {
                "content": b64(signature),
                "verifier": {"keyDetails": "PKIX_ECDSA_P256_SHA_256", **verifier},
            },
        }
        return blob.stack.rekor2.entry({"hashedRekordV002": said})
    spec: dict[str, Any] = {
        "data": {"hash": {"algorithm": "sha256", "value": digest.hex()}},
        "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
    }
    body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
    return blob.stack.rekor1.entry(body, "hashedrekord")
