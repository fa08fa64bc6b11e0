"""Signatures of Git objects as gitsign makes them, put together by hand.

https://github.com/sigstore/gitsign/blob/main/docs/bundle-cms.md. As in `forge`, what is bent is
bent before it is signed and logged, so that only the verifier's own check can find it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Any

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from tests.sigstore.encoding import DER, PEM, b64, der, p256, sha256, unb64
from tests.sigstore.forge import alice
from tests.sigstore.fulcio import Leaf
from tests.sigstore.rekor import ECDSA
from tests.sigstore.stack import LocalSigstore

SEQUENCE, SET, OCTETS, OID, INTEGER = 0x30, 0x31, 0x04, 0x06, 0x02
DATA, SIGNED_DATA = "2a864886f70d010701", "2a864886f70d010702"
CONTENT_TYPE, DIGEST, TIME = "2a864886f70d010903", "2a864886f70d010904", "2a864886f70d010905"
SHA256, SHA512 = "608648016503040201", "608648016503040203"
ECDSA_SHA256 = "2a8648ce3d040302"
LOG_ENTRY = "2b0601040183bf300301"


def oid(content: str) -> bytes:
    """An object identifier, by its content in hex."""
    return der(OID, bytes.fromhex(content))


def attribute(kind: str, *values: bytes) -> bytes:
    """One attribute."""
    return der(SEQUENCE, oid(kind) + der(SET, b"".join(values)))


@dataclass
class Work:
    """What a signature is assembled from; the defaults make a good one."""

    stack: LocalSigstore
    payload: bytes
    leaf: Leaf | None = None
    key: ec.EllipticCurvePrivateKey = field(default_factory=p256)
    logged: bool = True
    log_time: int | None = None
    entry: dict[str, Any] | None = None  # of another signature
    promised: bool = True
    content_type: str = DATA
    digest_algorithm: str = SHA256
    signed: tuple[bytes, ...] | None = None  # the signed attributes
    beside: tuple[bytes, ...] = ()  # more unsigned ones
    inside: bytes = b""  # what follows the content's type
    certificates: int = 1
    signers: int = 1
    serial: int | None = None


def assemble(work: Work) -> tuple[bytes, dict[str, Any]]:
    """The signature (DER), and its entry in the log."""
    certificate = work.stack.fulcio.issue(work.key.public_key(), work.leaf or alice(work.stack))
    attributes = b"".join(
        work.signed
        if work.signed is not None
        else (
            attribute(CONTENT_TYPE, oid(work.content_type)),
            attribute(TIME, der(0x17, b"230605161119Z")),
            attribute(DIGEST, der(OCTETS, sha256(work.payload))),
        )
    )
    signature = work.key.sign(der(SET, attributes), ECDSA)
    entry = work.entry or _log(work, der(SET, attributes), signature, certificate)
    unsigned = b"".join(work.beside)
    if work.logged:
        unsigned += attribute(LOG_ENTRY, der(OCTETS, protobuf(entry, promised=work.promised)))
    serial = work.serial or certificate.serial_number
    number = serial.to_bytes(serial.bit_length() // 8 + 1)
    algorithm = der(SEQUENCE, oid(work.digest_algorithm))
    info = der(
        SEQUENCE,
        der(INTEGER, b"\1")
        + der(SEQUENCE, certificate.issuer.public_bytes() + der(INTEGER, number))
        + algorithm
        + der(0xA0, attributes)
        + der(SEQUENCE, oid(ECDSA_SHA256))
        + der(OCTETS, signature)
        + (der(0xA1, unsigned) if unsigned else b""),
    )
    body = der(
        SEQUENCE,
        der(INTEGER, b"\1")
        + der(SET, algorithm)
        + der(SEQUENCE, oid(DATA) + work.inside)
        + der(0xA0, certificate.public_bytes(DER) * work.certificates)
        + der(SET, info * work.signers),
    )
    return der(SEQUENCE, oid(SIGNED_DATA) + der(0xA0, body)), entry


def armoured(data: bytes) -> bytes:
    """As it stands in a tag."""
    text = base64.encodebytes(data)
    return b"-----BEGIN SIGNED MESSAGE-----\n" + text + b"-----END SIGNED MESSAGE-----\n"


def signature(stack: LocalSigstore, payload: bytes, **bent: Any) -> bytes:
    """One over a payload, as it stands in a tag."""
    return armoured(assemble(Work(stack, payload, **bent))[0])


def _log(
    work: Work, message: bytes, signature: bytes, certificate: x509.Certificate
) -> dict[str, Any]:
    spec = {
        "data": {"hash": {"algorithm": "sha256", "value": sha256(message).hex()}},
        "signature": {
            "content": b64(signature),
            "publicKey": {"content": b64(certificate.public_bytes(PEM))},
        },
    }
    body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": spec})
    return work.stack.rekor1.entry(body, "hashedrekord", work.log_time)


def protobuf(entry: dict[str, Any], *, promised: bool = True) -> bytes:
    """A TransparencyLogEntry without the body, in protobuf's binary form."""
    proof, kind = entry["inclusionProof"], entry["kindVersion"]
    promise = unb64(entry["inclusionPromise"]["signedEntryTimestamp"]) if promised else b""
    return b"".join(
        (
            number(1, entry["logIndex"]),
            data(2, data(1, unb64(entry["logId"]["keyId"]))),
            data(3, data(1, kind["kind"].encode()) + data(2, kind["version"].encode())),
            number(4, entry["integratedTime"]),
            data(5, data(1, promise)),
            data(
                6,
                number(1, proof["logIndex"])
                + data(2, unb64(proof["rootHash"]))
                + number(3, proof["treeSize"])
                + b"".join(data(4, unb64(one)) for one in proof["hashes"])
                + data(5, data(1, proof["checkpoint"]["envelope"].encode())),
            ),
        )
    )


def number(index: int, value: str) -> bytes:
    """A field of a number; protobuf leaves out a zero."""
    return varint(index * 8) + varint(int(value)) if int(value) else b""


def data(index: int, value: bytes) -> bytes:
    """A field of bytes; an empty one is left out."""
    return varint(index * 8 + 2) + varint(len(value)) + value if value else b""


def varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = b""
    while value >= 0x80:
        found += bytes([value & 0x7F | 0x80])
        value >>= 7
    return found + bytes([value])
