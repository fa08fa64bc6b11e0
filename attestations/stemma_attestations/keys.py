"""Public keys: parsing, naming and checking one signature."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache, partial

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, SignatureRefused
from stemma_attestations.guarding import guarded

_DER = serialization.Encoding.DER
_PEM = serialization.Encoding.PEM
_SPKI = serialization.PublicFormat.SubjectPublicKeyInfo

RSA_BITS = range(2048, 8192 + 1)
RSA_EXPONENTS = range(2**16 + 1, 2**256)  # FIPS 186-5, A.1.1
_LONGEST = 8 * 1024  # bytes; the largest RSA key in PEM has 1.5 KiB
_REMEMBERED = 256  # keys that were parsed: a registry's statements are signed by few

_Public = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


@dataclass(frozen=True)
class PublicKey:
    """A public key: ECDSA P-256 (over SHA-256), Ed25519, or RSA (PSS over SHA-256).

    Build one with `parse`.
    """

    der: bytes

    @classmethod
    def parse(cls, data: bytes) -> PublicKey:
        """Read a SubjectPublicKeyInfo as PEM or DER. Raises BadKey."""
        return _public_key(bytes(data))

    @cached_property
    def id(self) -> str:
        """Hex SHA-256 of the DER bytes: the hint in our bundles, and the name of the key's blob."""
        return hashlib.sha256(self.der).hexdigest()

    @property
    def pem(self) -> str:
        """The key as PEM text."""
        return _load(self.der).public_bytes(_PEM, _SPKI).decode("ascii")

    @property
    def pem_id(self) -> str:
        """Hex SHA-256 of the PEM text: the hint in OpenSSF model signatures."""
        return hashlib.sha256(self.pem.encode("ascii")).hexdigest()

    @cached_property
    def hints(self) -> frozenset[str]:
        """The hints under which tools name this key.

        They are `id`, `pem_id`, securesystemslib's id, and cosign's: `id` in base64.
        """
        cosign = base64.b64encode(hashlib.sha256(self.der).digest()).decode("ascii")
        return frozenset({self.id, self.pem_id, self._securesystemslib_id(), cosign})

    @property
    def scheme(self) -> str:
        """What it signs with, in securesystemslib's words (`ecdsa-sha2-nistp256`, ...)."""
        return _named(_load(self.der))[1]

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check one signature. Raises SignatureRefused."""
        guarded(lambda: self._verify(signature, message))

    def _verify(self, signature: bytes, message: bytes) -> None:
        key = _load(self.der)
        try:
            if isinstance(key, ec.EllipticCurvePublicKey):  # nearly all are
                # Hashed here: the library takes a tenth longer where it does that itself.
                digest = hashlib.sha256(message).digest()
                key.verify(signature, digest, ec.ECDSA(_PREHASHED))
            elif isinstance(key, rsa.RSAPublicKey):
                key.verify(signature, message, _PSS, hashes.SHA256())
            else:
                key.verify(signature, message)
        except InvalidSignature as error:
            raise SignatureRefused(
                f"the signature does not verify with key {self.id[:12]}"
            ) from error

    def verify_blob(self, signature: bytes, artifact: bytes | Digest) -> None:
        """Check a signature over a file, which is given as its bytes or its SHA-256.

        RSA signatures may be PKCS#1 v1.5 too, which is what signers of files make. Ed25519
        signs the bytes, so their digest is not enough. Raises SignatureRefused.
        """
        key = _load(self.der)
        if isinstance(key, ed25519.Ed25519PublicKey):
            if isinstance(artifact, Digest):
                raise SignatureRefused("Ed25519 signs the bytes themselves: a digest is not enough")
            self.verify(signature, artifact)
            return
        digest = artifact if isinstance(artifact, Digest) else Digest.of(artifact)
        if digest.algorithm != "sha256":
            raise SignatureRefused(f"keys sign a sha256, not {digest.short}")
        data = bytes.fromhex(digest.value)
        good = False
        if isinstance(key, ec.EllipticCurvePublicKey):
            good = _holds(lambda: key.verify(signature, data, ec.ECDSA(_PREHASHED)))
        else:
            for way in (_PSS, padding.PKCS1v15()):
                good = good or _holds(partial(key.verify, signature, data, way, _PREHASHED))
        if not good:
            raise SignatureRefused(f"the signature does not verify with key {self.id[:12]}")

    def _securesystemslib_id(self) -> str:
        """Hex SHA-256 over the key as OLPC canonical JSON, sorted and without white space.

        What `securesystemslib.signer.SSlibKey.from_crypto` computes. No value
        here has a character to escape; the line ends of PEM stay as they are.
        """
        key = _load(self.der)
        kind, scheme = _named(key)
        public = self.pem
        if isinstance(key, ed25519.Ed25519PublicKey):
            public = key.public_bytes_raw().hex()
        text = f'{{"keytype":"{kind}","keyval":{{"public":"{public}"}},"scheme":"{scheme}"}}'
        return hashlib.sha256(text.encode("ascii")).hexdigest()


# Signers write a salt as long as the digest (securesystemslib, every KMS) or the longest that
# fits (Go's default); a verifier that reads its length from the signature takes both.
_PSS = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.AUTO)
_PREHASHED = Prehashed(hashes.SHA256())


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except InvalidSignature:
        return False
    return True


def _named(key: _Public) -> tuple[str, str]:
    """Type and scheme, in securesystemslib's words."""
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "ed25519", "ed25519"
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa", "rsassa-pss-sha256"
    return "ecdsa", "ecdsa-sha2-nistp256"


def _load(data: bytes) -> _Public:
    if len(data) > _LONGEST:
        raise BadKey(f"a public key has at most {_LONGEST} bytes")
    return guarded(lambda: _parsed(data), BadKey)


@lru_cache(maxsize=_REMEMBERED)
def _public_key(data: bytes) -> PublicKey:
    return PublicKey(_load(data).public_bytes(_DER, _SPKI))


@lru_cache(maxsize=_REMEMBERED)
def _parsed(data: bytes) -> _Public:
    try:
        if data.lstrip().startswith(b"-----BEGIN"):
            key = serialization.load_pem_public_key(data)
        else:
            key = serialization.load_der_public_key(data)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise BadKey("not a public key (PEM or DER SubjectPublicKeyInfo)") from error
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size not in RSA_BITS:
            raise BadKey(f"an RSA key has 2048 to 8192 bits, not {key.key_size}")
        if key.public_numbers().e not in RSA_EXPONENTS:
            raise BadKey("an RSA key's exponent is at least 65537 and has at most 256 bits")
        return key
    raise BadKey("only ECDSA P-256, Ed25519 and RSA keys are supported")
