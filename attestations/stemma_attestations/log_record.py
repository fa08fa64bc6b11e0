"""What an entry of a transparency log records: of which bytes which signature by which key.

The kinds are those of Rekor v1 and v2 that say all three. Whether the log has the entry
is not asked here (`log_entry`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.envelope import Envelope, unbase64
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.log_entry import LogEntry

DSSE, RECORD_V1, RECORD_V2 = "dsse/0.0.1", "hashedrekord/0.0.1", "hashedrekord/0.0.2"
_BODY_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Record:
    """What one entry says; `digest` is hex, empty where it is not a SHA-256."""

    kind: str
    digest: str
    signature: bytes
    key: PublicKey

    def check(self, wanted: Mapping[str, str], signature: bytes, key_id: str) -> None:
        """Hold it against a signature; `wanted` are digests by kind. Raises SignatureRefused."""
        if self.kind not in wanted:
            raise SignatureRefused(
                f"log entries of kind {self.kind} are not read for such a signature"
            )
        found = (self.digest, self.signature, self.key.id)
        if found != (wanted[self.kind], signature, key_id):
            raise SignatureRefused("the log entry is of another signature")


def of_message(digest: Digest) -> dict[str, str]:
    """Kind of a log entry -> the digest (hex) that it must record of these bytes."""
    return {RECORD_V1: digest.value, RECORD_V2: digest.value}


def of_envelope(envelope: Envelope) -> dict[str, str]:
    """The same of an envelope: v1 logs the payload, v2 what is signed.

    The envelope's own hash, which v1 logs too, depends on how it was spelled.
    """
    return {
        DSSE: Digest.of(envelope.payload).value,
        RECORD_V2: Digest.of(envelope.signed_bytes).value,
    }


def read(entry: LogEntry) -> Record:
    """Read an entry's body. Raises SignatureRefused, BadJSON, BadEnvelope, BadKey."""
    if entry.kind not in _READERS:
        raise SignatureRefused(f"log entries of kind {entry.kind!r:.40} are not read")
    body = json_strict.load_object(entry.body, max_bytes=_BODY_BYTES)
    if f"{body.get('kind')}/{body.get('apiVersion')}" != entry.kind:
        raise SignatureRefused("the log entry's body is of another kind")
    digest, signature, key = _READERS[entry.kind](_at(body, "spec"))
    return Record(entry.kind, digest, signature, PublicKey.parse(key))


def _record_v1(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor/tree/main/pkg/types/hashedrekord/v0.0.1."""
    said, signature = _at(_at(spec, "data"), "hash"), _at(spec, "signature")
    public = unbase64(_at(signature, "publicKey").get("content"), "public key")
    digest = str(said.get("value")) if said.get("algorithm") == "sha256" else ""
    return digest, unbase64(signature.get("content"), "signature"), public


def _record_v2(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md."""
    record = _at(spec, "hashedRekordV002")
    said, signature = _at(record, "data"), _at(record, "signature")
    public = _at(_at(signature, "verifier"), "publicKey")
    digest = ""
    if said.get("algorithm") == "SHA2_256":
        digest = unbase64(said.get("digest"), "digest").hex()
    der = unbase64(public.get("rawBytes"), "public key")
    return digest, unbase64(signature.get("content"), "signature"), der


def _record_dsse(spec: Mapping[str, Any]) -> tuple[str, bytes, bytes]:
    """https://github.com/sigstore/rekor/tree/main/pkg/types/dsse/v0.0.1."""
    said, signatures = _at(spec, "payloadHash"), spec.get("signatures")
    if not isinstance(signatures, list) or len(signatures) != 1:
        raise SignatureRefused("the log entry is not of one signature")
    found = _at({"signature": signatures[0]}, "signature")
    digest = str(said.get("value")) if said.get("algorithm") == "sha256" else ""
    public = unbase64(found.get("verifier"), "public key")
    return digest, unbase64(found.get("signature"), "signature"), public


def _at(obj: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    value = obj.get(field)
    if not isinstance(value, dict):
        raise SignatureRefused(f"a log entry's {field} is an object")
    return value


_READERS = {DSSE: _record_dsse, RECORD_V1: _record_v1, RECORD_V2: _record_v2}
