"""Keys, a statement, an artifact and trust roots: the good parts of every case.

Keys are derived from their names, and signatures of keys are deterministic (RFC 6979),
so that cases with keys come out the same each time and makers can sign at run time.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from stemma_attestations.keys import PublicKey
from tests.building import Key, bundle_document, compact, manifest_of, sha, spki
from tests.conformance.making.case import ARTIFACT, BUNDLE, TRUST, Case

AT = "2026-11-21T12:00:00Z"
NAME = "acme/model:1.0"
PREDICATE = "urn:example:evaluation:v0.1"
STATEMENT = "https://in-toto.io/Statement/v1"
MODEL = manifest_of().raw  # the bytes that are vouched for: a manifest
OTHER_MODEL = manifest_of({"weights.bin": b"poisoned"}).raw
ASKED = {"name": NAME, "predicate": PREDICATE, "at": AT}
_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


class NamedKey(Key):
    """A P-256 key whose signatures are the same each time."""

    def sign_bytes(self, message: bytes) -> bytes:
        assert isinstance(self.private, ec.EllipticCurvePrivateKey)
        return self.private.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def named_key(name: str) -> NamedKey:
    """The key of that name. It protects nothing: everybody can derive it."""
    seed = int(sha(f"stemma conformance {name}".encode()).value, 16)
    private = ec.derive_private_key(seed % (_ORDER - 1) + 1, ec.SECP256R1())
    return NamedKey(private, PublicKey.parse(spki(private)))


CI, MALLORY = named_key("ci"), named_key("mallory")


def statement(subjects: Sequence[Mapping[str, Any]] | None = None, **changes: Any) -> bytes:
    """The statement's bytes; a change to None leaves the field out."""
    document = {
        "_type": STATEMENT,
        "predicate": {"score": 1},
        "predicateType": PREDICATE,
        "subject": [subject()] if subjects is None else list(subjects),
        **changes,
    }
    return compact({name: value for name, value in document.items() if value is not None})


def subject(name: str | None = NAME, **digests: str) -> dict[str, Any]:
    """A resource descriptor; of the model's SHA-256 unless digests are given."""
    found: dict[str, Any] = {"digest": digests or {"sha256": sha(MODEL).value}}
    return found | ({} if name is None else {"name": name})


GOOD = statement()


def signed(payload: bytes = GOOD, key: Key = CI, **bent: Any) -> dict[str, Any]:
    """A bundle of a key, as a document; `bundle_document` says what can be bent."""
    return bundle_document(key, payload, **bent)


def packed(document: Any) -> bytes:
    """A document's bytes."""
    return compact(document) + b"\n"


def by_key(
    key: Key = CI,
    principal: str = "training-ci",
    predicates: Sequence[str] = (PREDICATE,),
    names: Sequence[str] = ("acme/*",),
    **fields: str,
) -> list[str]:
    """The lines of one signer with a key."""
    pem = [f"      {line}" for line in key.public.pem.strip().splitlines()]
    return [f"  - principal: {principal}", "    key: |", *pem, *grant(predicates, names, fields)]


def by_identity(
    identity: Mapping[str, str],
    root: str,
    claims: Mapping[str, str] | None = None,
    principal: str = "training-ci",
    **fields: str,
) -> list[str]:
    """The lines of one signer with an identity."""
    lines = [f"  - principal: {principal}", "    identity:"]
    lines += [f"      {name}: {json.dumps(value)}" for name, value in identity.items()]
    lines += [f"      root: {root}"]
    if claims:
        lines += ["      claims:"]
        lines += [f"        {name}: {json.dumps(value)}" for name, value in claims.items()]
    return [*lines, *grant((PREDICATE,), ("acme/*",), fields)]


def grant(predicates: Sequence[str], names: Sequence[str], fields: Mapping[str, str]) -> list[str]:
    """What a signer may say, and until when."""
    lines = [f"    {name}: {value}" for name, value in fields.items()]
    said = [f"      - predicates: {json.dumps(list(predicates))}"]
    return [*lines, "    may:", *said, f"        names: {json.dumps(list(names))}"]


def trust(*signers: Sequence[str]) -> bytes:
    """A trust root with these signers."""
    lines = ["format: urn:stemma:trust-root:v0.1", "signers:", *(x for s in signers for x in s)]
    return ("\n".join(lines) + "\n").encode()


KEY_GOOD = Case(
    name="key-good",
    story="A statement about the artifact, signed by a key that the trust root lists for it.",
    files={BUNDLE: packed(signed()), ARTIFACT: MODEL, TRUST: trust(by_key())},
    asked=ASKED,
)


def bent_bundle(
    name: str, story: str, check: str, reason: str, document: dict[str, Any] | bytes
) -> Case:
    """`key-good` with another bundle."""
    data = document if isinstance(document, bytes) else packed(document)
    return KEY_GOOD.forged(name, story, check, reason, {BUNDLE: data})
