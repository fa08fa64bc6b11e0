"""Builders for tests of the ground floor: keys, manifests, trust roots, evidence, requests.

Signatures are made with `cryptography` directly, so that a test never proves
our signer against our verifier only.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from stemma_attestations.bundle import MEDIA_TYPE, Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.statement import PAYLOAD_TYPE, ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot

FIXTURES = Path(__file__).parent / "fixtures" / "v0.1"
NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
KEY_KINDS = ("ecdsa-p256", "ed25519", "rsa")


def examples(count: int) -> settings:
    """Bounded Hypothesis: `count` examples, and no deadline on a shared machine."""
    return settings(max_examples=count, deadline=None, suppress_health_check=[HealthCheck.too_slow])


# --- values ---------------------------------------------------------------------------------

MAX_INTEGER = 2**53 - 1
texts = st.text(max_size=20)
# Without whole numbers that canonical JSON spells as an integer beyond 2**53 - 1; they have tests
# of their own.
floats = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda number: not 2**53 <= abs(number) < 1e21
)
scalars = st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | floats | texts
json_values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
hex64 = st.binary(min_size=32, max_size=32).map(bytes.hex)
sha256_digests = hex64.map(lambda value: Digest("sha256", value))
commits = st.binary(min_size=20, max_size=20).map(bytes.hex)


def same(a: Any, b: Any) -> bool:
    """Equality that tells 1 from 1.0 and True, and 0.0 from -0.0, all the way down."""
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(repr(a) == repr(b)) if isinstance(a, float) else bool(a == b)


# --- keys -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Key:
    """A private key, and the public half as Stemma sees it."""

    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    public: PublicKey

    def sign_bytes(self, message: bytes) -> bytes:
        """A signature over `message` as it is."""
        if isinstance(self.private, ed25519.Ed25519PrivateKey):
            return self.private.sign(message)
        if isinstance(self.private, rsa.RSAPrivateKey):
            return self.private.sign(message, pss(), hashes.SHA256())
        return self.private.sign(message, ec.ECDSA(hashes.SHA256()))

    def sign(self, statement: Statement) -> Bundle:
        """The statement in a bundle."""
        return Bundle.parse(bundle_bytes(self, statement.raw))


def pss(salt: int = 32) -> padding.PSS:
    """RSA-PSS with a salt of so many bytes; the digest's length is what most signers take."""
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=salt)


def spki(private: Any) -> bytes:
    """The DER SubjectPublicKeyInfo of a private key's public half."""
    der: bytes = private.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return der


def make_key(kind: str = "ecdsa-p256") -> Key:
    """A fresh key."""
    private: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey
    if kind == "ed25519":
        private = ed25519.Ed25519PrivateKey.generate()
    elif kind == "rsa":
        private = rsa.generate_private_key(65537, 2048)
    else:
        private = ec.generate_private_key(ec.SECP256R1())
    return Key(private, PublicKey.parse(spki(private)))


@functools.cache
def key(name: str, kind: str = "ecdsa-p256") -> Key:
    """The key of that name, the same one throughout a test run."""
    return make_key(kind)


# --- bundles --------------------------------------------------------------------------------


def dsse_pae(payload_type: str, payload: bytes) -> bytes:
    """The DSSE pre-authentication encoding, written again from its specification."""
    kind = payload_type.encode()
    parts = (b"DSSEv1", str(len(kind)).encode(), kind, str(len(payload)).encode(), payload)
    return b" ".join(parts)


def bundle_document(
    key: Key,
    payload: bytes,
    *,
    payload_type: str = PAYLOAD_TYPE,
    signed: bytes | None = None,
    hint: str | None = None,
) -> dict[str, Any]:
    """A bundle as plain JSON, so that a test can bend it before it is serialised."""
    message = dsse_pae(payload_type, payload) if signed is None else signed
    return {
        "mediaType": MEDIA_TYPE,
        "verificationMaterial": {"publicKey": {"hint": hint or key.public.id}},
        "dsseEnvelope": {
            "payload": base64.b64encode(payload).decode(),
            "payloadType": payload_type,
            "signatures": [{"sig": base64.b64encode(key.sign_bytes(message)).decode()}],
        },
    }


def bundle_bytes(key: Key, payload: bytes, **bent: Any) -> bytes:
    """`bundle_document` as bytes."""
    return compact(bundle_document(key, payload, **bent))


def compact(document: Any) -> bytes:
    """JSON without spaces, keys sorted."""
    return json.dumps(document, separators=(",", ":"), sort_keys=True).encode()


# --- artifacts ------------------------------------------------------------------------------

FILES: Mapping[str, bytes] = {
    "config.json": b'{"layers": 2}\n',
    "weights/model.safetensors": b"\x00\x01\x02 not really weights",
    "README.md": b"# A model\n",
}


def sha(data: bytes) -> Digest:
    """The SHA-256 of `data`, by hashlib."""
    return Digest("sha256", hashlib.sha256(data).hexdigest())


def entries_of(files: Mapping[str, bytes]) -> tuple[Entry, ...]:
    """What hashing a directory with these files finds."""
    return tuple(Entry(path, len(data), sha(data)) for path, data in files.items())


def manifest_of(files: Mapping[str, bytes] = FILES) -> Manifest:
    """The manifest of these files."""
    return Manifest.of(entries_of(files))


def statement_about(
    artifact: Digest,
    predicate_type: str,
    predicate: Mapping[str, Any],
    name: str | None = "acme/model:1.0",
) -> Statement:
    """A statement with one subject."""
    subject = ResourceDescriptor(name=name, digests=(artifact,))
    return Statement.build([subject], predicate_type, predicate)


# --- trust roots ----------------------------------------------------------------------------


def signer(
    key: Key,
    principal: str = "ci",
    predicates: Sequence[str] = ("*",),
    names: Sequence[str] = ("**",),
    **fields: Any,
) -> dict[str, Any]:
    """One item of `signers`, with one grant unless `may` is given."""
    may = [{"predicates": list(predicates), "names": list(names)}]
    return {"principal": principal, "key": key.public.pem, "may": may, **fields}


def trust_bytes(*signers: Mapping[str, Any], **fields: Any) -> bytes:
    """A trust root as text. JSON is YAML, so the writer under test is not needed."""
    document = {"format": "urn:stemma:trust-root:v0.1", "signers": list(signers), **fields}
    return json.dumps(document, indent=1).encode()


def trust_root(*signers: Mapping[str, Any]) -> TrustRoot:
    """The trust root with these signers."""
    return TrustRoot.parse(trust_bytes(*signers))


# --- measuring ------------------------------------------------------------------------------


@contextmanager
def bounded(seconds: float, megabytes: float) -> Iterator[None]:
    """The block ends within `seconds` of CPU time and never holds more than `megabytes` more."""
    import time
    import tracemalloc

    tracemalloc.start()
    started = time.process_time()
    try:
        yield
        spent, peak = time.process_time() - started, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert spent < seconds, f"{spent:.1f} s of CPU time, {seconds} s are allowed"
    assert peak < megabytes * 1e6, f"{peak / 1e6:.0f} MB, {megabytes} MB are allowed"
