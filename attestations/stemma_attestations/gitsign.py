"""Signatures of Git objects by Sigstore certificates, as gitsign makes them.

https://github.com/sigstore/gitsign/blob/main/docs/bundle-cms.md: what is signed, and logged, are
the signed attributes of a CMS signature, which hold the payload's SHA-256. So the signature is
a Sigstore bundle in another spelling, and is verified as one. Only with `gitsign.rekorMode`
offline does the log's entry stand in the signature; without it nothing tells, offline, that the
certificate was valid when it signed. Timestamps of other authorities are not read.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from stemma_attestations import canonical
from stemma_attestations.bundle import MEDIA_TYPE
from stemma_attestations.certified import Certified
from stemma_attestations.cms import CmsSignature
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.guarding import guarded
from stemma_attestations.keyless import VerifiedMessage, speaker, verify_each_message
from stemma_attestations.octets import Octets, armoured
from stemma_attestations.times import Times

LABEL = "SIGNED MESSAGE"
MAX_HASHES = 64
_KIND, _VERSION = "hashedrekord", "0.0.1"
_LOGGED_NOWHERE = (
    "its certificate is proven valid by no log entry (sign with `gitsign.rekorMode` offline)"
)


def who(
    signed: Signed, wanted: Iterable[Digest], roots: Mapping[Digest, bytes]
) -> tuple[Certified, Times]:
    """Who signed, by the `wanted` trusted roots of those at hand, and when.

    Raises SignatureRefused.
    """
    return speaker(verify(signed, wanted, roots))


def verify(
    signed: Signed, wanted: Iterable[Digest], roots: Mapping[Digest, bytes]
) -> dict[Digest, VerifiedMessage]:
    """Verify under each of the `wanted` roots: those that do, at least one.

    Raises SignatureRefused.
    """
    raw, attributes = guarded(lambda: _bundle(signed))
    return verify_each_message(raw, attributes, wanted, roots)


def _bundle(signed: Signed) -> tuple[bytes, Digest]:
    """The same as a bundle, and the digest of what it is over."""
    cms = CmsSignature.parse(armoured(signed.signature, LABEL))
    cms.check_payload(signed.payload)
    if cms.log_entry is None:
        raise SignatureRefused(_LOGGED_NOWHERE)
    attributes = Digest.of(cms.attributes)
    material = {
        "certificate": {"rawBytes": _b64(cms.certificate)},
        "tlogEntries": [_log_entry(cms, cms.log_entry, attributes)],
    }
    document = {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": material,
        "messageSignature": {
            "messageDigest": {
                "algorithm": "SHA2_256",
                "digest": _b64(bytes.fromhex(attributes.value)),
            },
            "signature": _b64(cms.signature),
        },
    }
    return canonical.dumps(document), attributes


def _log_entry(cms: CmsSignature, raw: bytes, attributes: Digest) -> dict[str, Any]:
    """The entry in protobuf's JSON. gitsign leaves out what was logged: it is put there anew.

    https://github.com/sigstore/protobuf-specs/blob/main/protos/sigstore_rekor.proto
    """
    entry = _Message.read(raw, {1, 2, 3, 4, 5, 6})
    kind = _Message.read(entry.data(3), {1, 2})
    proof = _Message.read(entry.data(6), {1, 2, 3, 4, 5})
    promise = _Message.read(entry.data(5), {1}).data(1)
    if (kind.data(1), kind.data(2)) != (_KIND.encode(), _VERSION.encode()):
        raise SignatureRefused("a log entry of a kind that gitsign does not make")
    if not promise:
        raise SignatureRefused("its log promises no time (sign with `gitsign.rekorVersion` 1)")
    checkpoint = _Message.read(proof.data(5), {1}).data(1)
    return {
        "logIndex": str(entry.number(1)),
        "logId": {"keyId": _b64(_Message.read(entry.data(2), {1}).data(1))},
        "kindVersion": {"kind": _KIND, "version": _VERSION},
        "integratedTime": str(entry.number(4)),
        "inclusionPromise": {"signedEntryTimestamp": _b64(promise)},
        "inclusionProof": {
            "logIndex": str(proof.number(1)),
            "rootHash": _b64(proof.data(2)),
            "treeSize": str(proof.number(3)),
            "hashes": [_b64(one) for one in proof.several(4)],
            "checkpoint": {"envelope": checkpoint.decode()},
        },
        "canonicalizedBody": _b64(_body(cms, attributes)),
    }


def _body(cms: CmsSignature, attributes: Digest) -> bytes:
    """What the log holds of it (a hashedrekord, https://github.com/sigstore/rekor)."""
    pem = x509.load_der_x509_certificate(cms.certificate).public_bytes(Encoding.PEM)
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": attributes.value}},
        "signature": {"content": _b64(cms.signature), "publicKey": {"content": _b64(pem)}},
    }
    return canonical.dumps({"apiVersion": _VERSION, "kind": _KIND, "spec": spec})


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


@dataclass(frozen=True)
class _Message:
    """Fields of protobuf's binary form: https://protobuf.dev/programming-guides/encoding/."""

    numbers: Mapping[int, int]
    texts: Mapping[int, list[bytes]]

    @classmethod
    def read(cls, raw: bytes, known: set[int]) -> _Message:
        """Read numbers and bytes; a field that is not known is refused. Raises Malformed."""
        octets = Octets(raw)
        numbers: dict[int, int] = {}
        texts: dict[int, list[bytes]] = {}
        while octets.left:
            number, wire = divmod(_varint(octets), 8)
            if number not in known or number in numbers:
                raise Malformed("a field of a log entry that is not known, or twice there")
            if wire == 0:
                numbers[number] = _varint(octets)
            elif wire == 2:
                texts.setdefault(number, []).append(octets.take(_varint(octets)))
            else:
                raise Malformed("a field of a log entry of another type")
            if len(texts.get(number, ())) > MAX_HASHES:
                raise Malformed(f"more than {MAX_HASHES} hashes")
        return cls(numbers, texts)

    def number(self, field: int) -> int:
        """0 where it is not there, as in protobuf."""
        if field in self.texts:
            raise Malformed("bytes where a number belongs")
        return self.numbers.get(field, 0)

    def several(self, field: int) -> list[bytes]:
        """All bytes of a field."""
        if field in self.numbers:
            raise Malformed("a number where bytes belong")
        return self.texts.get(field, [])

    def data(self, field: int) -> bytes:
        """The one there is, or nothing."""
        found = self.several(field)
        if len(found) > 1:
            raise Malformed("a field of a log entry stands there twice")
        return found[0] if found else b""


def _varint(octets: Octets) -> int:
    value = 0
    for shift in range(0, 63, 7):
        byte = octets.number(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if byte == 0 and shift:
                raise Malformed("a number that is not written in the shortest way")
            return value
    raise Malformed("a number that is too large")
