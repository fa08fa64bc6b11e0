"""DSSE: what is signed, and the one spelling of what carries it."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.envelope import MAX_SIGNATURES, Envelope, Signature, pae, unbase64
from stemma_attestations.errors import BadEnvelope
from tests.building import dsse_pae, examples, json_values


def test_pae_of_the_specification() -> None:
    assert pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@pytest.mark.parametrize(
    ("kind", "payload", "expected"),
    [
        ("", b"", b"DSSEv1 0  0 "),
        ("a", b"b", b"DSSEv1 1 a 1 b"),
        ("a b", b"c d", b"DSSEv1 3 a b 3 c d"),
        # The length is that of the bytes: two for an umlaut.
        ("ex\u00e4mple", b"\x00\xff", b"DSSEv1 8 ex\xc3\xa4mple 2 \x00\xff"),
    ],
)
def test_pae(kind: str, payload: bytes, expected: bytes) -> None:
    assert pae(kind, payload) == expected == dsse_pae(kind, payload)


@examples(300)
@given(st.text(max_size=6), st.binary(max_size=6), st.text(max_size=6), st.binary(max_size=6))
def test_two_different_envelopes_never_sign_the_same_bytes(
    kind: str, payload: bytes, other_kind: str, other_payload: bytes
) -> None:
    equal = (kind, payload) == (other_kind, other_payload)
    assert (pae(kind, payload) == pae(other_kind, other_payload)) is equal


def test_the_boundary_between_type_and_payload_is_signed() -> None:
    assert pae("a 1 b", b"c") != pae("a", b"b 1 c")
    assert pae("ab", b"c") != pae("a", b"bc")


# --- parsing --------------------------------------------------------------------------------


def envelope(**fields: Any) -> dict[str, Any]:
    good = {
        "payload": "aGVsbG8gd29ybGQ=",
        "payloadType": "http://example.com/HelloWorld",
        "signatures": [{"sig": "c2ln", "keyid": "a hint"}],
    }
    return {key: value for key, value in {**good, **fields}.items() if value is not ...}


def test_parse() -> None:
    read = Envelope.parse(envelope())
    assert read.payload == b"hello world"
    assert read.signatures == (Signature(b"sig", "a hint"),)
    assert read.signed_bytes == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    assert read.to_json() == envelope()


@examples(100)
@given(
    st.binary(min_size=1, max_size=30),
    st.text(min_size=1, max_size=10),
    st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.text(max_size=5)), min_size=1),
)
def test_parse_is_the_inverse_of_to_json(
    payload: bytes, kind: str, signatures: list[tuple[bytes, str]]
) -> None:
    built = Envelope(payload, kind, tuple(Signature(*s) for s in signatures[:MAX_SIGNATURES]))
    assert Envelope.parse(built.to_json()) == built


@pytest.mark.parametrize(
    "document",
    [
        None,
        [],
        "envelope",
        envelope(payload=...),
        envelope(payload=""),
        envelope(payload=None),
        envelope(payload=["aGVsbG8="]),
        envelope(payloadType=...),
        envelope(payloadType=""),
        envelope(payloadType=7),
        envelope(signatures=...),
        envelope(signatures=[]),
        envelope(signatures={}),
        envelope(signatures=["c2ln"]),
        envelope(signatures=[{}]),
        envelope(signatures=[{"sig": ""}]),
        envelope(signatures=[{"sig": None}]),
        envelope(signatures=[{"sig": "c2ln", "keyid": 7}]),
        envelope(signatures=[{"sig": "c2ln"}, {"sig": "not base64"}]),
        envelope(signatures=[{"sig": "c2ln"}] * (MAX_SIGNATURES + 1)),
    ],
)
def test_refused(document: object) -> None:
    with pytest.raises(BadEnvelope):
        Envelope.parse(document)


def test_near_misses_are_read() -> None:
    assert len(Envelope.parse(envelope(signatures=[{"sig": "c2ln"}] * 64)).signatures) == 64
    for signature in ({"sig": "c2ln"}, {"sig": "c2ln", "keyid": None}):
        assert Envelope.parse(envelope(signatures=[signature])).signatures[0].keyid == ""
    assert Envelope.parse(envelope(extension={"a": 1})).payload == b"hello world"


@examples(200)
@given(json_values | st.dictionaries(st.sampled_from(list(envelope())), json_values))
def test_no_document_raises_anything_but_bad_envelope(document: Any) -> None:
    try:
        Envelope.parse(document)
    except BadEnvelope:
        pass


# --- base64 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "=",
        "====",
        "aGVsbG8",
        "aGVsbG8==",
        "aGVsbG8=\n",
        " aGVsbG8=",
        "aGVs\nbG8=",
        "aGVs bG8=",
        "aGVs-bG8",
        "aGVsbG9=",
        "aGVsbG+/_w==",
        "aGVsbG8=aGVsbG8=",
        "aGVsbG8=x",
        "aGVsbG8\u00e9",
        "\uff41GVsbG8=",
        "aGVsbG8\x00",
    ],
)
def test_base64_that_is_not_the_one_spelling(text: str) -> None:
    with pytest.raises(BadEnvelope):
        unbase64(text, "payload")


@pytest.mark.parametrize("text", ["-_-_Pj8=", "-_8="])
def test_the_url_safe_alphabet_is_refused(text: str) -> None:
    """DSSE allows it, a Sigstore bundle never has it; with one alphabet a text has one spelling."""
    with pytest.raises(BadEnvelope):
        unbase64(text, "payload")


@examples(300)
@given(st.binary(min_size=1, max_size=40))
def test_standard_base64_is_read(data: bytes) -> None:
    assert unbase64(base64.b64encode(data).decode(), "payload") == data


@examples(500)
@given(st.text(alphabet="ABab01+/=-_ \n", min_size=1, max_size=12))
def test_two_texts_never_decode_to_the_same_bytes(text: str) -> None:
    try:
        data = unbase64(text, "sig")
    except BadEnvelope:
        return
    assert base64.b64encode(data).decode() == text
