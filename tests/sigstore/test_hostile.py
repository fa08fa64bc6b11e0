"""Whatever stands anywhere in a bundle, the answer is a refusal or the same proof; and soon."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import keyless
from stemma_attestations.errors import BadBundle, SignatureRefused
from stemma_attestations.identity import Identity
from tests.building import bounded, examples
from tests.sigstore.forge import raw
from tests.sigstore.scene import Document, both, good, material
from tests.sigstore.stack import LocalSigstore

STRANGE = st.sampled_from(
    [None, True, 0, -1, 2**53, 1.5, "", "0", "AAAA", "\u0663", "A" * 10_000, [], [[]], {}, {"": 1}]
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in a document but the whole."""
    items: list[tuple[Any, Any]] = []
    if isinstance(value, dict):
        items = list(value.items())
    elif isinstance(value, list):
        items = list(enumerate(value))
    return [found for key, inner in items for found in [(*path, key), *places(inner, (*path, key))]]


def put(document: Document, path: tuple[Any, ...], value: Any) -> Document:
    document = copy.deepcopy(document)
    target: Any = document
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = value
    return document


@pytest.fixture(scope="module")
def documents(sigstore: LocalSigstore) -> dict[int, Document]:
    """One good bundle of each log: what grows with the log would be another search space."""
    return {rekor: good(sigstore, rekor) for rekor in (1, 2)}


@both
@examples(150)
@given(data=st.data())
def test_a_strange_value_anywhere(
    sigstore: LocalSigstore, documents: dict[int, Document], rekor: int, data: st.DataObject
) -> None:
    document = documents[rekor]
    root = sigstore.trusted_root()
    before = keyless.verify(raw(document), root)
    path = data.draw(st.sampled_from(places(document)))
    try:
        after = keyless.verify(raw(put(document, path, data.draw(STRANGE))), root)
    except SignatureRefused as error:
        assert "\n" not in str(error)
    else:
        assert after.statement.raw == before.statement.raw
        assert after.identity == before.identity
        assert after.log == before.log
        assert set(after.times) <= set(before.times)


@both
@examples(60)
@given(data=st.data())
def test_a_strange_value_anywhere_in_the_root(
    sigstore: LocalSigstore, documents: dict[int, Document], rekor: int, data: st.DataObject
) -> None:
    """It verifies or is refused, and nothing else is raised."""
    root = sigstore.trusted_root_json()
    path = data.draw(st.sampled_from(places(root)))
    changed = json.dumps(put(root, path, data.draw(STRANGE))).encode()
    try:
        keyless.verify(raw(documents[rekor]), changed)
    except SignatureRefused as error:
        assert "\n" not in str(error)


@examples(200)
@given(st.binary(max_size=200))
def test_any_bytes_at_all(data: bytes) -> None:
    with pytest.raises(SignatureRefused):
        keyless.verify(data, data)
    with pytest.raises(BadBundle):
        Identity.from_certificate(data)


@pytest.mark.parametrize("what", ["hashes", "signatures", "timestamps", "note", "payload", "deep"])
def test_much_of_one_thing_takes_little(sigstore: LocalSigstore, what: str) -> None:
    document, root = good(sigstore, 2), sigstore.trusted_root()
    keyless.verify(raw(document), root)
    proof = material(document)["tlogEntries"][0]["inclusionProof"]
    if what == "hashes":
        proof["hashes"] = ["A" * 43 + "="] * 200_000
    elif what == "signatures":
        document["dsseEnvelope"]["signatures"] *= 10_000
    elif what == "timestamps":
        material(document)["timestampVerificationData"]["rfc3161Timestamps"] *= 10_000
    elif what == "note":
        proof["checkpoint"]["envelope"] += "\u2014 witness AAAAAAAA\n" * 200_000
    elif what == "payload":
        document["dsseEnvelope"]["payload"] = "A" * (100 * 1024 * 1024)
    data = raw(document)
    if what == "deep":
        data = data[:-1] + b', "x": ' + b"[" * 1_000_000 + b"]" * 1_000_000 + b"}"
    with bounded(seconds=8, megabytes=800), pytest.raises(SignatureRefused):
        keyless.verify(data, root)
