"""SSH keys, and signatures that `ssh-keygen -Y sign` makes.

https://github.com/openssh/openssh-portable/blob/master/PROTOCOL.sshsig, PROTOCOL.u2f
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stemma_attestations.errors import BadKey, Malformed, SignatureRefused
from stemma_attestations.guarding import guarded
from stemma_attestations.keys import PublicKey
from stemma_attestations.octets import Octets, armoured

_MAGIC = b"SSHSIG"
_HASHES = frozenset({"sha256", "sha512"})
_PRESENT = 1  # the flag of a security key that somebody touched it
_RSA = {b"rsa-sha2-256": hashes.SHA256, b"rsa-sha2-512": hashes.SHA512}
_Key = ed25519.Ed25519PublicKey | ec.EllipticCurvePublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class _Holder:
    """A key as SSH has it; `application` is what a security key (FIDO) is bound to."""

    kind: bytes
    key: _Key
    application: bytes | None


def public_key(line: str) -> PublicKey:
    """The key of a line such as `ssh-ed25519 AAAA... comment`. Raises BadKey."""
    parts = line.split()
    if len(parts) < 2:
        raise BadKey("not a public key of SSH (`ssh-ed25519 AAAA...`)")
    return guarded(lambda: _named(parts[0].encode(), parts[1]), BadKey)


def _named(kind: bytes, text: str) -> PublicKey:
    try:
        holder = _holder(base64.b64decode(text, validate=True))
    except binascii.Error as error:
        raise BadKey("the public key of SSH is not base64") from error
    if holder.kind != kind:
        raise BadKey("the public key of SSH is of another type than it says")
    return _public(holder)


def verify(message: bytes, armour: bytes, namespace: str) -> PublicKey:
    """The key that signed a message for a use of that name, whoever's it is.

    The signature says its key itself: whether it is believed is another question.
    Raises SignatureRefused.
    """
    return guarded(lambda: _verify(message, armour, namespace))


def _verify(message: bytes, armour: bytes, namespace: str) -> PublicKey:
    said = Octets(armoured(armour, "SSH SIGNATURE"))
    if said.take(len(_MAGIC)) != _MAGIC or said.number(4) != 1:
        raise SignatureRefused("not an SSH signature of version 1")
    holder, use, reserved = _holder(said.text()), said.text(), said.text()
    algorithm, signature = said.text(), said.text()
    said.end()
    if use != namespace.encode():
        raise SignatureRefused(f"an SSH signature for another use than {namespace!r}")
    if algorithm.decode(errors="replace") not in _HASHES:
        raise SignatureRefused("an SSH signature over a hash that is not supported")
    digest = hashlib.new(algorithm.decode(), message).digest()
    signed = _MAGIC + b"".join(_text(part) for part in (use, reserved, algorithm, digest))
    _check(holder, signature, signed)
    return _public(holder)


def _text(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _holder(data: bytes) -> _Holder:
    said = Octets(data)
    kind = said.text()
    key: _Key
    if kind in (b"ssh-ed25519", b"sk-ssh-ed25519@openssh.com"):
        key = ed25519.Ed25519PublicKey.from_public_bytes(said.text())
    elif kind in (b"ecdsa-sha2-nistp256", b"sk-ecdsa-sha2-nistp256@openssh.com"):
        if said.text() != b"nistp256":
            raise Malformed("an ECDSA key of another curve than its type")
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), said.text())
    elif kind == b"ssh-rsa":
        exponent, modulus = (int.from_bytes(said.text()) for _ in range(2))
        key = rsa.RSAPublicNumbers(exponent, modulus).public_key()
    else:
        raise Malformed("SSH keys of Ed25519, ECDSA P-256 and RSA are supported, no others")
    application = said.text() if kind.startswith(b"sk-") else None
    said.end()
    return _Holder(kind, key, application)


def _public(holder: _Holder) -> PublicKey:
    """As everywhere else; what is too weak elsewhere is so here."""
    return PublicKey.parse(holder.key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def _check(holder: _Holder, blob: bytes, signed: bytes) -> None:
    """Raises what the library raises, which `guarded` makes a refusal."""
    said = Octets(blob)
    kind, signature = said.text(), said.text()
    if holder.application is not None:
        flags, counter = said.take(1), said.take(4)
        if not flags[0] & _PRESENT:
            raise SignatureRefused("a security key signed without being touched")
        bound, asked = hashlib.sha256(holder.application), hashlib.sha256(signed)
        signed = b"".join((bound.digest(), flags, counter, asked.digest()))
    said.end()
    key = holder.key
    if isinstance(key, rsa.RSAPublicKey):
        if kind not in _RSA:
            raise SignatureRefused("an RSA signature over a hash that is not supported")
        key.verify(signature, signed, padding.PKCS1v15(), _RSA[kind]())
        return
    if kind != holder.kind:
        raise SignatureRefused("a signature of another type than its key")
    if isinstance(key, ed25519.Ed25519PublicKey):
        key.verify(signature, signed)
        return
    pair = Octets(signature)
    r, s = (int.from_bytes(pair.text()) for _ in range(2))
    pair.end()
    key.verify(encode_dss_signature(r, s), signed, ec.ECDSA(hashes.SHA256()))
