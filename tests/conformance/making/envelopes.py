"""Envelopes and bundles of keys: payload types, signatures, hints, and the JSON around them."""

from __future__ import annotations

import base64
import copy
from collections.abc import Callable, Iterator
from typing import Any

from tests.building import dsse_pae
from tests.conformance.making.case import ARTIFACT, BUNDLE, KEY, TRUST, Case
from tests.conformance.making.scene import (
    CI,
    GOOD,
    KEY_GOOD,
    MALLORY,
    PREDICATE,
    bent_bundle,
    by_key,
    named_key,
    packed,
    signed,
    statement,
    trust,
)

KEYS = "attestations/stemma_attestations/keys.py::PublicKey.verify"
PARSE = "attestations/stemma_attestations/bundle.py::Bundle.parse"
TYPED = "attestations/stemma_attestations/bundle.py::Bundle.statement"
ENVELOPE = "attestations/stemma_attestations/envelope.py::"
TRUSTED = "attestations/stemma_attestations/trust.py::"
LISTED = "attestations/stemma_attestations/listed.py::"
COVERS = "attestations/stemma_attestations/grants.py::Grant.covers"
NOT_BY_IT = "the signature does not verify"
OTHER_TYPE = "the payload type is not application/vnd.in-toto+json"
IN_TOTO = "application/vnd.in-toto+json"


def cases() -> Iterator[Case]:
    """All of them; what they are compared with is `key-good`."""
    yield from _types()
    yield from _signatures()
    yield from _documents()
    yield from _hints()
    yield from _grants()
    yield from _managed()


def _bend(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    """The good bundle, changed after it was signed."""
    document = copy.deepcopy(signed())
    change(document)
    return document


def _envelope(**fields: Any) -> dict[str, Any]:
    """The good bundle with other fields in its envelope; None takes one out."""

    def change(document: dict[str, Any]) -> None:
        inner = {**document["dsseEnvelope"], **fields}
        document["dsseEnvelope"] = {k: v for k, v in inner.items() if v is not None}

    return _bend(change)


def _types() -> Iterator[Case]:
    yield bent_bundle(
        "payload-type-changed",
        "After signing, the payload type was changed to one that another reader would act on.",
        KEYS,
        NOT_BY_IT,
        _envelope(payloadType="application/json"),
    )
    relabelled = signed(payload_type="application/json")
    relabelled["dsseEnvelope"]["payloadType"] = IN_TOTO
    yield bent_bundle(
        "payload-type-relabelled",
        "Bytes that were signed as plain JSON were relabelled as a statement.",
        KEYS,
        NOT_BY_IT,
        relabelled,
    )
    others = {
        "other": ("application/json", "The signer signed the bytes as plain JSON."),
        "case": ("application/vnd.in-toto+JSON", "Signed with the payload type in another case."),
        "space": (f"{IN_TOTO} ", "Signed with a space behind the payload type."),
        "parameter": (f"{IN_TOTO}; charset=utf-8", "Signed with a parameter behind the type."),
        "uri": (f"https://example.com/{IN_TOTO}", "Signed with a URI that ends in the type."),
    }
    for name, (kind, story) in others.items():
        document = signed(payload_type=kind)
        yield bent_bundle(f"payload-type-{name}", story, TYPED, OTHER_TYPE, document)
    parse, missing = f"{ENVELOPE}Envelope.parse", "an envelope has a payloadType"
    yield bent_bundle(
        "payload-type-missing",
        "The payload type was taken out.",
        parse,
        missing,
        _envelope(payloadType=None),
    )
    yield bent_bundle(
        "payload-type-empty",
        "Signed with an empty payload type, so that no reader is meant.",
        parse,
        missing,
        signed(payload_type=""),
    )
    yield bent_bundle(
        "payload-type-number", "The payload type is 0.", parse, missing, _envelope(payloadType=0)
    )


def _signatures() -> Iterator[Case]:
    text = base64.b64encode(GOOD)
    over = {
        "raw-payload": (GOOD, "the raw payload, without the PAE"),
        "base64-payload": (text, "the payload's base64 text"),
        "pae-of-base64": (dsse_pae(IN_TOTO, text), "the PAE of the payload's base64 text"),
        "pae-without-type": (dsse_pae("", GOOD), "a PAE with an empty payload type"),
        "pae-of-hex-lengths": (
            dsse_pae(IN_TOTO, GOOD).replace(b" 28 ", b" 1c ", 1),
            "a PAE whose length is in hexadecimal",
        ),
        "another-payload": (
            dsse_pae(IN_TOTO, statement(predicate={"score": 0})),
            "the same statement with another score",
        ),
    }
    for name, (message, what) in over.items():
        story = f"The key that is believed signed {what}, and this payload was put beside it."
        yield bent_bundle(f"signature-over-{name}", story, KEYS, NOT_BY_IT, signed(signed=message))
    sig = signed()["dsseEnvelope"]["signatures"][0]["sig"]
    data = base64.b64decode(sig)
    changed = {
        "flipped": (data[:-1] + bytes([data[-1] ^ 1]), "One bit of the signature was changed."),
        "trailing": (data + b"\0", "A byte was put behind the signature."),
        "zero": (b"\x30\x06\x02\x01\x00\x02\x01\x00", "The signature is r = 0, s = 0."),
        "random": (b"x" * 64, "The signature is 64 bytes of anything."),
    }
    for name, (value, story) in changed.items():
        one = [{"sig": base64.b64encode(value).decode()}]
        yield bent_bundle(f"signature-{name}", story, KEYS, NOT_BY_IT, _envelope(signatures=one))
    mine, theirs = {"sig": sig}, signed(key=MALLORY)["dsseEnvelope"]["signatures"][0]
    lists = {
        "none": ([], "an envelope has at least one signature", "The list of signatures is empty."),
        "missing": (None, "an envelope has at least one signature", "There are no signatures."),
        "twice": ([mine] * 2, "exactly one signature", "The good signature stands there twice."),
        "second": (
            [mine, theirs],
            "exactly one signature",
            "Beside the good signature stands that of a stranger, who gains from its company.",
        ),
    }
    for name, (signatures, reason, story) in lists.items():
        check = PARSE if signatures and len(signatures) > 1 else f"{ENVELOPE}Envelope.parse"
        document = _envelope(signatures=signatures)
        yield bent_bundle(f"signature-{name}", story, check, reason, document)


def _documents() -> Iterator[Case]:
    raw, other = packed(signed()), packed(signed(statement(predicate={"score": 0})))
    inner = other[other.index(b'"dsseEnvelope":') : other.index(b',"mediaType"')]
    loads = "attestations/stemma_attestations/json_strict.py::"
    bytes_of = {
        "duplicate-envelope": (
            raw.replace(b'{"dsseEnvelope"', b"{" + inner + b',"dsseEnvelope"', 1),
            "duplicate key 'dsseEnvelope'",
            f"{loads}_object",
            "Two envelopes in one bundle: a parser that keeps the first shows another statement.",
        ),
        "duplicate-payload": (
            raw.replace(b'"payload":', b'"payload":"e30=","payload":', 1),
            "duplicate key 'payload'",
            f"{loads}_object",
            "Two payloads in one envelope.",
        ),
        "bom": (
            b"\xef\xbb\xbf" + raw,
            "a byte order mark before the JSON",
            f"{loads}loads",
            "A byte order mark before the bundle.",
        ),
        "trailing-data": (
            raw + raw,
            "not JSON: Extra data",
            f"{loads}loads",
            "Two bundles in one file. (Collections are read a line at a time, each alone.)",
        ),
        "empty": (b"", "not JSON: ", f"{loads}loads", "The bundle is empty."),
        "null": (
            b"null",
            "expected a JSON object",
            f"{loads}load_object",
            "The bundle is `null`.",
        ),
    }
    for name, (data, reason, check, story) in bytes_of.items():
        yield bent_bundle(f"bundle-{name}", story, check, reason, data)
    media = "not a bundle of type application/vnd.dev.sigstore.bundle.v0.3+json"
    for name, kind in {"other": "application/json", "future": f"{media[21:-5]}.1+json"}.items():
        yield bent_bundle(
            f"bundle-type-{name}",
            "The bundle says that it is of a type that is not read.",
            "attestations/stemma_attestations/bundle.py::_check_media_type",
            media,
            _bend(lambda d, kind=kind: d.update(mediaType=kind)),
        )
    payload = base64.b64encode(GOOD).decode()
    spelled = {
        "url-safe": payload.replace("/", "_").replace("+", "-").replace("=", "-", 1),
        "spaced": payload[:40] + "\n" + payload[40:],
        "unpadded": payload.rstrip("=") + "A",
    }
    for name, text in spelled.items():
        yield bent_bundle(
            f"base64-{name}",
            "The payload's base64 is not in its one spelling. Lenient decoders differ on it.",
            f"{ENVELOPE}unbase64",
            "an envelope's payload is not",
            _envelope(payload=text),
        )


def _hints() -> Iterator[Case]:
    """Two keys are known: one may say this, the other may not."""
    other = by_key(MALLORY, "somebody-else", (PREDICATE,), ("other/*",))
    both = Case(
        name="hint-good",
        story="The trust root lists two keys. The bundle names the one that signed it.",
        files={**KEY_GOOD.files, TRUST: trust(by_key(), other)},
        asked=KEY_GOOD.asked,
    )
    yield both
    lying = signed()
    lying["dsseEnvelope"]["signatures"][0]["keyid"] = MALLORY.public.id
    yield both.also_good(
        "hint-keyid-lies",
        "The signature's keyid names another key. Nobody has signed it, and nothing reads it.",
        {BUNDLE: packed(lying)},
    )
    yield both.forged(
        "hint-borrowed",
        "The key that may not speak about this name signed, and the hint names the one that may.",
        KEYS,
        f"{NOT_BY_IT} with key {CI.public.id[:12]}",
        {BUNDLE: packed(signed(key=MALLORY, hint=CI.public.id))},
    )
    yield both.forged(
        "hint-misled",
        "The key that may speak signed, and the hint was changed to the one that may not. The "
        "hint chooses the key, so nothing verifies; no other key is tried.",
        KEYS,
        f"{NOT_BY_IT} with key {MALLORY.public.id[:12]}",
        {BUNDLE: packed(signed(hint=MALLORY.public.id))},
    )
    yield both.forged(
        "hint-honest-stranger",
        "The key that may not speak about this name signed, and says so.",
        COVERS,
        "may not say",
        {BUNDLE: packed(signed(key=MALLORY))},
    )
    nobody = named_key("nobody")
    yield both.forged(
        "hint-unknown",
        "A key signed that no trust root lists.",
        f"{TRUSTED}TrustRoot.key",
        f"{nobody.public.id[:12]} is not",
        {BUNDLE: packed(signed(key=nobody))},
    )
    yield both.forged(
        "hint-missing",
        "The hint was taken out: no key is tried for want of a better one.",
        "attestations/stemma_attestations/bundle.py::_parse_hint",
        "a bundle names its public key by a hint",
        {BUNDLE: packed(_bend(lambda d: d["verificationMaterial"].update(publicKey={})))},
    )
    yield both.forged(
        "hint-prefix",
        "The hint is the beginning of the key's id.",
        f"{TRUSTED}TrustRoot.key",
        f"{CI.public.id[:12]} is not",
        {BUNDLE: packed(signed(hint=CI.public.id[:16]))},
    )


def _grants() -> Iterator[Case]:
    limits = {
        "predicate": ("urn:example:other:v0.1", "acme/*", "to say another kind of statement"),
        "predicate-prefix": (PREDICATE[:-1] + "10", "acme/*", "a predicate type that is longer"),
        "name": (PREDICATE, "other/*", "about other names"),
        "name-prefix": (PREDICATE, "acm/*", "about names that only begin like this one"),
        "name-deeper": (PREDICATE, "acme/*/*", "about names one level deeper"),
        "name-above": (PREDICATE, "acme", "about the name above"),
    }
    for name, (predicate, names, what) in limits.items():
        yield KEY_GOOD.forged(
            f"grant-{name}",
            f"The key is trusted, but only {what}.",
            COVERS,
            f"may not say {PREDICATE} about acme/model:1.0",
            {TRUST: trust(by_key(predicates=(predicate,), names=(names,)))},
        )
    times = {
        "expired": ({"valid_until": '"2026-11-21T12:00:00Z"'}, "may not say", "ended this second"),
        "early": ({"valid_from": '"2026-11-21T12:00:01Z"'}, "may not say", "begins in a second"),
        "revoked": (
            {"revoked": '"2026-11-22T00:00:00Z"'},
            "was revoked, and nothing proves that it had signed before",
            "was revoked; the bundle has no trusted time, so it may have been made afterwards",
        ),
    }
    for name, (fields, reason, what) in times.items():
        check = f"{LISTED}Signer.{'stands' if name == 'revoked' else 'valid_at'}"
        files = {TRUST: trust(by_key(**fields))}
        yield KEY_GOOD.forged(f"key-{name}", f"The key {what}.", check, reason, files)
    yield KEY_GOOD.forged(
        "trust-nobody",
        "The trust root is empty.",
        f"{TRUSTED}TrustRoot.key",
        f"{CI.public.id[:12]} is not",
        {TRUST: b"format: urn:stemma:trust-root:v0.1\nsigners: []\n"},
    )


def _managed() -> Iterator[Case]:
    """Cases with a public key and no trust root, as in other corpora."""
    files = {BUNDLE: KEY_GOOD.files[BUNDLE], ARTIFACT: KEY_GOOD.files[ARTIFACT]}
    managed = Case(
        name="managed-key",
        story="A public key is given instead of a trust root. It signed a word about the artifact.",
        files={**files, KEY: CI.public.pem.encode()},
        asked=KEY_GOOD.asked,
    )
    yield managed
    yield managed.forged(
        "managed-key-of-another",
        "The public key is that of somebody else.",
        "attestations/stemma_attestations/bundle.py::Bundle.verify",
        f"the bundle names key {CI.public.id[:12]}, not {MALLORY.public.id[:12]}",
        {KEY: MALLORY.public.pem.encode()},
    )
