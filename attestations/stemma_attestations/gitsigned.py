"""Signatures of Git commits and tags, held against keys.

https://git-scm.com/docs/gitformat-signature. Whose word a key's is, and about what, the trust root
says: a key counts alike whichever tool signs with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from stemma_attestations import openpgp, sshsig
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.gitobject import Signed
from stemma_attestations.keys import PublicKey

NAMESPACE = "git"  # of SSH signatures, so that one made for something else is none
_SSH, _PGP, _X509 = b"-----BEGIN SSH ", b"-----BEGIN PGP ", b"-----BEGIN SIGNED MESSAGE-"


def verify(signed: Signed, keys: Iterable[PublicKey]) -> PublicKey:
    """The key that signed, one of those given. Raises SignatureRefused."""
    known = {key.id: key for key in keys}
    if signed.signature.startswith(_SSH):
        key = sshsig.verify(signed.payload, signed.signature, NAMESPACE)
        if key.id not in known:
            raise SignatureRefused(f"signed by the SSH key {key.id[:12]}, which is not listed")
        return known[key.id]
    if signed.signature.startswith(_PGP):
        return openpgp.verify(signed.payload, signed.signature, known.values())
    raise SignatureRefused("a signature that is neither SSH's nor OpenPGP's")


def is_certified(signed: Signed) -> bool:
    """Whether the signature is of a certificate (X.509, as gitsign makes them), not of a key."""
    return signed.signature.startswith(_X509)


def keys_of(data: bytes) -> tuple[PublicKey, ...]:
    """The keys of a file, whichever tool wrote it: PEM, DER, SSH or OpenPGP. Raises BadKey."""
    start = data.lstrip()[:40]
    if start.startswith(b"-----BEGIN PGP PUBLIC KEY BLOCK"):
        return openpgp.public_keys(data)
    if start.startswith((b"ssh-", b"ecdsa-sha2-", b"sk-")):
        lines = data.decode(errors="replace").strip().splitlines()
        return tuple(sshsig.public_key(line) for line in lines if line.strip())
    return (PublicKey.parse(data),)
