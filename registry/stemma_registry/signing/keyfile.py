"""Signing keys in files: PKCS#8 PEM, plain or encrypted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from stemma_attestations.errors import BadKey
from stemma_attestations.keys import PublicKey
from stemma_registry import files
from stemma_registry.errors import NotFound, Refused
from stemma_registry.signing.contract import KeyHolder, Secret

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

SCHEME = "key:"
MAX_KEY_BYTES = 64 * 1024
KEY_TYPES = ("ecdsa-p256", "ed25519", "rsa")
RSA_BITS = 3072  # as strong as P-256


@dataclass(frozen=True)
class KeySigner(KeyHolder):
    """A private key in memory, and its public half."""

    private: Any
    public: PublicKey

    def sign_bytes(self, message: bytes) -> bytes:
        """The signature over `message`. Raises Refused."""
        from securesystemslib.signer import CryptoSigner  # type: ignore[attr-defined]

        try:
            return bytes.fromhex(CryptoSigner(self.private).sign(message).signature)
        except Exception as error:  # the library's errors have no common root
            raise Refused(f"signing failed: {error}") from error


def load(file: str, passphrase: Secret) -> KeySigner:
    """The signer of a key file; `passphrase` is asked only for an encrypted key.

    Raises NotFound, BadKey, Unavailable.
    """
    path = Path(file).expanduser()
    try:
        pem = files.read(path, "signing key", MAX_KEY_BYTES)
    except NotFound as error:
        raise NotFound(f"{error} (make one: `stemma key new`)") from error
    return from_private(_load_private(pem, path, passphrase))


def _load_private(pem: bytes, path: Path, passphrase: Secret) -> PrivateKeyTypes:
    try:
        return serialization.load_pem_private_key(pem, None)
    except TypeError:
        pass  # encrypted
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path} is not a private key in PEM") from error
    secret = passphrase()
    if not secret:
        raise BadKey(f"{path} is encrypted (set STEMMA_KEY_PASSPHRASE)")
    try:
        return serialization.load_pem_private_key(pem, secret.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey(f"{path}: wrong passphrase") from error


def from_private(private: PrivateKeyTypes) -> KeySigner:
    """The signer of a private key in memory. Raises BadKey."""
    der = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return KeySigner(private, PublicKey.parse(der))


def new_key(key_type: str, passphrase: str | None) -> tuple[bytes, PublicKey]:
    """A fresh key as PKCS#8 PEM, encrypted where there is a passphrase. Raises BadKey."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if key_type == "ecdsa-p256":
        private = ec.generate_private_key(ec.SECP256R1())
    elif key_type == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    elif key_type == "rsa":
        private = rsa.generate_private_key(65537, RSA_BITS)
    else:
        raise BadKey(f"unknown key type {key_type!r:.40} (one of {', '.join(KEY_TYPES)})")
    encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
    if passphrase:
        encryption = serialization.BestAvailableEncryption(passphrase.encode())
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
    )
    return pem, from_private(private).public


def write_key(path: Path, pem: bytes, public: PublicKey) -> Path:
    """Write the key (0600) and, beside it, its public half (`.pub`), overwriting neither.

    Returns the public half's path. Raises AlreadyThere, Unavailable.
    """
    public_path = path.with_suffix(".pub")
    files.write_new(path, "key", pem, 0o600)
    files.write_new(public_path, "key", public.pem.encode())
    return public_path


def write_public(path: Path, public: PublicKey) -> None:
    """Write a public key as PEM, overwriting nothing. Raises AlreadyThere, Unavailable."""
    files.write_new(path, "key", public.pem.encode())
