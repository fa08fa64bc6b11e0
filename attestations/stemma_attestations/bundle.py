"""Sigstore bundles v0.3 around DSSE envelopes, named by a public-key hint.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
The bytes are kept; a view is parsed beside them, strictly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope, Signature
from stemma_attestations.errors import (
    BadBundle,
    BadEnvelope,
    BadJSON,
    BadKey,
    BadStatement,
    SignatureRefused,
)
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import PAYLOAD_TYPE, Statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
MAX_BYTES = 96 * 1024 * 1024  # a statement of its largest size, in base64


@dataclass(frozen=True)
class Bundle:
    """One envelope with one signature, and the hint of the key that made it."""

    raw: bytes
    envelope: Envelope
    hint: str

    @classmethod
    def build(cls, payload: bytes, signature: bytes, key: PublicKey) -> Bundle:
        """Wrap a signature over `pae(PAYLOAD_TYPE, payload)` that `key` verifies."""
        envelope = Envelope(payload, PAYLOAD_TYPE, (Signature(signature),))
        document = {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {"publicKey": {"hint": key.id}},
            "dsseEnvelope": envelope.to_json(),
        }
        return cls(canonical.dumps(document), envelope, key.id)

    @classmethod
    def parse(cls, raw: bytes) -> Bundle:
        """Read a bundle. Raises BadBundle."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            if document.get("mediaType") != MEDIA_TYPE:
                raise BadBundle(f"not a bundle of type {MEDIA_TYPE}")
            envelope = Envelope.parse(document.get("dsseEnvelope"))
        except (BadJSON, BadEnvelope) as error:
            raise BadBundle(f"bundle: {error}") from error
        if len(envelope.signatures) != 1:
            raise BadBundle("a bundle's envelope has exactly one signature")
        return cls(raw, envelope, _parse_hint(document.get("verificationMaterial")))

    @property
    def digest(self) -> Digest:
        """SHA-256 of the bundle's bytes: its blob's name."""
        return Digest.of(self.raw)

    def statement(self) -> Statement:
        """The payload, *before* any verification: for showing, never for believing.

        Raises BadBundle, BadStatement.
        """
        if self.envelope.payload_type != PAYLOAD_TYPE:
            raise BadBundle(f"the payload type is not {PAYLOAD_TYPE}")
        return Statement.parse(self.envelope.payload)

    def verify(self, key: PublicKey) -> Statement:
        """Check the signature with `key`, then parse exactly the bytes it covers.

        Raises SignatureRefused for anything that is not a good signature over
        an in-toto statement.
        """
        if self.hint not in key.hints:
            raise SignatureRefused(f"the bundle names key {self.hint:.12}, not {key.id[:12]}")
        key.verify(self.envelope.signatures[0].sig, self.envelope.signed_bytes)
        try:
            return self.statement()
        except (BadBundle, BadStatement) as error:
            raise SignatureRefused(f"signed, but not a statement: {error}") from error


def verify_bundle(raw: bytes, key_der: bytes | None) -> Statement:
    """Verify a bundle's bytes with the key's bytes. Raises SignatureRefused."""
    if key_der is None:
        raise SignatureRefused("the public key of the bundle is not known")
    try:
        return Bundle.parse(raw).verify(PublicKey.parse(key_der))
    except (BadBundle, BadKey) as error:
        raise SignatureRefused(str(error)) from error


def _parse_hint(material: Any) -> str:
    if not isinstance(material, dict):
        raise BadBundle("a bundle has verificationMaterial")
    if "certificate" in material or "x509CertificateChain" in material:
        raise BadBundle("the bundle is keyless (a certificate); this version reads key bundles")
    key = material.get("publicKey")
    if not isinstance(key, dict) or not isinstance(key.get("hint"), str) or not key["hint"]:
        raise BadBundle("a bundle names its public key by a hint")
    return str(key["hint"])
