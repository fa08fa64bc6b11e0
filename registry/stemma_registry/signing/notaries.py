"""The services that date a signature: timestamp authorities (RFC 3161), and Rekor.

What they answer is held against what was asked. Whether their keys are those of a
trusted root is asked where there is one.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadJSON, BadKey
from stemma_attestations.keys import PublicKey
from stemma_registry.errors import Unavailable
from stemma_registry.signing.posting import MAX_BYTES, check_url, post

_GRANTED = (0, 1)  # granted, granted with modifications
_ECDSA = "ecdsa-sha2-nistp256"
# What of a log's answer goes into a bundle; all of it is checked when it is read there.
_ENTRY = (
    "logIndex",
    "logId",
    "kindVersion",
    "integratedTime",
    "inclusionPromise",
    "inclusionProof",
    "canonicalizedBody",
)


@dataclass(frozen=True)
class TimestampAuthority:
    """An RFC 3161 authority over HTTP (section 3.4 there)."""

    url: str

    @classmethod
    def at(cls, url: str) -> TimestampAuthority:
        """The authority whose address is `url`, path and all. Raises BadKey."""
        return cls(check_url(url, "timestamp authority"))

    def stamp(self, signature: bytes) -> bytes:
        """The response for a signature. Raises Unavailable."""
        what = "the timestamp authority"
        try:
            from rfc3161_client import TimestampRequestBuilder, decode_timestamp_response
            from rfc3161_client.base import HashAlgorithm

            builder = TimestampRequestBuilder().data(signature).nonce(nonce=True)
            request = builder.hash_algorithm(HashAlgorithm.SHA256).build()
            raw = post(self.url, request.as_bytes(), "application/timestamp-query", what)
            response = decode_timestamp_response(raw)
            granted = response.status in _GRANTED
            info = response.tst_info if granted else None
        except Unavailable:
            raise
        except Exception as error:
            raise Unavailable(f"{what} {self.url}: its answer is no timestamp") from error
        if info is None:
            raise Unavailable(f"{what} {self.url}: it gave no timestamp")
        digest = hashlib.sha256(signature).digest()
        if info.message_imprint.message != digest or info.nonce != request.nonce:
            raise Unavailable(f"{what} {self.url}: its answer is to another question")
        return raw


@dataclass(frozen=True)
class Log:
    """Rekor, v1 or v2: the URL says which by its end, `/api/v1` or `/api/v2`."""

    url: str
    version: int

    @classmethod
    def at(cls, url: str) -> Log:
        """The log at BASE/api/v1 or BASE/api/v2. Raises BadKey."""
        plain = check_url(url, "log").rstrip("/")
        for version in (1, 2):
            if plain.endswith(f"/api/v{version}"):
                return cls(plain, version)
        raise BadKey(f"{url!r:.80}: a log's URL ends with /api/v1 or /api/v2, as its Rekor is")

    def check_key(self, public: PublicKey) -> None:
        """Whether it takes signatures of such a key. Raises BadKey."""
        if public.scheme != _ECDSA:
            raise BadKey(f"the log takes ECDSA P-256 signatures, and the key is {public.scheme}")

    def enter(self, bundle: Bundle, public: PublicKey) -> Mapping[str, Any]:
        """Put a bundle's signature into the log; the entry in protobuf's JSON.

        Raises Unavailable.
        """
        asked = _dsse(bundle, public) if self.version == 1 else _hashedrekord(bundle, public)
        body, what = json.dumps(asked).encode(), "the log"
        raw = post(f"{self.url}/log/entries", body, "application/json", what)
        try:
            answer = json_strict.load_object(raw, max_bytes=MAX_BYTES)
            entry = _from_v1(answer) if self.version == 1 else answer
            return {name: entry[name] for name in _ENTRY if entry.get(name) is not None}
        except (BadJSON, ValueError, TypeError, KeyError, AttributeError) as error:
            raise Unavailable(f"{what} {self.url}: its answer is no log entry") from error


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _dsse(bundle: Bundle, public: PublicKey) -> dict[str, Any]:
    """https://github.com/sigstore/rekor/tree/main/pkg/types/dsse/v0.0.1."""
    envelope = json.dumps(bundle.envelope.to_json())
    content = {"envelope": envelope, "verifiers": [_b64(public.pem.encode())]}
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}


def _hashedrekord(bundle: Bundle, public: PublicKey) -> dict[str, Any]:
    """https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md."""
    verifier = {
        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
        "publicKey": {"rawBytes": _b64(public.der)},
    }
    return {
        "hashedRekordRequestV002": {
            "digest": _b64(hashlib.sha256(bundle.envelope.signed_bytes).digest()),
            "signature": {"content": _b64(bundle.envelope.signatures[0].sig), "verifier": verifier},
        }
    }


def _from_v1(answer: Mapping[str, Any]) -> dict[str, Any]:
    """The API's spelling (hex, numbers) in that of bundles (base64, numbers in text)."""
    ((_, entry),) = answer.items()
    body = json_strict.load_object(base64.b64decode(entry["body"]), max_bytes=MAX_BYTES)
    verification = entry["verification"]
    proof = verification["inclusionProof"]
    return {
        "logIndex": str(entry["logIndex"]),
        "logId": {"keyId": _b64(bytes.fromhex(entry["logID"]))},
        "kindVersion": {"kind": body["kind"], "version": body["apiVersion"]},
        "integratedTime": str(entry["integratedTime"]),
        "inclusionPromise": {"signedEntryTimestamp": verification["signedEntryTimestamp"]},
        "inclusionProof": {
            "logIndex": str(proof["logIndex"]),
            "treeSize": str(proof["treeSize"]),
            "rootHash": _b64(bytes.fromhex(proof["rootHash"])),
            "hashes": [_b64(bytes.fromhex(node)) for node in proof["hashes"]],
            "checkpoint": {"envelope": proof["checkpoint"]},
        },
        "canonicalizedBody": entry["body"],
    }
