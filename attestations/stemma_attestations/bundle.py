"""Sigstore bundles around DSSE envelopes, with a public-key hint or a certificate.

https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_bundle.proto
The bytes are kept; a view is parsed beside them, strictly.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope, Signature, plain_base64, unbase64
from stemma_attestations.errors import (
    BadBundle,
    BadEnvelope,
    BadJSON,
    BadKey,
    BadStatement,
    SignatureRefused,
)
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import PAYLOAD_TYPE, Statement

MEDIA_TYPE = "application/vnd.dev.sigstore.bundle.v0.3+json"
# What else bundles with a certificate are called. Before v0.3 they hold a list that begins with it.
_KEYLESS_V03 = frozenset({MEDIA_TYPE, "application/vnd.dev.sigstore.bundle+json;version=0.3"})
_KEYLESS_OLD = frozenset(
    f"application/vnd.dev.sigstore.bundle+json;version={version}" for version in ("0.1", "0.2")
)
MAX_BYTES = 96 * 1024 * 1024  # a statement of its largest size, in base64
# What `Bundle.build` writes around its three texts, and the room that the last two take at most.
_BEFORE = b'{"dsseEnvelope":{"payload":"'
_SIGNED = f'","payloadType":"{PAYLOAD_TYPE}","signatures":[{{"sig":"'.encode()
_NAMED = (
    f'"}}]}},"mediaType":"{MEDIA_TYPE}","verificationMaterial":{{"publicKey":{{"hint":"'.encode()
)
_BEHIND = b'"}}}'
_ROOM = 4096
_HINT = 64  # hex digits
_HEX = b"0123456789abcdef"


@dataclass(frozen=True)
class Frame:
    """What every bundle has around its content: the document, and what names the key."""

    document: Mapping[str, Any]
    hint: str
    certificate: bytes | None
    material: Mapping[str, Any]

    @classmethod
    def read(cls, raw: bytes) -> Frame:
        """Read the frame of a bundle. Raises BadBundle."""
        try:
            document = json_strict.load_object(raw, max_bytes=MAX_BYTES)
        except BadJSON as error:
            raise BadBundle(f"bundle: {error}") from error
        material: Any = document.get("verificationMaterial")
        keyless = _is_keyless(material)
        _check_media_type(document.get("mediaType"), material if keyless else None)
        if not keyless:
            return cls(document, _parse_hint(material), None, material)
        refuse_second_spelling(document)
        return cls(document, "", _parse_certificate(material), material)


@dataclass(frozen=True)
class Bundle:
    """One envelope with one signature, and what names the key that made it.

    That is a `hint`, or the `certificate` (DER, not checked) that holds the key; the
    hint is then empty. Bundles with a certificate are verified by `keyless.verify`.
    `material` is the verification material as it was read, timestamps and log entries
    included; a bundle that was just built has none.
    """

    raw: bytes
    envelope: Envelope
    hint: str
    certificate: bytes | None = None
    material: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

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
        return _as_built(raw) or cls._parse(raw)

    @classmethod
    def _parse(cls, raw: bytes) -> Bundle:
        frame = Frame.read(raw)
        if "messageSignature" in frame.document:
            what = "an envelope and a message signature in one bundle"
            if "dsseEnvelope" not in frame.document:
                what = "a message signature instead of an envelope"
            raise BadBundle(what)
        try:
            envelope = Envelope.parse(frame.document.get("dsseEnvelope"))
        except BadEnvelope as error:
            raise BadBundle(f"bundle: {error}") from error
        if len(envelope.signatures) != 1:
            raise BadBundle("a bundle's envelope has exactly one signature")
        return cls(raw, envelope, frame.hint, frame.certificate, frame.material)

    def dated(
        self, timestamps: Sequence[bytes], log_entries: Sequence[Mapping[str, Any]]
    ) -> Bundle:
        """The same with evidence of when it was signed: what `dating` reads. Raises BadBundle.

        RFC 3161 responses, and log entries in protobuf's JSON.
        """
        document = json_strict.load_object(self.raw, max_bytes=MAX_BYTES)
        material = document["verificationMaterial"]
        if timestamps:
            stamps = [{"signedTimestamp": base64.b64encode(one).decode()} for one in timestamps]
            material["timestampVerificationData"] = {"rfc3161Timestamps": stamps}
        if log_entries:
            material["tlogEntries"] = list(log_entries)
        return Bundle.parse(canonical.dumps(document))

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
        return guarded(lambda: self._verify(key))

    def _verify(self, key: PublicKey) -> Statement:
        if self.certificate is not None:
            raise SignatureRefused("the bundle has a certificate: no key verifies it")
        if self.hint not in key.hints:
            raise SignatureRefused(f"the bundle names key {self.hint:.12}, not {key.id[:12]}")
        key.verify(self.envelope.signatures[0].sig, self.envelope.signed_bytes)
        try:
            return self.statement()
        except (BadBundle, BadStatement) as error:
            raise SignatureRefused(f"signed, but not a statement: {error}") from error


def _as_built(raw: bytes) -> Bundle | None:
    """A bundle in exactly the bytes that `Bundle.build` writes: nearly all are, and it is fast.

    None for any other, also for one that is wrong: that is read with care. Neither base64 nor a
    hexadecimal hint has anything in it that JSON could read in another way.
    """
    named = len(raw) - len(_NAMED) - _HINT - len(_BEHIND)
    signed = raw.rfind(_SIGNED, max(0, named - _ROOM), max(0, named))
    hint = raw[named + len(_NAMED) : -len(_BEHIND)]
    if not (
        signed > 0
        and len(raw) <= MAX_BYTES
        and raw.startswith(_BEFORE)
        and raw.startswith(_NAMED, named)
        and raw.endswith(_BEHIND)
        and not hint.translate(None, _HEX)
    ):
        return None
    payload = plain_base64(raw[len(_BEFORE) : signed])
    signature = plain_base64(raw[signed + len(_SIGNED) : named])
    if not payload or not signature:
        return None
    key = hint.decode("ascii")
    envelope = Envelope(payload, PAYLOAD_TYPE, (Signature(signature),))
    return Bundle(raw, envelope, key, None, {"publicKey": {"hint": key}})


def verify_bundle(raw: bytes, key_der: bytes | None) -> Statement:
    """Verify a bundle's bytes with the key's bytes. Raises SignatureRefused."""
    if key_der is None:
        raise SignatureRefused("the public key of the bundle is not known")
    try:
        return Bundle.parse(raw).verify(PublicKey.parse(key_der))
    except (BadBundle, BadKey) as error:
        raise SignatureRefused(str(error)) from error


def _is_keyless(material: Any) -> bool:
    return isinstance(material, dict) and (
        "certificate" in material or "x509CertificateChain" in material
    )


def _check_media_type(found: Any, material: dict[str, Any] | None) -> None:
    if material is None:
        allowed: frozenset[str] = frozenset({MEDIA_TYPE})
    else:
        allowed = _KEYLESS_V03 if "certificate" in material else _KEYLESS_OLD
    if not isinstance(found, str) or found not in allowed:
        raise BadBundle(f"not a bundle of type {MEDIA_TYPE}")


def _parse_hint(material: Any) -> str:
    if not isinstance(material, dict):
        raise BadBundle("a bundle has verificationMaterial")
    key = material.get("publicKey")
    if not isinstance(key, dict) or not isinstance(key.get("hint"), str) or not key["hint"]:
        raise BadBundle("a bundle names its public key by a hint")
    if not key["hint"].isprintable():  # it is shown to people, on terminals
        raise BadBundle("a bundle's hint has characters that cannot be printed")
    return str(key["hint"])


def refuse_second_spelling(document: Mapping[str, Any]) -> None:
    """Protobuf's JSON has two names for a field (`logIndex`, `log_index`): one is enough.

    Raises BadBundle.
    """
    waiting: list[Any] = [document]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            if any("_" in name for name in value):
                raise BadBundle("a bundle's fields are in camelCase")
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _parse_certificate(material: dict[str, Any]) -> bytes:
    if sum(kind in material for kind in ("publicKey", "certificate", "x509CertificateChain")) != 1:
        raise BadBundle("a bundle names its key in one way only")
    certificate = material.get("certificate")
    if "x509CertificateChain" in material:
        chain = material["x509CertificateChain"]
        certificates = chain.get("certificates") if isinstance(chain, dict) else None
        if not isinstance(certificates, list) or not certificates:
            raise BadBundle("a bundle's certificate chain is a list that is not empty")
        certificate = certificates[0]
    if not isinstance(certificate, dict):
        raise BadBundle("a bundle's certificate is an object")
    try:
        return unbase64(certificate.get("rawBytes"), "certificate")
    except BadEnvelope as error:
        raise BadBundle("a bundle's certificate is not canonical base64") from error
