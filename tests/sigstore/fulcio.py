"""Fulcio: short-lived certificates for whoever a token names, with an embedded SCT.

Certificates follow https://github.com/sigstore/fulcio/blob/main/docs/oid-info.md
and the SCT RFC 6962, section 3.2.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

from tests.sigstore.encoding import (
    DER,
    PEM,
    Authority,
    b64,
    der,
    der_text,
    key_usage,
    p256,
    seconds_now,
    sha256,
    spki,
    unb64,
)
from tests.sigstore.oidc import Oidc

SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
ARC = "1.3.6.1.4.1.57264.1"
LIFETIME = timedelta(minutes=10)
# Token claim -> last arc of the extension, as Fulcio's configuration for GitHub has it.
CLAIMS = {
    "job_workflow_ref_uri": 9,
    "job_workflow_sha": 10,
    "runner_environment": 11,
    "repository_uri": 12,
    "sha": 13,
    "ref": 14,
    "event_name": 20,
    "repository_visibility": 22,
}


@dataclass(frozen=True)
class Leaf:
    """What a certificate is to say; the defaults are what Fulcio would."""

    names: tuple[x509.GeneralName, ...]
    issuer: str
    claims: Mapping[int, str] = field(default_factory=dict)
    start: datetime = field(default_factory=seconds_now)
    lifetime: timedelta = LIFETIME
    raw: Mapping[str, bytes] = field(default_factory=dict)  # further extensions, by OID
    with_issuer: bool = True
    purpose: ObjectIdentifier = ExtendedKeyUsageOID.CODE_SIGNING


class Fulcio:
    """Checks tokens and proofs of possession, and issues."""

    def __init__(self, oidc: Oidc) -> None:
        self.oidc = oidc
        self.root = Authority("fulcio root")
        self.intermediate = Authority(
            "fulcio intermediate", self.root, ExtendedKeyUsageOID.CODE_SIGNING
        )
        self.ct_key = p256()
        self.issued = 0

    def answer(self, body: dict[str, Any], authorisation: str) -> dict[str, Any]:
        """`POST /api/v2/signingCert`."""
        if not authorisation.startswith("Bearer "):
            raise PermissionError("no identity token")
        claims = self.oidc.check(authorisation.removeprefix("Bearer "))
        request = x509.load_pem_x509_csr(unb64(body["certificateSigningRequest"]))
        if not request.is_signature_valid:
            raise ValueError("the request's signature does not verify")
        public = request.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey):
            raise TypeError("only elliptic curves")
        leaf = self.issue(public, Leaf((_subject(claims),), claims["iss"], _extensions(claims)))
        chain = (leaf, self.intermediate.certificate, self.root.certificate)
        texts = [certificate.public_bytes(PEM).decode() for certificate in chain]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": texts}}}

    def issue(self, public: ec.EllipticCurvePublicKey, leaf: Leaf) -> x509.Certificate:
        """A certificate with its SCT; tests call this to have odd ones issued."""
        self.issued += 1
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.intermediate.certificate.subject)
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(leaf.start)
            .not_valid_after(leaf.start + leaf.lifetime)
            .add_extension(key_usage(signs=True), True)
            .add_extension(x509.ExtendedKeyUsage([leaf.purpose]), False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
            .add_extension(self.intermediate.identifier(), False)
            .add_extension(x509.SubjectAlternativeName(leaf.names), True)
        )
        raw = {f"{ARC}.{arc}": der_text(text) for arc, text in leaf.claims.items()}
        if leaf.with_issuer:
            raw[f"{ARC}.1"] = leaf.issuer.encode()
            raw[f"{ARC}.8"] = der_text(leaf.issuer)
        for oid, value in {**raw, **leaf.raw}.items():
            extension = x509.UnrecognizedExtension(ObjectIdentifier(oid), value)
            builder = builder.add_extension(extension, False)
        unlogged = builder.sign(self.intermediate.key, hashes.SHA384())
        scts = x509.UnrecognizedExtension(SCT_LIST, self._scts(unlogged))
        return builder.add_extension(scts, False).sign(self.intermediate.key, hashes.SHA384())

    def _scts(self, certificate: x509.Certificate) -> bytes:
        stamp = int(time.time() * 1000)
        body = certificate.tbs_certificate_bytes
        issuer = sha256(spki(self.intermediate.key))
        entry = struct.pack("!BBQH", 0, 0, stamp, 1) + issuer + len(body).to_bytes(3, "big") + body
        signature = self.ct_key.sign(entry + b"\0\0", ec.ECDSA(hashes.SHA256()))
        sct = (
            b"\0"
            + sha256(spki(self.ct_key))
            + struct.pack("!QH", stamp, 0)
            + bytes([4, 3])  # SHA-256, ECDSA
            + struct.pack("!H", len(signature))
            + signature
        )
        listed = struct.pack("!H", len(sct)) + sct
        return der(0x04, struct.pack("!H", len(listed)) + listed)

    def trusted(self, uri: str, valid: dict[str, str]) -> dict[str, Any]:
        """This authority in a trusted root."""
        chain = (self.intermediate.certificate, self.root.certificate)
        return authority_json(chain, uri, valid)


def authority_json(
    chain: tuple[x509.Certificate, ...], uri: str, valid: dict[str, str]
) -> dict[str, Any]:
    """A CertificateAuthority of protobuf-specs."""
    return {
        "subject": {"organization": "sigstore.test", "commonName": "test"},
        "uri": uri,
        "certChain": {"certificates": [{"rawBytes": b64(c.public_bytes(DER))} for c in chain]},
        "validFor": valid,
    }


def _subject(claims: Mapping[str, Any]) -> x509.GeneralName:
    if "email" in claims:
        if claims.get("email_verified") is not True:
            raise PermissionError("the e-mail address is not verified")
        return x509.RFC822Name(claims["email"])
    return x509.UniformResourceIdentifier(claims["sub"])


def _extensions(claims: Mapping[str, Any]) -> dict[int, str]:
    return {arc: str(claims[name]) for name, arc in CLAIMS.items() if name in claims}
