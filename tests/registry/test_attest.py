"""`attest`: a statement of one's own, said once, and never in the place of Stemma's."""

from __future__ import annotations

import json

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadStatement
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound, Refused
from stemma_registry.foreign.attest import OWN, Attested, attest
from stemma_registry.reference import resolve
from tests.world import World

TEST_RESULT = "https://in-toto.io/attestation/test-result/v0.1"
PREDICATE = json.dumps({"result": "PASSED", "score": 0.5}).encode()


def say(world: World, ref: str, raw: bytes = PREDICATE, by: str = "owner") -> Attested:
    return attest(world.registry, world.trust, world.signer(by), (ref, TEST_RESULT, raw), world.now)


def facts(world: World, ref: str) -> list[Fact]:
    with world.view() as view:
        return query.facts_about(view.connection, resolve(view, ref).node)


def test_a_statement_about_an_artifact_is_signed_and_there(world: World) -> None:
    pushed = world.push("models/m:1", kind="model")
    done = say(world, "models/m:1")
    assert done.artifact == pushed.artifact
    assert done.entry is not None
    assert not done.warnings
    fact = facts(world, "models/m:1")[-1]
    assert (fact.predicate_type, fact.about) == (TEST_RESULT, "models/m:1")
    assert fact.signer == world.signer("owner").public.id
    statement = Bundle.parse(get_bytes(world.store, fact.bundle, 10_000)).statement()
    assert statement.digest == done.statement
    assert statement.predicate == json.loads(PREDICATE)
    assert [(s.name, s.digests) for s in statement.subjects] == [("models/m:1", (done.artifact,))]
    assert world.code("models/m:1") == 0


def test_the_same_again_is_nothing_and_another_signer_is_something(world: World) -> None:
    world.push("models/m:1", kind="model")
    first = say(world, "models/m:1")
    before = set(world.store.blobs())
    assert say(world, "models/m:1").entry is None
    # Other white space and another order of keys say the same.
    assert say(world, "models/m:1", b'{ "score":5e-1, "result":"PASSED" }').entry is None
    assert set(world.store.blobs()) == before
    assert say(world, "models/m:1", b'{"result":"FAILED"}').entry == (first.entry or 0) + 1
    other = say(world, "models/m:1", by="stranger")
    assert other.entry is not None
    assert "does not let" in other.warnings[0]
    assert len(facts(world, "models/m:1")) == 6


def test_by_digest_it_is_said_under_the_name(world: World) -> None:
    pushed = world.push("models/m:1", kind="model")
    assert str(say(world, str(pushed.artifact)).name) == "models/m:1"


@pytest.mark.parametrize("kind", [*OWN, "urn:stemma:anything:v9"])
def test_types_of_stemmas_own_are_refused(world: World, kind: str) -> None:
    world.push("models/m:1", kind="model")
    with pytest.raises(Refused, match="own"):
        attest(
            world.registry,
            world.trust,
            world.signer("owner"),
            ("models/m:1", kind, b"{}"),
            world.now,
        )


@pytest.mark.parametrize("kind", ["", "text", "https:", "a b:c", "https://x\n", "é:x", "x:" * 2000])
def test_a_type_is_a_uri(world: World, kind: str) -> None:
    world.push("models/m:1", kind="model")
    with pytest.raises(BadStatement, match="URI"):
        attest(
            world.registry,
            world.trust,
            world.signer("owner"),
            ("models/m:1", kind, b"{}"),
            world.now,
        )


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"null", b"[]", b'{"a":1,"a":2}', b'{"a":NaN}', b"\xff"]
)
def test_a_predicate_is_one_object_strictly(world: World, raw: bytes) -> None:
    world.push("models/m:1", kind="model")
    with pytest.raises(BadStatement):
        say(world, "models/m:1", raw)
    assert len(facts(world, "models/m:1")) == 3


def test_only_about_artifacts(world: World) -> None:
    pushed = world.push("models/m:1", kind="model")
    with pytest.raises(NotFound):
        say(world, str(pushed.manifest.entries[0].sha256))
    with pytest.raises(NotFound):
        say(world, "models/none:1")
