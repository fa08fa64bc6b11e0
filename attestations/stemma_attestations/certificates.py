"""Verify bundles that are signed with the key of an X.509 certificate, up to a pinned root.

What `model_signing verify certificate` reads: a bundle v0.3 with an `x509CertificateChain`,
the signer's certificate first. No log saw it, and no authority of Sigstore's issued it.

`cryptography` builds and checks the path (RFC 5280). The chain in the bundle is only hints:
a path ends at a root that the caller pins, or there is none. Whatever goes wrong inside,
also in the library, is a refusal. Revocation is not asked: there is nobody to ask offline.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID

from stemma_attestations import canonical, json_strict
from stemma_attestations.bundle import MAX_BYTES, MEDIA_TYPE, Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope, unbase64
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
from stemma_attestations.times import format_time
from stemma_attestations.trusted_root import TrustedRoot

MAX_CHAIN = 10  # certificates in a bundle
MAX_PINNED = 1_000  # certificates that one caller pins
MAX_PINNED_BYTES = 4 * 1024 * 1024
MAX_CERTIFICATE_BYTES = 64 * 1024
# Each curve with its hash, as model_signing has them. It knows no other keys of signers.
_HASHES: dict[str, hashes.HashAlgorithm] = {
    "secp256r1": hashes.SHA256(),
    "secp384r1": hashes.SHA384(),
    "secp521r1": hashes.SHA512(),
}


@dataclass(frozen=True)
class Chained:
    """A bundle with a certificate chain, as it was read: `chain` is DER, the signer's first."""

    envelope: Envelope
    chain: tuple[bytes, ...]
    timestamps: tuple[bytes, ...]

    @classmethod
    def parse(cls, raw: bytes) -> Chained:
        """Read a bundle. Raises BadBundle."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            material = document.get("verificationMaterial")
            if not is_chained(document) or not isinstance(material, dict):
                raise BadBundle("not a bundle with a certificate chain")
            envelope = Envelope.parse(document.get("dsseEnvelope"))
            if len(envelope.signatures) != 1:
                raise BadBundle("a bundle's envelope has exactly one signature")
            return cls(envelope, _chain(material), _timestamps(material))
        except (BadJSON, BadEnvelope) as error:
            raise BadBundle(f"bundle: {error}") from error


@dataclass(frozen=True)
class Verified:
    """What a chained bundle proves. `signer` is for people, `root` the root's digest.

    `signed` is a trusted time at which the signature existed; None where there is none,
    and the path was then checked at the time of the question.
    """

    statement: Statement
    signer: str
    root: Digest
    signed: datetime | None


def is_chained(document: Any) -> bool:
    """Whether a document is a bundle v0.3 with a certificate chain and no log entry."""
    material = document.get("verificationMaterial") if isinstance(document, dict) else None
    return (
        isinstance(material, dict)
        and document.get("mediaType") == MEDIA_TYPE
        and "x509CertificateChain" in material
        and "certificate" not in material
        and "publicKey" not in material
        and material.get("tlogEntries", []) == []
        and "messageSignature" not in document
    )


def verify(
    raw: bytes, pinned: Sequence[bytes], now: datetime, trusted_root: bytes | None = None
) -> Verified:
    """Verify a bundle's bytes up to one of the pinned certificates (DER) that is a root.

    The others of them help to build the path, as those in the bundle do. The path must
    have been good at the first time that a timestamp authority of the Sigstore trusted
    root vouches for; without such a time, at `now`. Raises SignatureRefused.
    """
    try:
        return _verify(raw, pinned, now, trusted_root)
    except SignatureRefused:
        raise
    except Exception as error:
        raise _refusal(error) from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # what a crash of Rust code becomes
            raise
        raise _refusal(error) from error


def read_pem(data: bytes) -> tuple[bytes, ...]:
    """The certificates (DER) of a PEM file, in its order. Raises BadKey."""
    try:
        found = x509.load_pem_x509_certificates(data)
    except Exception as error:  # the library's errors have no common root
        raise BadKey("not certificates in PEM") from error
    if len(found) > MAX_PINNED:
        raise BadKey(f"{len(found)} certificates, at most {MAX_PINNED} are read")
    return tuple(_der(one) for one in found)


def check(chain: Sequence[bytes], key: PublicKey, now: datetime) -> None:
    """Refuse to sign with a certificate that is not the key's, or may not sign code now.

    Where a root is among what stands above it, the path up to that must be good. Raises
    SignatureRefused.
    """
    leaf, *above = [_load(der) for der in chain]
    if _spki(leaf) != key.der:
        raise SignatureRefused("the certificate is not of the key that signs")
    _check_leaf(leaf)
    if not leaf.not_valid_before_utc <= now <= leaf.not_valid_after_utc:
        raise SignatureRefused(f"the certificate is not valid at {format_time(now)}")
    if any(_is_root(one) for one in above):
        _path(leaf, [], above, (None, now))


def bundle(signed: Bundle, chain: Sequence[bytes]) -> bytes:
    """A key's bundle with the certificate of that key, and those above it, instead of a hint.

    Roots are left out: whoever verifies has his own. Raises SignatureRefused.
    """
    leaf, *above = [_load(der) for der in chain]
    _check_signature(leaf, signed.envelope.signatures[0].sig, signed.envelope.signed_bytes)
    kept = [leaf, *(one for one in above if not _is_root(one))]
    if len(kept) > MAX_CHAIN:
        raise SignatureRefused(f"{len(kept)} certificates, at most {MAX_CHAIN} go into a bundle")
    encoded = [base64.b64encode(_der(one)).decode("ascii") for one in kept]
    return canonical.dumps(
        {
            "mediaType": MEDIA_TYPE,
            "verificationMaterial": {
                "x509CertificateChain": {"certificates": [{"rawBytes": one} for one in encoded]},
                "tlogEntries": [],
            },
            "dsseEnvelope": signed.envelope.to_json(),
        }
    )


def described(der: bytes) -> str:
    """A certificate, for people. Raises SignatureRefused."""
    return _described(_load(der))


def _refusal(error: BaseException) -> SignatureRefused:
    reason = " ".join(str(error).split()) or type(error).__name__
    return SignatureRefused(f"not verified: {reason:.300}")


def _chain(material: dict[str, Any]) -> tuple[bytes, ...]:
    chain = material["x509CertificateChain"]
    listed = chain.get("certificates") if isinstance(chain, dict) else None
    if not isinstance(listed, list) or not 1 <= len(listed) <= MAX_CHAIN:
        raise BadBundle(f"a certificate chain has 1 to {MAX_CHAIN} certificates")
    if not all(isinstance(one, dict) for one in listed):
        raise BadBundle("a bundle's certificate is an object")
    return tuple(unbase64(one.get("rawBytes"), "certificate") for one in listed)


def _timestamps(material: dict[str, Any]) -> tuple[bytes, ...]:
    data = material.get("timestampVerificationData", {})
    listed = data.get("rfc3161Timestamps", []) if isinstance(data, dict) else None
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise BadBundle("a bundle's timestamps are a list of objects")
    if len(listed) > MAX_CHAIN:
        raise BadBundle(f"{len(listed)} timestamps, at most {MAX_CHAIN} are read")
    return tuple(unbase64(one.get("signedTimestamp"), "timestamp") for one in listed)


def _verify(
    raw: bytes, pinned: Sequence[bytes], now: datetime, trusted_root: bytes | None
) -> Verified:
    bundle = Chained.parse(raw)
    if bundle.envelope.payload_type != PAYLOAD_TYPE:
        raise SignatureRefused(f"the payload type is not {PAYLOAD_TYPE}")
    leaf, *hints = [_load(der) for der in bundle.chain]
    signature = bundle.envelope.signatures[0].sig
    _check_leaf(leaf)
    _check_signature(leaf, signature, bundle.envelope.signed_bytes)
    signed = None
    if trusted_root is not None and bundle.timestamps:
        times = TrustedRoot.parse(trusted_root).timestamps(bundle.timestamps, signature)
        signed = min(times, default=None)
    root = _path(leaf, hints, [_load(der) for der in pinned], (signed, now))
    try:
        statement = Statement.parse(bundle.envelope.payload)
    except BadStatement as error:
        raise SignatureRefused(f"signed, but not a statement: {error}") from error
    return Verified(statement, _described(leaf), root, signed)


def _load(der: bytes) -> x509.Certificate:
    if len(der) > MAX_CERTIFICATE_BYTES:
        raise SignatureRefused(f"a certificate has at most {MAX_CERTIFICATE_BYTES} bytes")
    try:
        found = x509.load_der_x509_certificate(der)
        list(found.extensions)  # read now: one that is broken, or there twice, is found here
    except Exception as error:  # the library's errors have no common root
        raise SignatureRefused("a certificate cannot be read") from error
    return found


def _check_leaf(leaf: x509.Certificate) -> None:
    """Both uses must be named. model_signing takes either, so also a web server's certificate."""
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound as error:
        raise SignatureRefused(
            "the certificate does not say that its key signs code "
            "(key usage digitalSignature, extended key usage codeSigning)"
        ) from error
    if not usage.digital_signature:
        raise SignatureRefused("the certificate's key usage is not digitalSignature")
    if ExtendedKeyUsageOID.CODE_SIGNING not in purposes:
        raise SignatureRefused("the certificate's extended key usage is not codeSigning")


def _check_signature(leaf: x509.Certificate, signature: bytes, message: bytes) -> None:
    key = leaf.public_key()
    algorithm = _HASHES.get(key.curve.name) if isinstance(key, ec.EllipticCurvePublicKey) else None
    if not isinstance(key, ec.EllipticCurvePublicKey) or algorithm is None:
        raise SignatureRefused("the certificate's key is not ECDSA P-256, P-384 or P-521")
    try:
        key.verify(signature, message, ec.ECDSA(algorithm))
    except InvalidSignature as error:
        raise SignatureRefused("the signature is not of the certificate's key") from error


def _path(
    leaf: x509.Certificate,
    hints: Sequence[x509.Certificate],
    pinned: Sequence[x509.Certificate],
    times: tuple[datetime | None, datetime],
) -> Digest:
    """The pinned root at the end of a path that is good at that time."""
    roots = [one for one in pinned if _is_root(one)]
    if not roots:
        raise SignatureRefused("none of the pinned certificates is a root (it signs itself)")
    if leaf in roots:
        raise SignatureRefused("the signer's certificate is a root: nobody issued it")
    between = [one for one in (*hints, *pinned) if one not in roots and one != leaf]
    signed, now = times
    time = now if signed is None else signed
    builder = verification.PolicyBuilder().store(verification.Store(roots))
    builder = builder.time(time.astimezone(UTC).replace(tzinfo=None)).max_chain_depth(MAX_CHAIN)
    builder = builder.extension_policies(ca_policy=_authorities(), ee_policy=_signers())
    try:
        found = builder.build_client_verifier().verify(leaf, between)
    except verification.VerificationError as error:
        what = f"at {format_time(time)}"
        if signed is None:
            what = f"now, {what} (no trusted time says when it was signed)"
        why = " ".join(str(error).split())
        raise SignatureRefused(
            f"no path from the {_described(leaf)} to a pinned root is good {what}: {why:.200}"
        ) from error
    return _digest(found.chain[-1])


def _authorities() -> verification.ExtensionPolicy:
    """What the certificates that issue others must say of themselves."""
    policy, must = verification.ExtensionPolicy, verification.Criticality
    return (
        policy.permit_all()
        .require_present(x509.BasicConstraints, must.AGNOSTIC, _is_authority)
        .may_be_present(x509.KeyUsage, must.AGNOSTIC, _issues)
        .may_be_present(x509.ExtendedKeyUsage, must.AGNOSTIC, _issues_signers)
    )


def _signers() -> verification.ExtensionPolicy:
    """What the signer's certificate must say; `_check_leaf` asks it in better words."""
    policy, must = verification.ExtensionPolicy, verification.Criticality
    return (
        policy.permit_all()
        .require_present(x509.KeyUsage, must.AGNOSTIC, None)
        .require_present(x509.ExtendedKeyUsage, must.AGNOSTIC, None)
    )


def _is_authority(_: Any, __: x509.Certificate, found: x509.BasicConstraints) -> None:
    if not found.ca:
        raise ValueError("a certificate that is no authority issued another")


def _issues(_: Any, __: x509.Certificate, found: x509.KeyUsage | None) -> None:
    if found is not None and not found.key_cert_sign:
        raise ValueError("a certificate issued another, and its key usage is not keyCertSign")


def _issues_signers(_: Any, __: x509.Certificate, found: x509.ExtendedKeyUsage | None) -> None:
    wanted = {ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE}
    if found is not None and not wanted & set(found):
        raise ValueError("an authority that may not issue for codeSigning did")


def _is_root(one: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(one)
    except Exception:  # noqa: BLE001 - whatever is wrong with it, it does not sign itself
        return False
    return True


def _described(one: x509.Certificate) -> str:
    """Its subject, its alternative names and its digest; `ascii` shows what hides in them."""
    try:
        listed = one.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        listed = x509.SubjectAlternativeName([])
    kinds = (x509.RFC822Name, x509.UniformResourceIdentifier, x509.DNSName)
    names = [str(name.value) for name in listed if isinstance(name, kinds)]
    words = " ".join(ascii(text)[1:-1] for text in (one.subject.rfc4514_string(), *names) if text)
    return f"certificate {words:.200} ({_digest(one).value[:12]})"


def _digest(one: x509.Certificate) -> Digest:
    return Digest.of(_der(one))


def _der(one: x509.Certificate) -> bytes:
    return one.public_bytes(serialization.Encoding.DER)


def _spki(one: x509.Certificate) -> bytes:
    return one.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
