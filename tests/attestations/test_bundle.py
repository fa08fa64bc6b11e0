"""Bundles: signed, bent, and refused. No changed byte may pass."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, utils
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle, verify_bundle
from stemma_attestations.envelope import Envelope
from stemma_attestations.errors import BadBundle, BadStatement, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import PAYLOAD_TYPE, Statement
from tests.building import (
    KEY_KINDS,
    bundle_bytes,
    bundle_document,
    compact,
    dsse_pae,
    examples,
    key,
    sha,
    spki,
    statement_about,
)

STATEMENT = statement_about(sha(b"artifact"), "urn:example:test", {"n": 1})
both_kinds = pytest.mark.parametrize("kind", KEY_KINDS)


@both_kinds
def test_sign_and_verify(kind: str) -> None:
    signer = key("a", kind)
    raw = bundle_bytes(signer, STATEMENT.raw)
    bundle = Bundle.parse(raw)
    assert bundle.raw == raw
    assert bundle.digest.value == hashlib.sha256(raw).hexdigest()
    assert bundle.hint == signer.public.id
    verified = bundle.verify(signer.public)
    assert verified.raw == STATEMENT.raw
    assert verified.predicate == {"n": 1}
    assert verify_bundle(raw, signer.public.der).raw == STATEMENT.raw


@both_kinds
def test_build_writes_what_parse_reads(kind: str) -> None:
    signer = key("a", kind)
    signature = signer.sign_bytes(dsse_pae(PAYLOAD_TYPE, STATEMENT.raw))
    built = Bundle.build(STATEMENT.raw, signature, signer.public)
    assert Bundle.parse(built.raw) == built
    assert built.verify(signer.public).raw == STATEMENT.raw
    assert json_strict.loads(built.raw)["mediaType"] == (
        "application/vnd.dev.sigstore.bundle.v0.3+json"
    )


# --- every byte -----------------------------------------------------------------------------


def refused(raw: bytes, signer_der: bytes) -> bool:
    try:
        verify_bundle(raw, signer_der)
    except SignatureRefused:
        return True
    return False


def changed_bytes(raw: bytes, values: Iterator[int] | range | None) -> Iterator[tuple[int, bytes]]:
    for index, old in enumerate(raw):
        chosen = values or {old ^ 1, old ^ 0x20, old ^ 0x80, *b'A0" \\'}
        for value in chosen:
            if value != old:
                yield index, raw[:index] + bytes([value]) + raw[index + 1 :]


@both_kinds
def test_every_changed_byte_is_refused(kind: str) -> None:
    signer = key("a", kind)
    raw = bundle_bytes(signer, STATEMENT.raw)
    passed = [(i, b[i]) for i, b in changed_bytes(raw, None) if not refused(b, signer.public.der)]
    assert passed == []


@pytest.mark.slow
@both_kinds
def test_every_byte_in_every_place_is_refused(kind: str) -> None:
    signer = key("a", kind)
    raw = bundle_bytes(signer, STATEMENT.raw)
    changed = changed_bytes(raw, range(256))
    assert [(i, b[i]) for i, b in changed if not refused(b, signer.public.der)] == []


@both_kinds
def test_a_byte_more_or_less_is_refused_or_changes_nothing_that_was_signed(kind: str) -> None:
    """White space may be added; the file then has another name and says the same."""
    signer = key("a", kind)
    raw = bundle_bytes(signer, STATEMENT.raw)
    original = Bundle.parse(raw)
    for index in range(len(raw) + 1):
        variants = [raw[:index] + extra + raw[index:] for extra in (b" ", b"0", b"A", b'"')]
        if index < len(raw):
            variants.append(raw[:index] + raw[index + 1 :])
        for changed in variants:
            try:
                statement = verify_bundle(changed, signer.public.der)
            except SignatureRefused:
                continue
            assert statement.raw == STATEMENT.raw
            assert statement.digest == STATEMENT.digest
            assert Bundle.parse(changed).digest != original.digest


def test_anybody_can_write_a_bundle_again_but_nobody_the_statement_in_it() -> None:
    """Why nothing may hang on a bundle's digest: ECDSA's (r, n - s) verifies as well."""
    signer = key("a")
    raw = bundle_bytes(signer, STATEMENT.raw)
    document = json_strict.loads(raw)
    (signature,) = document["dsseEnvelope"]["signatures"]
    r, s = utils.decode_dss_signature(base64.b64decode(signature["sig"]))
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = base64.b64encode(utils.encode_dss_signature(r, order - s)).decode()
    signature["sig"] = twin
    again = compact(document)
    assert Bundle.parse(again).digest != Bundle.parse(raw).digest
    assert verify_bundle(again, signer.public.der).digest == STATEMENT.digest


@examples(150)
@given(st.binary(min_size=1, max_size=40), st.sampled_from(KEY_KINDS))
def test_another_payload_under_the_signature_is_refused(payload: bytes, kind: str) -> None:
    signer = key("a", kind)
    document = bundle_document(signer, STATEMENT.raw)
    document["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()
    assert refused(compact(document), signer.public.der)


@examples(200)
@given(st.binary(max_size=100))
def test_no_bytes_raise_anything_but_what_is_documented(data: bytes) -> None:
    with pytest.raises(BadBundle):
        Bundle.parse(data)
    with pytest.raises(SignatureRefused):
        verify_bundle(data, key("a").public.der)
    with pytest.raises(SignatureRefused):
        verify_bundle(bundle_bytes(key("a"), STATEMENT.raw), data)


# --- keys and hints -------------------------------------------------------------------------


def test_the_key_of_somebody_else() -> None:
    raw = bundle_bytes(key("a"), STATEMENT.raw)
    assert refused(raw, key("b").public.der)
    assert refused(raw, key("a", "ed25519").public.der)


def test_the_hint_of_somebody_else_does_not_lend_their_name() -> None:
    raw = bundle_bytes(key("mallory"), STATEMENT.raw, hint=key("a").public.id)
    assert refused(raw, key("a").public.der)
    assert refused(raw, key("mallory").public.der)


def test_a_hint_that_names_nobody() -> None:
    for hint in ("0" * 64, "a", key("a").public.id.upper(), key("a").public.id[:12]):
        assert refused(bundle_bytes(key("a"), STATEMENT.raw, hint=hint), key("a").public.der)


@pytest.mark.parametrize("hint", ["a\nb", "\x1b[31mgood", "\u202eabc", "a\u2028", "\x00"])
def test_a_hint_that_would_write_on_the_terminal(hint: str) -> None:
    """Found by fuzzing: a refusal shows the hint, and is one line."""
    with pytest.raises(BadBundle):
        Bundle.parse(bundle_bytes(key("a"), STATEMENT.raw, hint=hint))


def test_the_hint_of_model_signing_is_understood() -> None:
    """OpenSSF model-signing names a key by the SHA-256 of its PEM text."""
    hint = hashlib.sha256(key("a").public.pem.encode()).hexdigest()
    raw = bundle_bytes(key("a"), STATEMENT.raw, hint=hint)
    assert verify_bundle(raw, key("a").public.der).raw == STATEMENT.raw


def test_an_unknown_key_is_refused() -> None:
    with pytest.raises(SignatureRefused):
        verify_bundle(bundle_bytes(key("a"), STATEMENT.raw), None)


def test_keyid_proves_nothing() -> None:
    document = bundle_document(key("mallory"), STATEMENT.raw, hint=key("a").public.id)
    document["dsseEnvelope"]["signatures"][0]["keyid"] = key("a").public.id
    assert refused(compact(document), key("a").public.der)


# --- what is signed -------------------------------------------------------------------------


@both_kinds
def test_a_signature_over_the_payload_itself_is_refused(kind: str) -> None:
    raw = bundle_bytes(key("a", kind), STATEMENT.raw, signed=STATEMENT.raw)
    assert refused(raw, key("a", kind).public.der)


@both_kinds
@pytest.mark.parametrize(
    "message",
    [
        b"DSSEv1 28 application/vnd.in-toto+json " + STATEMENT.raw,
        dsse_pae(PAYLOAD_TYPE, base64.b64encode(STATEMENT.raw)),
        dsse_pae("application/json", STATEMENT.raw),
        dsse_pae(PAYLOAD_TYPE, STATEMENT.raw) + b"\n",
        dsse_pae(PAYLOAD_TYPE, STATEMENT.raw).replace(b"DSSEv1", b"DSSEv2"),
        hashlib.sha256(dsse_pae(PAYLOAD_TYPE, STATEMENT.raw)).digest(),
        b"",
    ],
)
def test_a_signature_over_anything_else_is_refused(kind: str, message: bytes) -> None:
    raw = bundle_bytes(key("a", kind), STATEMENT.raw, signed=message)
    assert refused(raw, key("a", kind).public.der)


@pytest.mark.parametrize(
    "payload_type",
    [
        "application/vnd.in-toto+json ",
        "application/vnd.in-toto.+json",
        "Application/vnd.in-toto+json",
        "application/json",
        "https://in-toto.io/Statement/v1",
    ],
)
def test_a_well_signed_envelope_of_another_type_is_refused(payload_type: str) -> None:
    raw = bundle_bytes(key("a"), STATEMENT.raw, payload_type=payload_type)
    assert refused(raw, key("a").public.der)
    with pytest.raises(BadBundle):
        Bundle.parse(raw).statement()


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b"not json",
        b"\xff",
        STATEMENT.raw + b"{}",
        STATEMENT.raw.replace(b"Statement/v1", b"Statement/v0.1"),
        STATEMENT.raw.replace(b'{"n":1}', b'{"n":1,"n":2}'),
        b'{"_type":"link","name":"step"}',
    ],
)
def test_a_well_signed_payload_that_is_no_statement_is_refused(payload: bytes) -> None:
    raw = bundle_bytes(key("a"), payload)
    assert refused(raw, key("a").public.der)
    with pytest.raises(BadStatement):
        Bundle.parse(raw).statement()


def test_the_bytes_that_were_signed_are_the_bytes_that_are_parsed() -> None:
    """Also where they are not canonical: nothing is written again before it is believed."""
    payload = b"\n " + STATEMENT.raw.replace(b'{"n":1}', b'{ "n" : 1.0 }') + b" "
    verified = verify_bundle(bundle_bytes(key("a"), payload), key("a").public.der)
    assert verified.raw == payload
    assert verified == Statement.parse(payload)


def test_the_signature_of_the_dsse_test_vectors() -> None:
    """`single-signature` and `payload-type-swapped` of DSSE's test vectors; key of RFC 8032."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    public = PublicKey.parse(spki(ed25519.Ed25519PrivateKey.from_private_bytes(seed)))
    sig = "2WAfaHm5jluo0w+0rk8uVkluELJYWjSmU9x7EUzx+AyteDGJ4/nqyJXfmAUVFIAoQafWm7AxBZNw5M9ixNHiCA=="
    document = {
        "payload": "eyJfdHlwZSI6Imh0dHBzOi8vaW4tdG90by5pby9TdGF0ZW1lbnQvdjEifQ==",
        "payloadType": "application/vnd.in-toto+json",
        "signatures": [{"sig": sig, "keyid": "A"}],
    }
    envelope = Envelope.parse(document)
    public.verify(envelope.signatures[0].sig, envelope.signed_bytes)
    swapped = Envelope.parse({**document, "payloadType": "application/vnd.example.other+json"})
    with pytest.raises(SignatureRefused):
        public.verify(swapped.signatures[0].sig, swapped.signed_bytes)
