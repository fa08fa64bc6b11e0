"""Bundles put together by hand: the right parts, one of them bent.

`Parts` holds what a signature needs. `assemble` takes a good set by default, and
every argument bends one thing; what is bent is bent *before* it is signed and
logged, so only the verifier's own check can find it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore.encoding import DER, PEM, b64, p256, sha256
from tests.sigstore.fulcio import Leaf
from tests.sigstore.rekor import ECDSA, dsse_spec, pae
from tests.sigstore.stack import LocalSigstore

STATEMENT = "application/vnd.in-toto+json"
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"


def alice(stack: LocalSigstore, **changes: Any) -> Leaf:
    """The certificate of alice@example.com, with changes."""
    return Leaf((x509.RFC822Name("alice@example.com"),), stack.oidc.url, **changes)


@dataclass
class Parts:
    """What a bundle is assembled from."""

    stack: LocalSigstore
    payload: bytes
    rekor: int = 2
    payload_type: str = STATEMENT
    leaf: Leaf | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    message: Callable[[str, bytes], bytes] = pae  # what is signed
    stamped: bool = True
    stamp_time: datetime | None = None
    log_time: int | None = None
    promised: bool = True


def assemble(parts: Parts) -> dict[str, Any]:
    """The bundle's document, every service having signed its part."""
    stack = parts.stack
    certificate = stack.fulcio.issue(parts.key.public_key(), parts.leaf or alice(stack))
    message = parts.message(parts.payload_type, parts.payload)
    signature = parts.key.sign(message, ECDSA)
    envelope = {
        "payload": b64(parts.payload),
        "payloadType": parts.payload_type,
        "signatures": [{"sig": b64(signature)}],
    }
    entry = _logged(parts, certificate, envelope, message)
    if not parts.promised:
        entry.pop("inclusionPromise", None)
    material: dict[str, Any] = {
        "certificate": {"rawBytes": b64(certificate.public_bytes(DER))},
        "tlogEntries": [entry],
    }
    if parts.stamped:
        stamp = stack.tsa.stamp(signature, parts.stamp_time)
        stamps = [{"signedTimestamp": b64(stamp)}]
        material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
    return {"mediaType": BUNDLE, "verificationMaterial": material, "dsseEnvelope": envelope}


def _logged(
    parts: Parts, certificate: x509.Certificate, envelope: dict[str, Any], message: bytes
) -> dict[str, Any]:
    if parts.rekor == 2:
        verifier = {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "x509Certificate": {"rawBytes": b64(certificate.public_bytes(DER))},
        }
        data = {"algorithm": "SHA2_256", "digest": b64(sha256(message))}
        signature = {"content": envelope["signatures"][0]["sig"], "verifier": verifier}
        return parts.stack.rekor2.entry(
            {"hashedRekordV002": {"data": data, "signature": signature}}
        )
    pem = b64(certificate.public_bytes(PEM))
    spec = dsse_spec(json.dumps(envelope), parts.payload, envelope["signatures"], pem)
    body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "dsse", "spec": spec})
    return parts.stack.rekor1.entry(body, "dsse", parts.log_time)


def raw(document: dict[str, Any]) -> bytes:
    """A bundle's bytes."""
    return json.dumps(document).encode()
