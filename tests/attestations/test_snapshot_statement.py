"""The statement about a copy of the catalogue, and its frozen example of v0.1."""

from __future__ import annotations

import dataclasses

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.keys import PublicKey
from stemma_attestations.merkle import Frontier
from stemma_attestations.predicates import snapshot as predicate
from stemma_attestations.predicates.snapshot import CatalogueSnapshot, Chunk
from stemma_attestations.statement import Statement
from tests.building import FIXTURES

GOOD = CatalogueSnapshot(
    5,
    Digest.of(b"entry"),
    "a" * 64,
    ("b" * 64, "c" * 64),
    "0003",
    (Chunk(Digest.of(b"chunk"), 9),),
    "2026-11-21T12:00:00Z",
)


def test_statement_build_and_parse_are_inverses() -> None:
    assert predicate.parse(predicate.build(GOOD)) == GOOD


@pytest.mark.parametrize(
    "wrong",
    [
        {"n": -1},
        {"n": 7},
        {"n": True},
        {"peaks": ("b" * 64,)},
        {"peaks": ("b" * 64, "c" * 63)},
        {"tree_root": "x"},
        {"revision": "../x"},
        {"revision": ""},
        {"chunks": ()},
        {"chunks": (Chunk(Digest.of(b"chunk"), -1),)},
        {"chunks": (Chunk(Digest.of(b"chunk"), predicate.MAX_CHUNK_BYTES + 1),)},
        {"time": "yesterday"},
    ],
)
def test_what_is_no_snapshot(wrong: dict[str, object]) -> None:
    with pytest.raises(BadStatement):
        predicate.parse(predicate.build(dataclasses.replace(GOOD, **wrong)))  # type: ignore[arg-type]


def test_the_frozen_example() -> None:
    key = PublicKey.parse((FIXTURES / "keys/operator.pub").read_bytes())
    bundle = Bundle.parse((FIXTURES / "bundles/snapshot.operator.json").read_bytes())
    statement = bundle.verify(key)
    assert statement.raw == (FIXTURES / "statements/snapshot.json").read_bytes()
    entries = [(FIXTURES / f"ledger/{n:06d}.json").read_bytes() for n in range(10)]
    before = Frontier(0, [])
    for raw in entries[:9]:
        before.append(raw)
    said = predicate.parse(statement)
    assert said == CatalogueSnapshot(
        9,
        Digest.of(entries[9]),
        before.root,
        tuple(peak.hex() for peak in before.peaks),
        "0003",
        (
            Chunk(Digest.of(b"the first chunk"), 4194304),
            Chunk(Digest.of(b"the second chunk"), 81920),
        ),
        "2026-11-21T13:00:12Z",
    )
    assert predicate.build(said).raw == Statement.parse(statement.raw).raw
