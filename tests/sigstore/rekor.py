"""Rekor v1 and v2: logs that check a signature, append it, and prove it.

v1: https://github.com/sigstore/rekor/blob/main/openapi.yaml (kinds dsse and hashedrekord).
v2: https://github.com/sigstore/rekor-tiles/blob/main/CLIENTS.md (hashedrekord only).
Trees are RFC 6962's; checkpoints are https://c2sp.org/tlog-checkpoint.
"""

from __future__ import annotations

import json
import secrets
import threading
import time
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from tests.sigstore.encoding import Private, b64, p256, sha256, spki, unb64

ECDSA = ec.ECDSA(hashes.SHA256())
PREHASHED = ec.ECDSA(Prehashed(hashes.SHA256()))


def pae(kind: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding."""
    name = kind.encode()
    return b"DSSEv1 %d %b %d %b" % (len(name), name, len(payload), payload)


class Tree:
    """An RFC 6962 Merkle tree in memory."""

    def __init__(self) -> None:
        self.leaves: list[bytes] = []

    def append(self, body: bytes) -> int:
        """Add an entry; its index."""
        self.leaves.append(sha256(b"\0" + body))
        return len(self.leaves) - 1

    def root(self, low: int = 0, high: int | None = None) -> bytes:
        """The root over a range of leaves, all of them by default."""
        high = len(self.leaves) if high is None else high
        if high - low == 1:
            return self.leaves[low]
        middle = low + _split(high - low)
        return sha256(b"\1" + self.root(low, middle) + self.root(middle, high))

    def path(self, index: int, low: int = 0, high: int | None = None) -> list[bytes]:
        """The inclusion proof of a leaf, from the leaf upward."""
        high = len(self.leaves) if high is None else high
        if high - low == 1:
            return []
        middle = low + _split(high - low)
        if index < middle:
            return [*self.path(index, low, middle), self.root(middle, high)]
        return [*self.path(index, middle, high), self.root(low, middle)]


def _split(size: int) -> int:
    return 1 << ((size - 1).bit_length() - 1)


class Log:
    """What both versions share: a key, a tree, and signed checkpoints."""

    key: Private
    log_id: bytes
    details: str

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.tree = Tree()
        self.lock = threading.Lock()

    def sign(self, data: bytes) -> bytes:
        """Sign with the log's key."""
        if isinstance(self.key, ed25519.Ed25519PrivateKey):
            return self.key.sign(data)
        return self.key.sign(data, ECDSA)

    def note(self, size: int, root: bytes) -> str:
        """A signed checkpoint; tests call it to have one forged by this key."""
        text = f"{self.origin}\n{size}\n{b64(root)}\n"
        signature = b64(self.log_id[:4] + self.sign(text.encode()))
        return f"{text}\n\u2014 {self.origin.partition(' ')[0]} {signature}\n"

    def append(self, body: bytes) -> dict[str, Any]:
        """Append a body unchecked; its inclusion proof, in protobuf's JSON."""
        with self.lock:
            index = self.tree.append(body)
            size, root, path = len(self.tree.leaves), self.tree.root(), self.tree.path(index)
        return {
            "logIndex": str(index),
            "rootHash": b64(root),
            "treeSize": str(size),
            "hashes": [b64(node) for node in path],
            "checkpoint": {"envelope": self.note(size, root)},
        }

    def trusted(self, url: str, valid: dict[str, str]) -> dict[str, Any]:
        """This log in a trusted root."""
        key = {"rawBytes": b64(spki(self.key)), "keyDetails": self.details, "validFor": valid}
        return {
            "baseUrl": url,
            "hashAlgorithm": "SHA2_256",
            "publicKey": key,
            "logId": {"keyId": b64(self.log_id)},
        }


class RekorV1(Log):
    """Promises (SETs) with an integrated time, and inclusion proofs."""

    details = "PKIX_ECDSA_P256_SHA_256"
    # The public log has old shards, so its entries' global index is another number.
    OFFSET = 1_000_000

    def __init__(self, host: str) -> None:
        super().__init__(f"{host} - {secrets.randbits(48)}")
        self.key = p256()
        self.log_id = sha256(spki(self.key))

    def answer(self, proposed: dict[str, Any]) -> dict[str, Any]:
        """`POST /api/v1/log/entries`."""
        check = {"dsse": _check_dsse, "hashedrekord": _check_hashedrekord}[proposed["kind"]]
        spec = check(proposed["spec"])
        entry = {"apiVersion": "0.0.1", "kind": proposed["kind"], "spec": spec}
        return _v1_response(self.entry(rfc8785.dumps(entry), proposed["kind"]))

    def entry(self, body: bytes, kind: str, moment: int | None = None) -> dict[str, Any]:
        """Append a body, unchecked, as a TransparencyLogEntry of protobuf-specs."""
        proof = self.append(body)
        promised = {
            "body": b64(body),
            "integratedTime": int(time.time()) if moment is None else moment,
            "logID": self.log_id.hex(),
            "logIndex": self.OFFSET + int(proof["logIndex"]),
        }
        return {
            "logIndex": str(promised["logIndex"]),
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": str(promised["integratedTime"]),
            "inclusionPromise": {"signedEntryTimestamp": b64(self.sign(rfc8785.dumps(promised)))},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }


def _check_dsse(spec: dict[str, Any]) -> dict[str, Any]:
    content = spec["proposedContent"]
    envelope = json.loads(content["envelope"])
    (verifier,) = content["verifiers"]
    public = _pem_key(unb64(verifier))
    payload = unb64(envelope["payload"])
    for signature in envelope["signatures"]:
        message = pae(envelope["payloadType"], payload)
        public.verify(unb64(signature["sig"]), message, ECDSA)
    return dsse_spec(content["envelope"], payload, envelope["signatures"], verifier)


def dsse_spec(
    envelope: str, payload: bytes, signatures: list[dict[str, str]], verifier: str
) -> dict[str, Any]:
    """The spec of a v1 dsse entry."""
    return {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(envelope.encode()).hex()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hex()},
        "signatures": [{"signature": one["sig"], "verifier": verifier} for one in signatures],
    }


def _check_hashedrekord(spec: dict[str, Any]) -> dict[str, Any]:
    signature, digest = spec["signature"], bytes.fromhex(spec["data"]["hash"]["value"])
    pem = unb64(signature["publicKey"]["content"])
    public = _certificate_key(x509.load_pem_x509_certificate(pem))
    public.verify(unb64(signature["content"]), digest, PREHASHED)
    kept = {"content": signature["content"], "publicKey": signature["publicKey"]}
    return {"data": spec["data"], "signature": kept}


def _pem_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The key that a v1 verifier is: bare, or a certificate's."""
    if b"CERTIFICATE" in pem:
        return _certificate_key(x509.load_pem_x509_certificate(pem))
    return _curve(serialization.load_pem_public_key(pem))


def _certificate_key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    return _curve(certificate.public_key())


def _curve(public: object) -> ec.EllipticCurvePublicKey:
    if not isinstance(public, ec.EllipticCurvePublicKey):
        raise TypeError("only elliptic curves")
    return public


def _v1_response(entry: dict[str, Any]) -> dict[str, Any]:
    """The API's own spelling: hex where protobuf has base64, and numbers."""
    proof = entry["inclusionProof"]
    return {
        secrets.token_hex(40): {
            "body": entry["canonicalizedBody"],
            "integratedTime": int(entry["integratedTime"]),
            "logID": unb64(entry["logId"]["keyId"]).hex(),
            "logIndex": int(entry["logIndex"]),
            "verification": {
                "signedEntryTimestamp": entry["inclusionPromise"]["signedEntryTimestamp"],
                "inclusionProof": {
                    "logIndex": int(proof["logIndex"]),
                    "treeSize": int(proof["treeSize"]),
                    "rootHash": unb64(proof["rootHash"]).hex(),
                    "hashes": [unb64(node).hex() for node in proof["hashes"]],
                    "checkpoint": proof["checkpoint"]["envelope"],
                },
            },
        }
    }


class RekorV2(Log):
    """Inclusion proofs only: no promise, no time."""

    details = "PKIX_ED25519"

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.key = ed25519.Ed25519PrivateKey.generate()
        raw = self.key.public_key().public_bytes_raw()
        self.log_id = sha256(origin.encode() + b"\n\x01" + raw)  # the key id of a signed note

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """`POST /api/v2/log/entries`."""
        asked = request["hashedRekordRequestV002"]
        signature, digest = asked["signature"], unb64(asked["digest"])
        verifier = signature["verifier"]
        if verifier["keyDetails"] != "PKIX_ECDSA_P256_SHA_256":
            raise ValueError(f"unsupported key {verifier['keyDetails']}")
        if "publicKey" in verifier:
            der = unb64(verifier["publicKey"]["rawBytes"])
            public = _curve(serialization.load_der_public_key(der))
        else:
            der = unb64(verifier["x509Certificate"]["rawBytes"])
            public = _certificate_key(x509.load_der_x509_certificate(der))
        public.verify(unb64(signature["content"]), digest, PREHASHED)
        data = {"algorithm": "SHA2_256", "digest": asked["digest"]}
        return self.entry({"hashedRekordV002": {"data": data, "signature": signature}})

    def entry(self, spec: dict[str, Any], kind: str = "hashedrekord") -> dict[str, Any]:
        """Append a spec, unchecked, as a TransparencyLogEntry of protobuf-specs."""
        body = rfc8785.dumps({"apiVersion": "0.0.2", "kind": kind, "spec": spec})
        proof = self.append(body)
        return {
            "logIndex": proof["logIndex"],
            "logId": {"keyId": b64(self.log_id)},
            "kindVersion": {"kind": kind, "version": "0.0.2"},
            "inclusionProof": proof,
            "canonicalizedBody": b64(body),
        }
