"""The encodings that Sigstore's messages and certificates are made of."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import NameOID, ObjectIdentifier

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
DER, PEM = serialization.Encoding.DER, serialization.Encoding.PEM


def b64(data: bytes) -> str:
    """Standard base64 text."""
    return base64.b64encode(data).decode("ascii")


def unb64(text: str) -> bytes:
    """The bytes of standard base64 text."""
    return base64.b64decode(text, validate=True)


def sha256(data: bytes) -> bytes:
    """SHA-256, raw."""
    return hashlib.sha256(data).digest()


def spki(key: Private) -> bytes:
    """The DER SubjectPublicKeyInfo of a key's public half."""
    public = key.public_key()
    return public.public_bytes(DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def p256() -> ec.EllipticCurvePrivateKey:
    """A fresh ECDSA P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def seconds_now() -> datetime:
    """The time, to the second, as certificates hold it."""
    return datetime.now(UTC).replace(microsecond=0)


def rfc3339(time: datetime) -> str:
    """A time as protobuf's JSON writes it."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def der(tag: int, data: bytes) -> bytes:
    """One DER element of a one-byte tag."""
    if len(data) < 0x80:
        return bytes([tag, len(data)]) + data
    size = len(data).to_bytes((len(data).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(size)]) + size + data


def der_text(text: str) -> bytes:
    """A DER UTF8String."""
    return der(0x0C, text.encode())


def distinguished(common_name: str) -> x509.Name:
    """A subject of the test instance."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "sigstore.test"),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def key_usage(*, signs: bool = False, certifies: bool = False) -> x509.KeyUsage:
    """A key usage: of a leaf that signs, or of an authority that certifies."""
    return x509.KeyUsage(
        digital_signature=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certifies,
        crl_sign=certifies,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """A certificate authority: a self-signed root, or an intermediate below `parent`."""

    def __init__(
        self,
        common_name: str,
        parent: Authority | None = None,
        purpose: ObjectIdentifier | None = None,
    ) -> None:
        self.key = ec.generate_private_key(ec.SECP384R1())
        above = parent or self
        subject = distinguished(common_name)
        now = seconds_now()
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(parent.certificate.subject if parent else subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if parent else None), True)
            .add_extension(key_usage(certifies=True), True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), False)
        )
        if parent is not None:
            builder = builder.add_extension(parent.identifier(), False)
        if purpose is not None:
            builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
        self.certificate = builder.sign(above.key, hashes.SHA256())

    def identifier(self) -> x509.AuthorityKeyIdentifier:
        """How certificates below name this authority's key."""
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
