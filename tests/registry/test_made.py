"""Provenance that names a file of an artifact: what the file came from, the artifact came from."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import provenance
from stemma_attestations.request import Stop
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.catalogue import bulk, climb, halts, past, query
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.lineage.upward import Between
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from tests.registry.test_edges import built_from, digest_of
from tests.registry.test_scale import digest, lift, say, stop, tell
from tests.world import World

FILES = {"model.bin": b"weights", "config.json": b"{}"}


@pytest.fixture
def world(on_either: World) -> World:
    """On either database."""
    return on_either


def told(world: World, files: Sequence[bytes], *inputs: Digest, by: str = "owner") -> None:
    """Provenance of these files, as another builder writes it."""
    about = [
        ResourceDescriptor(f"out/{n}.bin", digests=(Digest.of(f),)) for n, f in enumerate(files)
    ]
    predicate = built_from(*({"digest": {"sha256": one.value}} for one in inputs))
    tell(world, Statement.build(about, provenance.TYPE, predicate), by)


def reaches(world: World, ref: str) -> tuple[Sequence[Stop], Sequence[Stop]]:
    """What stops it, and what would."""
    with world.view() as view:
        found = resolve(view, ref)
        seen = standing.view(view, found.node, found.name)
        assert seen.undecided is None
        return seen.stops, seen.suspects


def counts(world: World, *refs: str) -> list[tuple[int, int]]:
    return [(len(stops), len(suspects)) for stops, suspects in (reaches(world, r) for r in refs)]


def is_as_when_made_anew(world: World, folder: Path) -> None:
    fresh = Catalogue.open(folder / "fresh.sqlite3", world.store)
    fresh.catch_up()
    with world.view() as view, fresh.reading() as other:
        assert list(differences(view.connection, other)) == []
        assert bulk.ask(other, "SELECT 1 FROM made")
    fresh.close()


@pytest.mark.parametrize("order", list(itertools.permutations(("model", "word", "stop"))))
def test_whichever_came_first(world: World, order: Sequence[str], tmp_path: Path) -> None:
    world.push("acme/raw:1")
    raw = digest_of(world, "acme/raw:1")
    steps = {
        "model": lambda: world.push("acme/model:1", FILES, kind="model"),
        "word": lambda: told(world, [b"weights"], raw),
        "stop": lambda: world.quarantine("acme/raw:1"),
    }
    for step in order:
        steps[step]()
    ((found,), suspects) = reaches(world, "acme/model:1")
    assert suspects == ()
    contains, came = found.path
    assert contains == f"  which contains model.bin ({Digest.of(b'weights').short})"
    assert came.startswith("  derived-from acme/raw:1 (attested by owner, sha256:")
    assert [(edge.relation, edge.path) for edge in found.edges] == [
        ("contains", "model.bin"),
        ("derived-from", None),
    ]
    assert found.edges[0].input == found.edges[1].output == Digest.of(b"weights")
    assert not found.own
    assert world.code("acme/model:1") == 11
    is_as_when_made_anew(world, tmp_path)
    world.release("acme/raw:1")
    assert counts(world, "acme/model:1") == [(0, 0)]
    assert world.code("acme/model:1") == 0


def test_only_a_word_that_is_believed_stops(world: World) -> None:
    world.trust_also("some", ["prod/**"])
    world.trust_also("other", ["**"], ["https://in-toto.io/attestation/test-result/v0.1"])
    world.push("acme/raw:1")
    raw = digest_of(world, "acme/raw:1")
    world.push("acme/model:1", FILES, kind="model")
    world.push("acme/twin:1", {**FILES, "twin": b""}, kind="model")
    world.push("acme/below:1", {"w": b"w"}, "fine-tuned-from=acme/twin:1", kind="model")
    refs = "acme/model:1", "acme/twin:1", "acme/below:1"
    for by in ("stranger", "some", "other"):  # who may speak about another name
        told(world, [b"weights"], raw, by=by)
    assert counts(world, *refs) == [(0, 0)] * 3
    world.quarantine("acme/raw:1")
    assert counts(world, *refs) == [(0, 1)] * 3
    told(world, [b"weights", b"of nothing"], raw)
    assert counts(world, *refs) == [(1, 0)] * 3  # a file of two, and what came from one of them
    assert [world.code(ref) for ref in refs] == [11] * 3


def test_a_signer_must_be_let_speak_of_the_name_that_is_asked(world: World) -> None:
    """A file that is an artifact itself has a name; who may say that may not say another."""
    world.trust_also("some", ["acme/**"])
    world.push("acme/raw:1")
    raw = digest_of(world, "acme/raw:1")
    for ref in ("acme/model:1", "prod/model:1"):
        world.push(ref, FILES, kind="model")
    about = ResourceDescriptor("acme/model:1", digests=(Digest.of(b"weights"),))
    predicate = built_from({"digest": {"sha256": raw.value}})
    tell(world, Statement.build([about], provenance.TYPE, predicate), "some")
    world.quarantine("acme/raw:1")
    assert counts(world, "acme/model:1", "prod/model:1") == [(1, 0), (0, 1)]


def test_a_shared_file_says_nothing_of_what_else_is_in_the_others(world: World) -> None:
    world.push("acme/raw:1")
    raw = digest_of(world, "acme/raw:1")
    world.push("acme/a:1", {"same": b"same", "a": b"a"}, kind="model")
    world.push("acme/b:1", {"same": b"same", "b": b"b"}, "trained-on=acme/raw:1", kind="model")
    world.push("acme/base:1")
    told(world, [b"same"], digest_of(world, "acme/base:1"))
    told(world, [b"b"], raw)
    world.quarantine("acme/raw:1")
    assert counts(world, "acme/a:1", "acme/b:1") == [(0, 0), (1, 0)]
    with world.view() as view:
        node = resolve(view, "acme/a:1").node
        labels = {one.label for one in trace(view, node, Direction.UP).nodes.values()}
        assert "acme/base:1" in labels
        assert not labels & {"acme/b:1", "acme/raw:1"}


def test_the_past_knows_what_was_said_by_then(world: World) -> None:
    world.push("acme/raw:1")
    raw = digest_of(world, "acme/raw:1")
    world.quarantine("acme/raw:1")
    told(world, [b"early"], raw)
    world.push("acme/early:1", {"f": b"early"}, kind="model")
    world.push("acme/late:1", {"f": b"late"}, kind="model")
    told(world, [b"late"], raw)
    seen = {}
    with world.view() as view:
        nodes = [resolve(view, ref).node for ref in ("acme/early:1", "acme/late:1")]
        for n in range(view.n + 1):
            with past.looking_back(view.connection, n):
                rows = bulk.ask(view.connection, "SELECT artifact_id FROM made")
                there = bulk.ask(view.connection, "SELECT id FROM artifact")
                stops = [bool(standing.view(view, node, None).stops) for node in nodes]
                up = {
                    node: {one.label for one in trace(view, node, Direction.UP).nodes.values()}
                    for node in nodes
                    if (node,) in there
                }
                shown = {(node,) for node, labels in up.items() if "acme/raw:1" in labels}
                assert shown == set(rows)
                seen[n] = stops
    last = max(seen)
    assert seen[last] == [True, True]
    assert seen[last - 1] == [True, False]
    assert seen[last - 3] == [False, False]


def test_what_is_above_is_looked_up_and_not_looked_through(world: World) -> None:
    world.push("acme/raw:1")
    world.push("acme/model:1", FILES, kind="model")
    with world.view() as view:
        node = resolve(view, "acme/model:1").node
        if view.connection.dialect.name == "sqlite":
            assert "made" not in halts.question(view.connection, halts.Sought())[0]
    told(world, [b"weights"], digest_of(world, "acme/raw:1"))
    world.quarantine("acme/raw:1")
    with world.view() as view:
        assert halts.any_above(view.connection, node, 100)
        if view.connection.dialect.name == "sqlite":
            sql, _ = halts.question(view.connection, halts.Sought())
            values = {"first": 0, "node": node, "budget": 100}
            rows = bulk.ask(view.connection, f"EXPLAIN QUERY PLAN {sql}", **values)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "SEARCH made USING PRIMARY KEY (artifact_id=?)" in plan
            assert "MATERIALIZE" not in plan
            assert "TEMP B-TREE" not in plan


def drawn(world: World, dice: random.Random) -> tuple[list[Digest], list[Digest]]:
    """Edges among plain nodes, artifacts and their files, some shared, said by anybody; stops.

    The plain nodes with the artifacts, and the files.
    """
    names = [f"n{number}/a{number}:1" for number in range(4)]
    held = {name: dice.sample(range(6), 3) for name in names}
    files = [f"file {number}".encode() for number in range(6)]
    plain = [digest(number) for number in range(5)]
    own, blobs = list[Digest](), [Digest.of(one) for one in files]
    waiting = list(names)
    for _ in range(9):
        if waiting and dice.random() < 0.6:
            name = waiting.pop()
            world.push(name, {str(n): files[n] for n in held[name]}, kind="model")
            own.append(digest_of(world, name))
        ends = [*plain, *own, *blobs, *blobs]
        output, source = dice.choice([*own, *blobs, *blobs, *plain]), dice.choice(ends)
        by = dice.choice(("owner", "owner", "some", "stranger"))
        if output in blobs:
            told(world, [files[blobs.index(output)]], source, by=by)
        else:
            about = ResourceDescriptor("out.bin", digests=(output,))
            predicate = built_from({"digest": {"sha256": source.value}})
            tell(world, Statement.build([about], provenance.TYPE, predicate), by)
        if dice.random() < 0.3:
            number = dice.randrange(5)
            act = stop(world, [number], dice.choice(("owner", "stranger")))
            if dice.random() < 0.3:
                lift(world, act, [number])
    return [*plain, *own], blobs


@pytest.mark.parametrize("seed", range(3))
def test_traces_and_verdicts_agree(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.trust_also("some", ["n1/**"])
    say(world, [(0, 1, "trained-on"), (1, 2, "same-as")])
    ends, _ = drawn(world, random.Random(seed))
    is_as_when_made_anew(world, tmp_path)
    with world.view() as view:
        every = [node for (node,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]
        found = [query.node_id(view.connection, one) for one in ends]
        nodes = [node for node in found if node is not None]
        fast = {node: standing.view(view, node, None) for node in every}
        up = {node: set(trace(view, node, Direction.UP).nodes) for node in nodes}
        down = {node: set(trace(view, node, Direction.DOWN).nodes) for node in nodes}
        pairs = {(far, node) for node in nodes for far in up[node] & set(nodes)}
        assert pairs == {(node, far) for node in nodes for far in down[node] & set(nodes)}
        assert pairs == {(a, b) for a in nodes for b in nodes if a == b or between(view, a, b)[1]}
        stopped = {row.node_id for row in standing.in_force(view)}
        for node in nodes:
            met = bool(stopped & up[node])
            assert bool(fast[node].stops or fast[node].suspects) == met
        _same_when_slow(view, fast, monkeypatch)


def _same_when_slow(
    view: Snapshot, fast: dict[int, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as small:  # as if there were much above, and many levels of it
        small.setattr(standing, "NEAR", dict.fromkeys(standing.NEAR, 2))
        small.setattr(climb, "_DEEP", 1)
        small.setattr(climb, "AT_ONCE", 3)
        assert fast == {node: standing.view(view, node, None) for node in fast}
    for one in ("any_above", "any_near"):
        monkeypatch.setattr(halts, one, lambda *_: True)
    monkeypatch.setattr(Between, "of", lambda connection, *_: Between(connection))
    assert fast == {node: standing.view(view, node, None) for node in fast}
