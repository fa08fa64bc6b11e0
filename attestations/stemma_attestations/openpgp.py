"""OpenPGP: signatures by keys that the trust root lists, and keys out of certificates.

RFC 9580 (version 4 packets). Only what is needed to hold a detached signature against a key is
read. What a certificate says about its keys (who, until when, revoked) is not: the trust root
says that, in one way for every kind of key.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from stemma_attestations.errors import BadKey, Malformed, SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.octets import Octets, armoured

_SIGNATURE, _PUBLIC_KEY, _PUBLIC_SUBKEY = 2, 6, 14
_BINARY = 0
_RSA, _RSA_SIGN, _ECDSA, _EDDSA, _ED25519 = 1, 3, 19, 22, 27
_HASHES: Mapping[int, Callable[[], hashes.HashAlgorithm]] = {
    8: hashes.SHA256,
    9: hashes.SHA384,
    10: hashes.SHA512,
}
_P256 = bytes.fromhex("2a8648ce3d030107")
_CURVE25519 = bytes.fromhex("2b06010401da470f01")
_EXPIRES, _CRITICAL = 3, 0x80
# Of the hashed part: made, exportable, key flags, issuer, notation, preferences, policy, reason,
# features, issuer's fingerprint, intended recipient ...: none changes what is signed here.
_UNDERSTOOD = frozenset({2, 4, 16, 20, 24, 26, 28, 33, 35})

_Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class _Signature:
    algorithm: int
    hash: hashes.HashAlgorithm
    hashed: bytes  # what goes into the hash behind the message
    values: bytes


def public_keys(armour: bytes) -> tuple[PublicKey, ...]:
    """The keys of a certificate that can sign: the first one, and subkeys. Raises BadKey."""
    return guarded(lambda: _public_keys(armour), BadKey)


def verify(message: bytes, armour: bytes, keys: Iterable[PublicKey]) -> PublicKey:
    """Which of the keys signed the message. Raises SignatureRefused where none did."""
    return guarded(lambda: _verify(message, armour, tuple(keys)))


def _verify(message: bytes, armour: bytes, keys: tuple[PublicKey, ...]) -> PublicKey:
    packets = list(_packets(armoured(armour, "PGP SIGNATURE")))
    if [tag for tag, _ in packets] != [_SIGNATURE]:
        raise SignatureRefused("not one OpenPGP signature")
    said = _signature(packets[0][1])
    digest = hashlib.new(said.hash.name, message + said.hashed).digest()
    for key in keys:
        loaded = load_der_public_key(key.der)
        if isinstance(loaded, _Key) and _holds(loaded, said, digest):
            return key
    raise SignatureRefused("no key that the trust root lists made this OpenPGP signature")


def _signature(body: bytes) -> _Signature:
    said = Octets(body)
    version, kind, algorithm, hashing = said.take(4)
    if version != 4 or kind != _BINARY:
        raise SignatureRefused("only OpenPGP signatures of version 4 over bytes are read")
    if hashing not in _HASHES:
        raise SignatureRefused("an OpenPGP signature over a hash that is not supported")
    _refuse_conditions(said.take(said.number(2)))
    length = said.at
    said.take(said.number(2))  # not signed over, so nothing is believed of it
    said.take(2)
    hashed = body[:length] + b"\x04\xff" + length.to_bytes(4)
    return _Signature(algorithm, _HASHES[hashing](), hashed, said.take(said.left))


def _refuse_conditions(area: bytes) -> None:
    """A signature that lapses, or says something critical that is not understood, is none."""
    parts = Octets(area)
    while parts.left:
        part = Octets(parts.take(_length(parts, subpacket=True)))
        kind = part.number(1)
        lapses = kind & ~_CRITICAL == _EXPIRES and any(part.take(part.left))
        if lapses or (kind & _CRITICAL and kind & ~_CRITICAL not in {*_UNDERSTOOD, _EXPIRES}):
            raise SignatureRefused("an OpenPGP signature with a condition")


def _holds(key: _Key, said: _Signature, digest: bytes) -> bool:
    values = Octets(said.values)
    hashed = Prehashed(said.hash)
    try:
        if isinstance(key, rsa.RSAPublicKey):
            if said.algorithm not in (_RSA, _RSA_SIGN):
                return False
            signature = values.whole().rjust(key.key_size // 8, b"\0")
            values.end()
            key.verify(signature, digest, padding.PKCS1v15(), hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            if said.algorithm != _ECDSA:
                return False
            r, s = (int.from_bytes(values.whole()) for _ in range(2))
            values.end()
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(hashed))
        else:
            if said.algorithm == _ED25519:
                signature = values.take(64)
            elif said.algorithm == _EDDSA:
                signature = b"".join(values.whole().rjust(32, b"\0") for _ in range(2))
            else:
                return False
            values.end()
            key.verify(signature, digest)
    except InvalidSignature:
        return False
    return True


def _public_keys(armour: bytes) -> tuple[PublicKey, ...]:
    found = []
    for tag, body in _packets(armoured(armour, "PGP PUBLIC KEY BLOCK")):
        if tag in (_PUBLIC_KEY, _PUBLIC_SUBKEY):
            key = _key(body)
            if key is not None:
                der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
                found.append(PublicKey.parse(der))
    if not found:
        raise BadKey("no key for signing: Ed25519, ECDSA P-256 and RSA are supported")
    return tuple(found)


def _key(body: bytes) -> _Key | None:
    """The key in a packet; None for one that is not for signing, or not supported."""
    said = Octets(body)
    if said.number(1) != 4:
        return None
    said.take(4)  # when it was made
    algorithm = said.number(1)
    if algorithm in (_RSA, _RSA_SIGN):
        modulus, exponent = (int.from_bytes(said.whole()) for _ in range(2))
        return rsa.RSAPublicNumbers(exponent, modulus).public_key()
    if algorithm == _ED25519:
        return ed25519.Ed25519PublicKey.from_public_bytes(said.take(32))
    if algorithm in (_ECDSA, _EDDSA):
        curve, point = said.take(said.number(1)), said.whole()
        if algorithm == _ECDSA and curve == _P256:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        if algorithm == _EDDSA and curve == _CURVE25519 and point[:1] == b"\x40":
            return ed25519.Ed25519PublicKey.from_public_bytes(point[1:])
    return None


def _packets(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and body of each (section 4.2). Partial lengths, which are for streams, are refused."""
    rest = Octets(data)
    while rest.left:
        head = rest.number(1)
        if not head & 0x80:
            raise Malformed("not an OpenPGP packet")
        if head & 0x40:
            yield head & 0x3F, rest.take(_length(rest))
        elif head & 3 == 3:
            raise Malformed("an OpenPGP packet without a length")
        else:
            yield (head >> 2) & 0xF, rest.take(rest.number(1 << (head & 3)))


def _length(rest: Octets, *, subpacket: bool = False) -> int:
    first = rest.number(1)
    if first < 192:
        return first
    if first == 255:
        return rest.number(4)
    if not subpacket and first >= 224:
        raise Malformed("an OpenPGP packet in parts")
    return ((first - 192) << 8) + rest.number(1) + 192
