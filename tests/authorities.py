"""Certificate authorities of the tests' own: roots, what stands below them, and signers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from stemma_attestations.envelope import pae
from stemma_attestations.keys import PublicKey
from tests.sigstore.encoding import b64

DAY = timedelta(days=1)
CODE, SERVER = ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH
IN_TOTO = "application/vnd.in-toto+json"
V03 = "application/vnd.dev.sigstore.bundle.v0.3+json"


@dataclass(frozen=True)
class Holder:
    """A certificate, and the private key that it is of."""

    private: Any
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def public(self) -> PublicKey:
        return PublicKey.parse(
            self.private.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )

    def write(self, folder: Path, name: str) -> Path:
        """The certificate as NAME.crt; its key is beside it as NAME.pem."""
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        (folder / f"{name}.pem").write_bytes(pem)
        path = folder / f"{name}.crt"
        path.write_bytes(self.certificate.public_bytes(serialization.Encoding.PEM))
        return path


def usage(*, signs: bool, issues: bool) -> x509.KeyUsage:
    """A key usage extension."""
    return x509.KeyUsage(signs, False, False, False, False, issues, False, False, False)


def issue(name: str, by: Holder | None = None, **changes: Any) -> Holder:
    """A certificate; its own root without `by`. `changes`:

    key; ca (None: not said), path (its length); purposes, signs, issues (None: not said);
    start, end (from now); names; constraints (of the names below).
    """
    private = changes.get("key") or ec.generate_private_key(ec.SECP256R1())
    ca = changes.get("ca", True)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC).replace(microsecond=0)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(private.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + changes.get("start", -2 * DAY))
        .not_valid_after(now + changes.get("end", 30 * DAY))
    )
    if ca is not None:
        length = changes.get("path") if ca else None
        builder = builder.add_extension(x509.BasicConstraints(ca, length), True)
    signs, issues = changes.get("signs", not ca), changes.get("issues", bool(ca))
    if signs is not None:
        builder = builder.add_extension(usage(signs=signs, issues=issues), True)
    if changes.get("purposes"):
        builder = builder.add_extension(x509.ExtendedKeyUsage(changes["purposes"]), False)
    if changes.get("names"):
        builder = builder.add_extension(x509.SubjectAlternativeName(changes["names"]), False)
    if changes.get("constraints"):
        builder = builder.add_extension(changes["constraints"], True)
    key = by.private if by else private
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Holder(private, builder.sign(key, algorithm))


def signer(by: Holder | None, name: str = "signer", **changes: Any) -> Holder:
    """The certificate of somebody who signs code."""
    return issue(name, by, **{"ca": False, "purposes": [CODE], **changes})


def chained(
    payload: bytes, holder: Holder, *above: Holder, stamps: tuple[bytes, ...] = (), **fields: Any
) -> dict[str, Any]:
    """A bundle as model_signing writes it with a certificate."""
    hash_ = {256: hashes.SHA256(), 384: hashes.SHA384(), 521: hashes.SHA512()}
    size = holder.private.key_size if hasattr(holder.private, "key_size") else 256
    message = pae(IN_TOTO, payload)
    signature = fields.pop("signature", None) or (
        holder.private.sign(message, ec.ECDSA(hash_.get(size, hashes.SHA256())))
        if isinstance(holder.private, ec.EllipticCurvePrivateKey)
        else holder.private.sign(message)
    )
    material: dict[str, Any] = {
        "x509CertificateChain": {
            "certificates": [{"rawBytes": b64(one.der)} for one in (holder, *above)]
        },
        "tlogEntries": [],
    }
    if stamps:
        listed = [{"signedTimestamp": b64(one)} for one in stamps]
        material["timestampVerificationData"] = {"rfc3161Timestamps": listed}
    return {
        "mediaType": V03,
        "verificationMaterial": {**material, **fields.pop("material", {})},
        "dsseEnvelope": {
            "payload": b64(payload),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": b64(signature)}],
        },
        **fields,
    }
