"""DSSE envelopes: a payload, its type, and signatures over both.

https://github.com/secure-systems-lab/dsse/blob/master/envelope.md
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from stemma_attestations.errors import BadEnvelope
from stemma_attestations.guarding import guarded

MAX_SIGNATURES = 64


def pae(payload_type: str, payload: bytes) -> bytes:
    """The pre-authentication encoding: the bytes that are signed."""
    kind = payload_type.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True)
class Signature:
    """One signature; `keyid` is an unauthenticated hint."""

    sig: bytes
    keyid: str = ""


@dataclass(frozen=True)
class Envelope:
    """A payload and the signatures over `pae(payload_type, payload)`."""

    payload: bytes
    payload_type: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, obj: object) -> Envelope:
        """Read the envelope's JSON object. Raises BadEnvelope."""
        if not isinstance(obj, dict):
            raise BadEnvelope("a DSSE envelope is an object")
        payload_type = obj.get("payloadType")
        if not isinstance(payload_type, str) or not payload_type:
            raise BadEnvelope("an envelope has a payloadType")
        signatures = obj.get("signatures")
        if not isinstance(signatures, list) or not signatures:
            raise BadEnvelope("an envelope has at least one signature")
        if len(signatures) > MAX_SIGNATURES:
            raise BadEnvelope(f"more than {MAX_SIGNATURES} signatures")
        payload = unbase64(obj.get("payload"), "payload")
        return cls(payload, payload_type, tuple(_parse_signature(s) for s in signatures))

    def to_json(self) -> dict[str, Any]:
        """The JSON object."""
        return {
            "payload": base64.b64encode(self.payload).decode("ascii"),
            "payloadType": self.payload_type,
            "signatures": [_signature_json(s) for s in self.signatures],
        }

    @property
    def signed_bytes(self) -> bytes:
        """What the signatures are over."""
        return pae(self.payload_type, self.payload)


def _signature_json(signature: Signature) -> dict[str, str]:
    document = {"sig": base64.b64encode(signature.sig).decode("ascii")}
    if signature.keyid:  # unauthenticated, so not written where it says nothing
        document["keyid"] = signature.keyid
    return document


def _parse_signature(obj: object) -> Signature:
    if not isinstance(obj, Mapping):
        raise BadEnvelope("a signature is an object")
    keyid = obj.get("keyid")
    if not isinstance(keyid, str | None):
        raise BadEnvelope("a signature's keyid is text")
    # In protobuf's JSON null is a field that is not there; model_signing 1.0 writes it.
    return Signature(unbase64(obj.get("sig"), "sig"), keyid or "")


def unbase64(value: object, field: str) -> bytes:
    """Decode standard base64, and only its one canonical spelling. Raises BadEnvelope."""
    if not isinstance(value, str) or not value:
        raise BadEnvelope(f"an envelope's {field} is base64 text")
    try:
        data = guarded(lambda: _decoded(value.encode("ascii")), BadEnvelope)
    except BadEnvelope as error:
        raise BadEnvelope(f"an envelope's {field} is not base64") from error
    if data is None:
        raise BadEnvelope(f"an envelope's {field} is not canonical base64")
    return data


def plain_base64(text: bytes) -> bytes | None:
    """The same for what stands in a document; None for what `unbase64` has to look at."""
    try:
        return guarded(partial(_decoded, text), BadEnvelope)
    except BadEnvelope:
        return None


def _decoded(text: bytes) -> bytes | None:
    """None for another spelling than the canonical one. Raises ValueError for what is none."""
    data = binascii.a2b_base64(text, strict_mode=True)
    # Bits behind the last byte decode to nothing: without this, changed text verifies. What comes
    # before the last four characters has one spelling, since nothing was passed over.
    last = binascii.b2a_base64(data[len(data) - (len(data) % 3 or 3) :], newline=False)
    return data if len(text) == 4 * ((len(data) + 2) // 3) and text.endswith(last) else None
