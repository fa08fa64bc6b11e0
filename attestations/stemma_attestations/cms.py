"""CMS signatures as gitsign makes them, read strictly.

RFC 5652 (SignedData), in DER with definite lengths only. One signer with one certificate,
nothing of what was signed inside, SHA-256 and ECDSA: what else the format could hold is
refused, for two readers might read it in two ways. Nothing is verified here, except that
the signed attributes are about the payload.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from cryptography import x509

from stemma_attestations.errors import BadBundle, Malformed, SignatureRefused
from stemma_attestations.octets import Octets

MAX_BYTES = 256 * 1024
MAX_ATTRIBUTES = 32
_INTEGER, _OCTETS, _OID, _NULL, _SEQUENCE, _SET = 0x02, 0x04, 0x06, 0x05, 0x30, 0x31
_ZERO, _ONE = 0xA0, 0xA1  # context tags, constructed
# Contents of object identifiers: https://oidref.com
_DATA = bytes.fromhex("2a864886f70d010701")
_SIGNED_DATA = bytes.fromhex("2a864886f70d010702")
_CONTENT_TYPE = bytes.fromhex("2a864886f70d010903")
_MESSAGE_DIGEST = bytes.fromhex("2a864886f70d010904")
_SHA256 = bytes.fromhex("608648016503040201")
_ECDSA_SHA256 = bytes.fromhex("2a8648ce3d040302")
# 1.3.6.1.4.1.57264.3.1, Sigstore's: a TransparencyLogEntry in protobuf's binary form.
_LOG_ENTRY = bytes.fromhex("2b0601040183bf300301")


@dataclass(frozen=True)
class CmsSignature:
    """One signature. `attributes` (DER) is what was signed, `digest` the payload's SHA-256 in it.

    `certificate` is the signer's, `log_entry` what stands beside the signature, unsigned.
    """

    certificate: bytes
    attributes: bytes
    digest: bytes
    signature: bytes
    log_entry: bytes | None

    @classmethod
    def parse(cls, der: bytes) -> CmsSignature:
        """Read one. Raises Malformed."""
        if len(der) > MAX_BYTES:
            raise Malformed(f"a signature of more than {MAX_BYTES} bytes")
        outer = _Reader(der).whole(_SEQUENCE)
        outer.exactly(_OID, _SIGNED_DATA, "signed data")
        (signed,) = outer.rest(_ZERO, 1)
        body = _Reader(signed).whole(_SEQUENCE)
        body.exactly(_INTEGER, b"\x01", "version 1")
        digests = _Reader(body.take(_SET)).rest(_SEQUENCE, 1)
        _algorithm(digests[0], _SHA256)
        content = _Reader(body.take(_SEQUENCE))
        content.exactly(_OID, _DATA, "data")
        content.end()
        certificates = list(_Reader(body.take(_ZERO)).raw())
        signers = _Reader(body.take(_SET)).rest(_SEQUENCE, 1)
        body.end()
        if len(certificates) != 1:
            raise Malformed(f"{len(certificates)} certificates, not the signer's alone")
        return _signer(_Reader(signers[0]), certificates[0])

    def check_payload(self, payload: bytes) -> None:
        """Check that what was signed is about these bytes. Raises SignatureRefused."""
        if hashlib.sha256(payload).digest() != self.digest:
            raise SignatureRefused("the certificate's signature is over something else")


def _signer(info: _Reader, certificate: bytes) -> CmsSignature:
    info.exactly(_INTEGER, b"\x01", "version 1")
    _check_names(info.take(_SEQUENCE), certificate)
    _algorithm(info.take(_SEQUENCE), _SHA256)
    attributes = info.take(_ZERO)
    _algorithm(info.take(_SEQUENCE), _ECDSA_SHA256)
    signature = info.take(_OCTETS)
    beside = _attributes(info.take(_ONE)) if info.left else {}
    info.end()
    found = _attributes(attributes)
    kind, digest = found.get(_CONTENT_TYPE), found.get(_MESSAGE_DIGEST)
    if kind is None or digest is None:
        raise Malformed("the signed attributes lack the content's type or digest")
    _Reader(kind).exactly(_OID, _DATA, "data", alone=True)
    entry = beside.get(_LOG_ENTRY)
    # The signature is over a SET, which stands here under another tag (RFC 5652, section 5.4).
    return CmsSignature(
        certificate=certificate,
        attributes=_element(_SET, attributes),
        digest=_alone(digest, _OCTETS),
        signature=signature,
        log_entry=None if entry is None else _alone(entry, _OCTETS),
    )


def _check_names(sid: bytes, certificate: bytes) -> None:
    """Check that the signer is named as the certificate is."""
    try:
        known = x509.load_der_x509_certificate(certificate)
        issuer, serial = known.issuer.public_bytes(), known.serial_number
    except Exception as error:  # the library's errors have no common root
        raise BadBundle("not an X.509 certificate that can be read") from error
    names = _Reader(sid)
    named = _element(_SEQUENCE, names.take(_SEQUENCE))
    number = names.take(_INTEGER)
    names.end()
    if named != issuer or int.from_bytes(number, signed=True) != serial:
        raise Malformed("the signer is not who the certificate is of")


def _attributes(data: bytes) -> dict[bytes, bytes]:
    """Of each attribute its one value; of one that has several, nothing."""
    found: dict[bytes, bytes] = {}
    seen = set()
    for index, part in enumerate(_Reader(data).rest(_SEQUENCE)):
        if index >= MAX_ATTRIBUTES:
            raise Malformed(f"more than {MAX_ATTRIBUTES} attributes")
        one = _Reader(part)
        kind, values = one.take(_OID), list(_Reader(one.take(_SET)).raw())
        one.end()
        if kind in seen:
            raise Malformed("an attribute stands there twice")
        seen.add(kind)
        if len(values) != 1 and kind in (_CONTENT_TYPE, _MESSAGE_DIGEST, _LOG_ENTRY):
            raise Malformed("an attribute without one value")
        if len(values) == 1:
            found[kind] = values[0]
    return found


def _algorithm(data: bytes, wanted: bytes) -> None:
    """Check an AlgorithmIdentifier; its parameters are absent or NULL."""
    reader = _Reader(data)
    reader.exactly(_OID, wanted, "SHA-256, and ECDSA with it")
    if reader.left:
        reader.exactly(_NULL, b"", "no parameters")
    reader.end()


def _alone(data: bytes, tag: int) -> bytes:
    reader = _Reader(data)
    content = reader.take(tag)
    reader.end()
    return content


def _element(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


class _Reader:
    """DER elements, one behind the other. Each has one tag byte and the shortest length."""

    def __init__(self, data: bytes) -> None:
        self._data, self._octets = data, Octets(data)

    @property
    def left(self) -> int:
        return self._octets.left

    def end(self) -> None:
        self._octets.end()

    def next(self) -> tuple[int, bytes]:
        tag = self._octets.number(1)
        if tag & 0x1F == 0x1F:
            raise Malformed("a tag of several bytes")
        size = self._octets.number(1)
        if size >= 0x80:
            count = size & 0x7F
            if not 1 <= count <= 4:
                raise Malformed("a length that is indefinite, or no length")
            size = self._octets.number(count)
            if size < 0x80 or size.bit_length() <= 8 * (count - 1):
                raise Malformed("a length that is not written in the shortest way")
        return tag, self._octets.take(size)

    def take(self, tag: int) -> bytes:
        found, content = self.next()
        if found != tag:
            raise Malformed(f"an element {found:#04x} instead of {tag:#04x}")
        return content

    def whole(self, tag: int) -> _Reader:
        """Into the one element there is."""
        content = self.take(tag)
        self.end()
        return _Reader(content)

    def exactly(self, tag: int, content: bytes, what: str, *, alone: bool = False) -> None:
        if self.take(tag) != content:
            raise Malformed(f"it is not {what}")
        if alone:
            self.end()

    def rest(self, tag: int, count: int | None = None) -> list[bytes]:
        """The contents of what is left, all of one tag."""
        found = []
        while self.left:
            found.append(self.take(tag))
        if count is not None and len(found) != count:
            raise Malformed(f"{len(found)} elements where {count} belongs")
        return found

    def raw(self) -> Iterator[bytes]:
        """What is left, each element with its tag and length."""
        while self.left:
            start = self._octets.at
            self.next()
            yield self._data[start : self._octets.at]
