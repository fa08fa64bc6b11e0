"""Reading what others sign: only BadBundle comes out of any bytes, and nothing is guessed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import foreign
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle
from stemma_attestations.foreign import Thing
from stemma_attestations.statement import ResourceDescriptor
from tests import foreign_forms as forms
from tests.building import examples
from tests.foreign_forms import Maker, b64, compact, statement

MAKER = Maker()
ABOUT = {"sha256": Digest.of(b"x").value}
PAYLOAD = statement(ABOUT)
KEY = json.loads(MAKER.key_bundle(PAYLOAD))
KEYLESS = MAKER.keyless_bundle(PAYLOAD)
PEP740 = MAKER.pep740(PAYLOAD)
COSIGN = json.loads(MAKER.cosign_blob(b"x"))
LINK = {
    "signed": {
        "_type": "link",
        "name": "train",
        "materials": {},
        "products": {"model": ABOUT},
        "byproducts": {},
        "command": [],
        "environment": {},
    },
    "signatures": [],
}
DOCUMENTS = [
    KEY,
    KEYLESS,
    PEP740,
    COSIGN,
    LINK,
    MAKER.envelope(PAYLOAD),
    json.loads(forms.npm_answer(MAKER, MAKER, b"x")),
    json.loads(forms.index_answer(MAKER, b"x", "x")),
    json.loads(PAYLOAD),
]
ODD: list[Any] = [None, 0, 1.5, True, "", "x", "=", b64(b"{"), b64(b"null"), [], [[]], {}, {"a": 1}]


def variants(value: Any) -> Iterator[Any]:
    """The document with one value in it replaced, left out or added to, at every place."""
    if isinstance(value, dict):
        for key, item in value.items():
            rest = {k: v for k, v in value.items() if k != key}
            yield rest
            for odd in [*ODD, *variants(item)]:
                yield {**value, key: odd}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            for odd in [*ODD, *variants(item)]:
                yield [*value[:place], odd, *value[place + 1 :]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=[min(d) for d in DOCUMENTS])
def test_a_document_that_is_odd_anywhere_is_read_or_refused(document: dict[str, Any]) -> None:
    assert foreign.read(compact(document))
    for odd in variants(document):
        try:
            pieces = foreign.read(compact(odd))
        except BadBundle:
            continue
        assert all(isinstance(piece.says, str) for piece in pieces)


@examples(200)
@given(st.binary(max_size=80) | st.text(max_size=80).map(str.encode))
def test_no_bytes_raise_anything_but_bad_bundle(raw: bytes) -> None:
    for read in (foreign.read, foreign.read_lines):
        try:
            assert read(raw)
        except BadBundle:
            pass


def replaced(document: dict[str, Any], **fields: Any) -> bytes:
    return compact({key: v for key, v in {**document, **fields}.items() if v is not ...})


@pytest.mark.parametrize(
    "raw",
    [
        replaced(KEY, mediaType="application/vnd.dev.sigstore.bundle.v0.4+json"),
        replaced(KEY, mediaType="application/vnd.dev.sigstore.bundle+json;version=0.4"),
        replaced(KEY, verificationMaterial={}),
        replaced(KEY, verificationMaterial={"publicKey": {}, "certificate": {}}),
        replaced(KEY, messageSignature={}),
        replaced(KEY, dsseEnvelope=...),
        replaced(KEY["dsseEnvelope"], payloadType="application/vnd.in-toto.other+json"),
        replaced(KEY["dsseEnvelope"], payload=b64(b'{"_type":"layout"}')),
        replaced(KEY["dsseEnvelope"], signatures=[]),
        replaced(PEP740, version=2),
        replaced(PEP740, version="1"),
        replaced(PEP740, envelope={"statement": b64(PAYLOAD)}),
        replaced(COSIGN, rekorBundle=...),
        compact({"attestations": []}),
        compact({"attestations": [KEY]}),
        compact({"version": 1, "attestation_bundles": [{"attestations": []}]}),
        compact({"signed": {**LINK["signed"], "extra": 1}, "signatures": []}),
        compact({**LINK, "also": 1}),
        compact({"signed": {"_type": "layout"}, "signatures": []}),
    ],
)
def test_refused(raw: bytes) -> None:
    with pytest.raises(BadBundle):
        foreign.read(raw)


def test_two_signatures_in_a_bundle_are_refused_and_in_an_envelope_are_two() -> None:
    envelope = KEY["dsseEnvelope"]
    twice = {**envelope, "signatures": envelope["signatures"] * 2}
    with pytest.raises(BadBundle):
        foreign.read(replaced(KEY, dsseEnvelope=twice))
    (piece,) = foreign.read(compact(twice))
    assert piece.envelope is not None
    assert len(piece.envelope.signatures) == 2


def test_what_is_unsigned_or_old_is_no_statement() -> None:
    old = statement(ABOUT, forms.SLSA02, forms.V01)
    for raw in (PAYLOAD, old, compact(MAKER.envelope(old))):
        (piece,) = foreign.read(raw)
        assert piece.statement is None
        assert piece.note


def test_a_link_is_told_by_its_type_and_not_by_the_payloads() -> None:
    (piece,) = foreign.read(compact(MAKER.envelope(compact(LINK["signed"]))))
    assert piece.link is not None
    assert (piece.form, piece.says, piece.statement) == (foreign.LINK, "link of train", None)


def test_lines_are_numbered_as_an_editor_does() -> None:
    good = compact(KEY)
    lines = foreign.read_lines(b"\n" + good + b"\r\n\n{\n" + good)
    assert [(line.number, line.problem is None) for line in lines] == [
        (2, True),
        (4, False),
        (5, True),
    ]


def test_names_stay_linear_in_the_subjects() -> None:
    many = [ResourceDescriptor(digests=(Digest.of(b"%d" % n),)) for n in range(20_000)]
    piece = foreign.Piece("dsse", b"", "x", tuple(many))
    things = [Thing(f"f{n}", (Digest.of(b"f%d" % n),)) for n in range(20_000)]
    assert piece.names(things) is None
    assert piece.names([*things, Thing("this", many[-1].digests)]) == "this"
