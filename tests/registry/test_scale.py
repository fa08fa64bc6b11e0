"""The fast ways give the answers of the slow ones, whatever the graph; and they are fast."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Connection, text

from stemma_attestations.digest import Digest
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import lineage, status
from stemma_attestations.predicates.criterion import Retired
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue import bulk, climb, halts, past, query, tables
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import Difference, differences
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.ledger.entry import PUSH, STATUS, Event
from stemma_registry.ledger.log import append
from stemma_registry.lineage import csr, descent, worth
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.trace import Direction, TraceNode, trace
from stemma_registry.lineage.upward import Between
from stemma_registry.measures import retiring
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from tests.world import World

Edge = tuple[int, int, str]
RELATIONS = ("trained-on", "fine-tuned-from", "evaluated-on", "never-heard-of", "same-as")


@pytest.fixture
def world(on_either: World) -> World:
    """On either database."""
    return on_either


def digest(node: int) -> Digest:
    """Of a node that has no bytes."""
    return Digest.of(f"node {node}".encode())


def tell(world: World, statement: Statement, by: str, kind: str = PUSH) -> Digest:
    """Put a statement into the ledger."""
    signer = world.signer(by)
    bundle, key = (
        put_bytes(world.store, raw) for raw in (signer.sign(statement).raw, signer.keys[0])
    )
    head = world.registry.catalogue.catch_up()
    event = Event(kind, bundles=(bundle,), keys=(key,))
    append(world.store, head, lambda: [event], world.registry.catalogue.catch_up)
    return statement.digest


def say(world: World, edges: Sequence[Edge], by: str = "owner") -> None:
    """One statement of these edges (input, output, relation)."""
    outputs = sorted({output for _, output, _ in edges})
    subjects = [ResourceDescriptor(f"n{o % 3}/n{o}:1", digests=(digest(o),)) for o in outputs]
    said = [
        {
            "output": {"digest": {"sha256": digest(output).value}},
            "relation": relation,
            "input": {
                "digest": {"sha256": digest(source).value},
                "name": f"n{source % 3}/n{source}:1",
            },
        }
        for source, output, relation in edges
    ]
    tell(world, Statement.build(subjects, lineage.TYPE, {"edges": said}), by)


def stop(world: World, nodes: Sequence[int], by: str = "owner", **other: object) -> Digest:
    """A status about nodes: a quarantine, or what `other` says."""
    said = status.build_quarantine("bad", "2026-01-01T00:00:00Z", f"{nodes}")
    subjects = [ResourceDescriptor(digests=(digest(node),)) for node in nodes]
    return tell(world, Statement.build(subjects, status.TYPE, {**said, **other}), by, STATUS)


def lift(world: World, quarantine: Digest, nodes: Sequence[int]) -> None:
    """Release it."""
    said = status.build_release("good", "2026-01-02T00:00:00Z", [quarantine])
    subjects = [ResourceDescriptor(digests=(digest(node),)) for node in nodes]
    tell(world, Statement.build(subjects, status.TYPE, said), "owner", STATUS)


def history(world: World, seed: int, size: int = 40) -> None:
    """Circles, loops, diamonds, strangers, one who may say little, quarantines, releases."""
    dice = random.Random(seed)
    world.trust_also("some", ["n1/**"])
    for _ in range(8):
        edges = []
        for _ in range(dice.randrange(1, 14)):
            output = dice.randrange(size)
            source = dice.randrange(size) if dice.random() < 0.1 else dice.randrange(output + 1)
            edges.append((source, output, dice.choice(RELATIONS)))
        say(world, edges, dice.choice(("owner", "owner", "some", "stranger")))
        if dice.random() < 0.5:
            where = [dice.randrange(size)]
            act = stop(world, where, dice.choice(("owner", "stranger")))
            if dice.random() < 0.4:
                lift(world, act, where)


@pytest.mark.parametrize("seed", range(2))
def test_the_check_says_what_the_walk_says(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    history(world, seed)
    with world.view() as view:
        fast = {node: standing.view(view, node, None) for node in _nodes(view)}
        with monkeypatch.context() as small:  # as if there were much above, and many levels of it
            small.setattr(standing, "NEAR", dict.fromkeys(standing.NEAR, 2))
            small.setattr(climb, "_DEEP", 1)
            small.setattr(climb, "AT_ONCE", 3)
            assert fast == {node: standing.view(view, node, None) for node in _nodes(view)}
        for one in ("any_above", "any_near"):
            monkeypatch.setattr(halts, one, lambda *_: True)
        monkeypatch.setattr(Between, "of", lambda connection, *_: Between(connection))
        slow = {node: standing.view(view, node, None) for node in _nodes(view)}
    assert fast == slow


@pytest.mark.parametrize("seed", range(2))
def test_a_walk_in_memory_finds_what_a_trace_finds(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("numpy")
    limits = replace(LIMITS, sidecar_nodes=0, sidecar_worth=0, sidecar_share=10.0)
    monkeypatch.setattr(descent, "LIMITS", limits)
    if seed:  # so that one level is asked for, and written, in many portions
        for module, name in ((worth, "AT_ONCE"), (descent, "ROWS")):
            monkeypatch.setattr(module, name, 2)
        monkeypatch.setattr(descent, "AT_ONCE", 3)
    history(world, seed)
    world.push("acme/files:1", {"a": b"a", "b": b"b"})
    file = tmp_path / "sidecar"
    with world.view() as view:
        is_walked_the_same(view, file)
    say(world, [(0, 41, "trained-on"), (41, 3, "derived-from")], "some")
    world.push("acme/more:1", {"a": b"a", "c": b"c"})
    used = hashlib.sha256(b"b").hexdigest()  # a file of an artifact that the file at hand knows
    world.push("acme/made:1", {"d": b"d"}, f"trained-on=sha256:{used}")
    made = file.read_bytes()
    with world.view() as view:
        is_walked_the_same(view, file)
    assert file.read_bytes() == made  # what came since was laid over it
    monkeypatch.setattr(descent, "LIMITS", replace(limits, sidecar_share=0.0))
    with world.view() as view:
        is_walked_the_same(view, file)
    assert file.read_bytes() != made


def test_a_file_may_be_reached_as_a_part_and_as_a_whole_later(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What else contains it came from the start too, though not by way of that part."""
    pytest.importorskip("numpy")
    monkeypatch.setattr(descent, "LIMITS", replace(LIMITS, sidecar_nodes=0, sidecar_worth=0))
    world.push("acme/a:1", {"f": b"f", "a": b"a"})
    world.push("acme/b:1", {"f": b"f", "b": b"b"})
    world.push("acme/x:1", None, "derived-from=acme/a:1")
    file = Digest.of(b"f")
    world.push("acme/m:1", None, f"trained-on=sha256:{file.value}")
    with world.view() as view:
        x, start = (resolve(view, ref) for ref in ("acme/x:1", "acme/a:1"))
        assert not {one.label for one in _below(view, start.node)} & {"acme/b:1"}
    about = [ResourceDescriptor("f", digests=(file,))]
    edge = {
        "output": {"digest": {"sha256": file.value}},
        "relation": "derived-from",
        "input": {"digest": {"sha256": x.digest.value}},
    }
    tell(world, Statement.build(about, lineage.TYPE, {"edges": [edge]}), "owner")
    with world.view() as view:
        labels = {one.label: one.depth for one in _below(view, start.node)}
        assert (labels["acme/x:1"], labels["acme/b:1"]) == (1, 3)
        is_walked_the_same(view, tmp_path / "sidecar")


def _below(view: Snapshot, node: int) -> list[TraceNode]:
    return list(trace(view, node, Direction.DOWN).nodes.values())


@pytest.mark.parametrize("damage", ["cut", "flipped", "of another", "text", "gone"])
def test_a_file_that_is_not_right_is_made_anew(
    world: World, damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    monkeypatch.setattr(descent, "LIMITS", replace(LIMITS, sidecar_nodes=0, sidecar_worth=0))
    history(world, 9)
    file = tmp_path / "sidecar"
    with world.view() as view:
        is_walked_the_same(view, file)
    good = file.read_bytes()
    if damage == "of another":
        world.rebuild()
    bad = {
        "cut": good[:-100],
        "flipped": good[:-100] + bytes([good[-100] ^ 1]) + good[-99:],  # behind it is padding
        "of another": good,
        "text": b"not one of ours",
        "gone": None,
    }[damage]
    if bad is None:
        file.unlink()
    else:
        file.write_bytes(bad)
    with world.view() as view:
        is_walked_the_same(view, file)
    assert file.read_bytes() != bad


def is_walked_the_same(view: Snapshot, file: Path) -> None:
    for node in _nodes(view):
        ours = list(descent.blocks(view, node, sidecar=file))
        lines = b"".join(block.lines for block in ours).splitlines()
        assert sum(block.nodes for block in ours) == len(lines)
        slow = descent.blocks(view, node)
        assert lines == b"".join(block.lines for block in slow).splitlines()
        shown = trace(view, node, Direction.DOWN)
        found = {one["digest"]: one for one in map(json.loads, lines)}
        assert len(found) == len(lines)
        names = {i: str(one.digest) for i, one in shown.nodes.items()}
        assert {name: one["depth"] for name, one in found.items()} == {
            names[i]: one.depth for i, one in shown.nodes.items() if i != node
        }
        edges = {(names[e.input], names[e.output], e.relation): e for e in shown.edges}
        for i, one in shown.nodes.items():
            if i == node:
                continue
            line = found[names[i]]
            edge = edges[line["from"], line["digest"], line["relation"]]
            assert line["assurance"] == edge.assurance
            assert line["quarantined"] == one.quarantined
            bundles = {str(word.fact.bundle): word.signer for word in edge.words}
            if edge.words:
                assert bundles[line["bundle"]] == (line["signer"] or "nobody")
            else:
                assert line["bundle"] is line["signer"] is None


def test_the_table_is_the_same_when_it_is_made_anew(world: World, tmp_path: Path) -> None:
    history(world, 3)
    world.push("acme/a:1", {"x": b"poison", "y": b"y"})
    bad = hashlib.sha256(b"poison").hexdigest()
    world.quarantine(f"sha256:{bad}")
    world.push("acme/b:1", {"x": b"poison", "z": b"z"})  # which came after
    with world.view() as view:
        held = bulk.ask(view.connection, "SELECT node_id FROM halt WHERE inside = 1")
        assert len(held) == 2
    fresh = Catalogue.open(tmp_path / "fresh.sqlite3", world.store)
    fresh.catch_up()
    with world.view() as view, fresh.reading() as other:
        assert _halts(view.connection, other) == []
    with world.registry.catalogue.writing() as connection:
        connection.execute(tables.halt.delete())
    with world.view() as view, fresh.reading() as other:
        assert len(_halts(view.connection, other)) >= 3
    fresh.close()


def _halts(ours: Connection, fresh: Connection) -> list[Difference]:
    return [one for one in differences(ours, fresh) if one.kind == "halt"]


def test_an_act_that_nobody_understands_is_looked_at_everywhere(world: World) -> None:
    say(world, [(0, 1, "trained-on")])
    stop(world, [7], action="freeze")
    with world.view() as view:
        one = query.node_id(view.connection, digest(1))
        assert one is not None
        assert halts.any_above(view.connection, one, LIMITS.ancestors)
        assert standing.view(view, one, None).undecided is not None


def test_criteria_are_looked_for_everywhere_and_the_past_sees_no_later_rows(world: World) -> None:
    world.push("acme/base:1", {"w": b"1"})
    world.push("acme/made:1", {"w": b"2"}, "fine-tuned-from=acme/base:1")
    with world.view() as view:
        node, before = resolve(view, "acme/made:1").node, view.n
        assert not halts.any_above(view.connection, node, LIMITS.ancestors)
    world.push("acme/later:1", {"w": b"3"}, "fine-tuned-from=acme/made:1")
    of = Retired("acme/made")
    retiring.retire(world.registry, world.trust, world.signer("owner"), of, "old", world.now)
    with world.view() as view:
        assert halts.any_above(view.connection, node, LIMITS.ancestors)
        name = NameVersion("acme/made", "1")
        assert [stop.own for stop in standing.view(view, node, name).stops] == [True]
        with past.looking_back(view.connection, before):
            assert not list(descent.blocks(view, node))
            assert standing.view(view, node, name).stops == ()
            assert not csr.is_possible(view.connection, 0)
        assert len(list(descent.blocks(view, node))) == 1


def test_a_walk_that_is_too_long_is_left_to_the_slow_one(world: World) -> None:
    say(world, [(i, i + 1, "trained-on") for i in range(50)])
    with world.view() as view:
        last = query.node_id(view.connection, digest(50))
        assert last is not None
        for asked in (halts.any_above, halts.any_near):
            # There is one more than are above: the place that stands for all.
            assert not asked(view.connection, last, 100)
            assert not asked(view.connection, last, 52)
            assert asked(view.connection, last, 51)
            assert asked(view.connection, last, 20)


def test_the_check_ends_at_the_first_quarantine(world: World) -> None:
    """A plan that makes the whole closure first would be a hundred times slower."""
    say(world, [(i + 1, i, "trained-on") for i in range(2_000)])
    stop(world, [3])
    with world.view() as view:
        connection = view.connection
        near, far = (query.node_id(connection, digest(node)) for node in (0, 4))
        assert near is not None
        assert far is not None
        sql, _ = halts.question(connection, halts.Sought())
        if connection.dialect.name == "sqlite":
            plan = _plan(connection, f"EXPLAIN QUERY PLAN {sql}", near)
            assert "MATERIALIZE" not in plan
            assert "TEMP B-TREE" not in plan
            assert "SEARCH halt USING PRIMARY KEY" in plan
            assert "SEARCH edge USING PRIMARY KEY (output_id=?)" in plan
            assert "made" not in plan  # there are none
            above, nearby = halts.any_above, halts.any_near
            assert _steps(connection, above, near) * 20 < _steps(connection, above, far)
            for one in (near, far):  # the quicker question is over when it has seen its few
                assert _steps(connection, nearby, one, 40) * 20 < _steps(connection, above, far)
        else:
            plan = _plan(connection, f"EXPLAIN (ANALYZE, TIMING OFF) {sql}", near)
            union = next(line for line in plan.splitlines() if "Recursive Union" in line)
            assert float(union.split("actual rows=")[1].split()[0]) < 20


def _plan(connection: Connection, sql: str, node: int) -> str:
    rows = bulk.ask(connection, sql, first=0, node=node, budget=LIMITS.ancestors)
    return "\n".join(str(row[-1]) for row in rows)


def _steps(
    connection: Connection,
    asked: Callable[[Connection, int, int], bool],
    node: int,
    budget: int = LIMITS.ancestors,
) -> int:
    """How many steps SQLite's machine takes for a check."""
    taken = [0]

    def count() -> int:
        taken[0] += 1
        return 0

    raw = connection.connection.driver_connection
    assert raw is not None
    raw.set_progress_handler(count, 1)
    asked(connection, node, budget)
    raw.set_progress_handler(None, 0)
    return taken[0]


def test_a_question_that_fails_is_unavailable(world: World) -> None:
    with pytest.raises(Unavailable), world.registry.catalogue.reading() as connection:
        bulk.ask(connection, "SELECT nothing FROM nowhere")


def test_rows_in_bulk_are_what_single_rows_are(world: World) -> None:
    rows = [
        {"blob": f"{i:064x}", "state": "gone", "n": i, "time": "2026", "gone": None if i % 2 else i}
        for i in range(3 * bulk.COPY_FROM)
    ]
    columns, values = tuple(rows[0]), [tuple(row.values()) for row in rows]
    with world.registry.catalogue.writing() as connection:
        bulk.write(connection, tables.collection, columns, values)
    with world.registry.catalogue.reading() as connection:
        found = connection.execute(tables.collection.select().order_by(text("n"))).mappings().all()
    assert [dict(row) for row in found] == rows


def test_no_sidecar_where_it_is_not_worth_it(world: World, tmp_path: Path) -> None:
    say(world, [(0, 1, "trained-on")])
    with world.view() as view:
        assert not csr.is_possible(view.connection, 1_000)
        list(descent.blocks(view, 1, sidecar=tmp_path / "x"))
    assert not (tmp_path / "x").exists()


def test_no_sidecar_beyond_what_its_numbers_hold(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numpy")
    say(world, [(0, 1, "trained-on")])
    with world.view() as view:
        assert csr.is_possible(view.connection, 0)
        standing = csr.standing(view.connection)
        monkeypatch.setattr(csr, "standing", lambda _: replace(standing, nodes=2**29))
        assert not csr.is_possible(view.connection, 0)


def _nodes(view: Snapshot) -> list[int]:
    return [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]


def test_rows_that_are_written_straight_are_those_that_are_projected(
    tmp_path: Path,
) -> None:
    """The benchmarks at ten million edges stand on this. It is of SQLite files only."""
    from benchmarks import graph, straight

    world = World(tmp_path)
    shape, signer = graph.make(6_000, 3), world.signer("owner")
    graph.fill(world.store, signer, shape)
    world.registry.catalogue.catch_up()
    other = Catalogue.open(tmp_path / "straight.sqlite3", MemoryStore())
    straight.fill(other.path, shape, PublicKey.parse(signer.keys[0]).id)
    with world.view() as view, other.reading() as written:
        assert sorted(_edges(view.connection)) == sorted(_edges(written))
        for sql in ("SELECT count(*) FROM subject", "SELECT count(*) FROM statement"):
            assert bulk.ask(view.connection, sql) == bulk.ask(written, sql)
    other.close()


def _edges(connection: Connection) -> list[tuple[object, ...]]:
    """Everything that an edge is, by digests."""
    return bulk.ask(
        connection,
        "SELECT a.scheme, a.value, b.value, e.relation, e.input_name, e.mark, "
        "x.predicate_type, x.signer, x.root, s.name, s.version, s.path, x.id FROM edge e "
        "JOIN node a ON a.id = e.input_id JOIN node b ON b.id = e.output_id "
        "JOIN statement x ON x.id = e.statement_id "
        "JOIN subject s ON s.statement_id = x.id AND s.node_id = b.id",
    )
