"""Tables of tensors are truth like anything else: kept, copied, audited, projected in any order."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTable
from stemma_attestations.predicates import tensors as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.tensor_table import Table, Tensor, TensorFile
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.replicate import replicate
from stemma_registry.care.signature_audit import Question, verify
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue import tensors
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import append
from stemma_registry.tensors import making
from stemma_registry.tensors import similar as asking
from tests.registry.collecting import gc, is_whole, surplus
from tests.tensors import models
from tests.world import World

BASE = models.layers(1, 3)


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path)
    for name, seed in (("base", 1), ("fine", 2)):
        tuned = models.safetensors(models.tuned(BASE, seed, 1))
        world.push(f"models/{name}:1", {"model.safetensors": tuned}, kind="model")
    return world


def shared(world: World, reference: str = "models/base:1") -> list[tuple[str, int, str]]:
    with world.view() as view:
        found = asking.similar(world.registry, view, reference, 20)
    return [(match.label, match.tensors, str(match.assurance)) for match in found.matches]


def rows(world: World) -> list[int]:
    world.registry.catalogue.catch_up()
    tables = (t.tensor, t.tensor_table, t.tensor_row, t.tensor_said)
    with world.registry.catalogue.reading() as connection:
        return [
            connection.execute(select(func.count()).select_from(x)).scalar_one() for x in tables
        ]


def say(world: World, table: bytes, statement: Statement, by: str = "owner", *, late: bool) -> None:
    """Append a statement, and the blob of its table with it or in an event of its own."""
    signer, store = world.signer(by), world.store
    bundle = put_bytes(store, signer.sign(statement).raw)
    keys = tuple(put_bytes(store, key) for key in signer.keys)
    blob = put_bytes(store, table)
    events = [Event(PUSH, bundles=(bundle,), keys=keys if late else (*keys, blob))]
    if late:
        events.append(Event(PUSH, bundles=(bundle,), keys=(blob,)))
    for event in events:
        catch_up = world.registry.catalogue.catch_up
        append(store, catch_up(), lambda event=event: [event], catch_up)  # type: ignore[misc]
    world.registry.catalogue.catch_up()


def false_table(world: World, artifact: Digest) -> tuple[Table, Statement]:
    """A table that says of an artifact what another one holds."""
    with world.view() as view:
        (row,) = tensors.tables(view.connection, artifacts=[_node(view, "models/base:1")])
        table = making.load(world.store, row)
    other = Table.of(artifact, table.files)
    said = predicate.Tensors(other.digest, 1, other.tensors)
    subject = [ResourceDescriptor(name="models/x:1", digests=(artifact,))]
    return other, Statement.build(subject, predicate.TYPE, predicate.build(said))


def _node(view: object, reference: str) -> int:
    from stemma_registry.reference import resolve

    return resolve(view, reference).node  # type: ignore[arg-type]


def test_collecting_and_copying_keep_tables(world: World) -> None:
    surplus(world)
    gc(world)
    assert is_whole(world)
    before = shared(world)
    target = MemoryStore()
    replicate(world.store, target, world.home, world.trust)
    world.store = target
    world.rebuild()
    assert shared(world) == before == [("models/fine:1", 2, "attested")]


def test_the_same_table_is_kept_once(world: World) -> None:
    before = rows(world)
    files = {"model.safetensors": models.safetensors(models.tuned(BASE, 1, 1))}
    world.push("mirror/base:1", files, kind="model", by="stranger")
    assert rows(world) == [*before[:3], before[3] + 1]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("by", ["owner", "stranger"])
def test_a_table_counts_when_both_are_there(world: World, late: bool, by: str) -> None:
    x = world.push("models/x:1", {"x.bin": b"x" * 2000}, kind="model").artifact
    table, statement = false_table(world, x)
    say(world, table.raw, statement, by, late=late)
    word = "attested" if by == "owner" else "signed"
    assert ("models/x:1", 3, word) in shared(world)
    before = rows(world)
    world.rebuild()
    assert rows(world) == before


def test_what_is_no_table_says_nothing(world: World) -> None:
    x = world.push("models/x:1", {"x.bin": b"x" * 2000}, kind="model").artifact
    table, statement = false_table(world, x)
    before = rows(world)
    document = json.loads(table.raw)
    say(world, table.raw[:-1], statement, late=False)  # not the table that was named
    for change in ({"format": "urn:stemma:tensor-table:v9"}, {"more": 1}, {"files": 7}):
        raw = json.dumps({**document, **change}).encode()
        said = predicate.Tensors(Digest.of(raw), 1, 1)
        subjects = list(statement.subjects)
        wrong = Statement.build(subjects, predicate.TYPE, predicate.build(said))
        say(world, raw, wrong, late=False)
    other = [ResourceDescriptor(name="models/x:1", digests=(Digest.of(b"other"),))]
    about = Statement.build(other, predicate.TYPE, statement.predicate)
    say(world, table.raw, about, late=False)  # of something that is not its subject
    assert rows(world) == before
    assert is_whole(world)


def test_a_changed_catalogue_is_found_out(world: World) -> None:
    question = Question(world.trust, world.now, None, 20)
    assert not verify(world.registry, world.store, question).differences
    with world.registry.catalogue.writing() as connection:
        connection.execute(update(t.tensor).values(size=t.tensor.c.size + 1))
        connection.execute(delete(t.tensor_said))
    found = verify(world.registry, world.store, question)
    assert found.differences
    details = [detail for _, detail in found.listed]
    assert any("lacks tensors" in detail for detail in details)
    assert any("tensor " in detail and "2049" in detail for detail in details)


def test_tables_that_break_their_rules_are_none() -> None:
    one = Tensor("w", "F32", (2,), 8, Digest.of(b"1"))
    good = Table.of(Digest.of(b"a"), [TensorFile(Digest.of(b"f"), "gguf", (one,))])
    assert Table.parse(good.raw) == good
    twice = TensorFile(Digest.of(b"f"), "gguf", (one, replace(one, size=9)))
    endless = TensorFile(Digest.of(b"f"), "gguf", (replace(one, size=2**53),))
    for files in ([twice], [endless], [good.files[0], good.files[0]]):
        with pytest.raises(BadTable):
            Table.of(Digest.of(b"a"), files)
    for old, new in ((b'"size":8', b'"size":-8'), (b"[2]", b'"2"'), (b'"w"', b"7")):
        with pytest.raises(BadTable):
            Table.parse(good.raw.replace(old, new))
