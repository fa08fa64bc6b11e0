"""Public keys: parsing, naming and checking one signature."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from stemma_attestations.errors import BadKey, SignatureRefused

_DER = serialization.Encoding.DER
_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True)
class PublicKey:
    """An ECDSA P-256 (with SHA-256) or Ed25519 public key. Build one with `parse`."""

    der: bytes

    @classmethod
    def parse(cls, data: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo as PEM or DER. Raises BadKey."""
        return cls(_load(data).public_bytes(_DER, _SPKI))

    @property
    def id(self) -> str:
        """Hex SHA-256 of the DER bytes: the hint in our bundles, and the name of the key's blob."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """The key as PEM text."""
        return _load(self.der).public_bytes(_PEM, _SPKI).decode("ascii")

    @property
    def hints(self) -> frozenset[str]:
        """The hints under which other tools name this key.

        Hex SHA-256 of the DER (ours and Sigstore's) and of the PEM text
        (OpenSSF model-signing).
        """
        return frozenset({self.id, hashlib.sha256(self.pem.encode()).hexdigest()})

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check one signature. Raises SignatureRefused."""
        key = _load(self.der)
        try:
            if isinstance(key, ed25519.Ed25519PublicKey):
                key.verify(signature, message)
            else:
                key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise SignatureRefused(
                f"the signature does not verify with key {self.id[:12]}"
            ) from error


def _load(data: bytes) -> ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey:
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(data)
        else:
            key = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("not a public key (PEM or DER SubjectPublicKeyInfo)") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise BadKey("only ECDSA P-256 and Ed25519 keys are supported")
