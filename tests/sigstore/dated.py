"""Key bundles with evidence of their time, put together by hand: good unless one thing is bent."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import rfc8785
from cryptography.hazmat.primitives.asymmetric import ec

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.keys import PublicKey
from tests.sigstore.encoding import PEM, b64, p256, seconds_now, sha256, spki
from tests.sigstore.forge import BUNDLE, STATEMENT
from tests.sigstore.rekor import ECDSA, dsse_spec, pae
from tests.sigstore.scene import STATEMENT as SAID
from tests.sigstore.stack import LocalSigstore

# Within the lives of certificates that the instance made when it started.
T = seconds_now() - timedelta(hours=1)


@dataclass
class Signed:
    """A key's signature, and the means to have it dated."""

    stack: LocalSigstore
    payload: bytes = SAID.raw
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)

    def __post_init__(self) -> None:
        self.signature = self.key.sign(self.message, ECDSA)

    @property
    def message(self) -> bytes:
        """What is signed."""
        return pae(STATEMENT, self.payload)

    @property
    def public(self) -> PublicKey:
        """The key's public half."""
        return PublicKey.parse(spki(self.key))

    @property
    def envelope(self) -> dict[str, Any]:
        """The DSSE envelope."""
        signatures = [{"sig": b64(self.signature)}]
        return {"payload": b64(self.payload), "payloadType": STATEMENT, "signatures": signatures}

    def stamp(self, time: datetime = T) -> bytes:
        """A timestamp of the stack's authority."""
        return self.stack.tsa.stamp(self.signature, time)

    def v1(self, time: datetime = T, **bent: Any) -> dict[str, Any]:
        """An entry of Rekor v1, as it logs keys; `bent` replaces fields of its spec."""
        pem = b64(self.public.pem.encode())
        spec = dsse_spec(json.dumps(self.envelope), self.payload, self.envelope["signatures"], pem)
        body = {"apiVersion": "0.0.1", "kind": "dsse", "spec": {**spec, **bent}}
        return self.stack.rekor1.entry(rfc8785.dumps(body), "dsse", int(time.timestamp()))

    def v2(self, **bent: Any) -> dict[str, Any]:
        """An entry of Rekor v2."""
        verifier = {
            "keyDetails": "PKIX_ECDSA_P256_SHA_256",
            "publicKey": {"rawBytes": b64(self.public.der)},
        }
        record = {
            "data": {"algorithm": "SHA2_256", "digest": b64(sha256(self.message))},
            "signature": {"content": b64(self.signature), "verifier": verifier},
        }
        return self.stack.rekor2.entry({"hashedRekordV002": {**record, **bent}})

    def document(
        self, stamps: Iterable[bytes] = (), entries: Iterable[dict[str, Any]] = ()
    ) -> dict[str, Any]:
        """The bundle, with this evidence."""
        material: dict[str, Any] = {"publicKey": {"hint": self.public.id}}
        if data := [{"signedTimestamp": b64(stamp)} for stamp in stamps]:
            material["timestampVerificationData"] = {"rfc3161Timestamps": data}
        if found := list(entries):
            material["tlogEntries"] = found
        return {
            "mediaType": BUNDLE,
            "verificationMaterial": material,
            "dsseEnvelope": self.envelope,
        }

    def times(self, document: dict[str, Any], root: bytes | None = None) -> list[datetime]:
        """The times that are proven for it. Raises SignatureRefused."""
        bundle = Bundle.parse(json.dumps(document).encode())
        bundle.verify(self.public)
        root = self.stack.trusted_root() if root is None else root
        return [one.time for one in dating.witnesses(bundle, self.public.id, root)]


def certificate_pem(stack: LocalSigstore, key: ec.EllipticCurvePrivateKey) -> str:
    """A certificate of the instance for a key, as a v1 verifier."""
    from tests.sigstore.forge import alice

    return b64(stack.fulcio.issue(key.public_key(), alice(stack)).public_bytes(PEM))
