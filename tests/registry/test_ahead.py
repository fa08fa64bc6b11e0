"""Walks that look ahead give the answers of those that ask at each step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from stemma_attestations.digest import Digest
from stemma_attestations.marks import Mark
from stemma_attestations.named import Named
from stemma_attestations.predicates import lineage, provenance
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import ahead, bulk, dressing, evidence, naming, query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.lineage import ordering, words
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.status import edge_worth
from stemma_registry.lineage.trace import Direction, TraceEdge, trace
from stemma_registry.lineage.words import Word
from stemma_registry.reference import resolve
from tests.registry.test_edges import built_from
from tests.registry.test_scale import digest, history, say, tell
from tests.world import World

Said = Callable[[Fact], tuple[Fact, Mark]]


@pytest.mark.parametrize("seed", range(2))
def test_looking_ahead_changes_no_answer(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a walk foresees everything, a little, or nothing."""
    world = World(tmp_path)
    history(world, seed, size=20)
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    world.push("acme/made:1", {"b": b"b", "c": b"c"}, f"trained-on={Digest.of(b'b')}")
    # Both ways, and a way there that is longer than the way back.
    say(world, [(0, 18, "derived-from"), (18, 17, "derived-from"), (0, 16, "same-as")])
    say(world, [(17, 16, "same-as"), (16, 15, "derived-from")])
    with world.view() as view:
        nodes = [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]
        answers = []
        for most in (ahead.NODES, 5, 0):
            monkeypatch.setattr(ahead, "NODES", most)
            traces = [trace(view, node, way) for node in nodes for way in Direction]
            ways = [between(view, node, one) for node in nodes for one in nodes[::5]]
            answers.append((traces, ways))
    assert answers[0] == answers[1] == answers[2]
    assert max(len(found.nodes) for found in answers[0][0]) > 10
    assert any(paths for _, paths in answers[0][1])


def test_what_is_foreseen_is_what_is_met(tmp_path: Path) -> None:
    """Nothing is asked for later, and nothing that a walk does not come to."""
    world = World(tmp_path)
    edges = [(0, 1, "trained-on"), (1, 2, "merged-from"), (1, 3, "evaluated-on")]
    say(world, [*edges, (3, 4, "trained-on")])
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(2)}")
    world.push("acme/made:1", {"c": b"c"}, f"trained-on={Digest.of(b'b')}")
    with world.view() as view:
        node = {i: query.node_id(view.connection, digest(i)) or 0 for i in range(5)}
        made = query.node_id(view.connection, Digest.of(b"c")) or 0
        assert ahead.around(view.connection, {made}, down=True, named=False)[1:3] == (True, False)
        assert ahead.around(view.connection, {node[0]}, down=True, named=False)[1:3] == (
            False,
            True,
        )
        assert ahead.around(view.connection, {node[4]}, down=True, named=False)[1:3] == (
            False,
            False,
        )
        down = ahead.around(view.connection, {node[0]}, down=True, named=False).nodes
        met = trace(view, node[0], Direction.DOWN).nodes.keys()
        assert down < met
        assert met - down == {node[3]}
        assert ahead.around(view.connection, {node[4]}, down=False, named=False).nodes == {
            node[4],
            node[3],
        }
        assert ahead.around(
            view.connection, {node[2]}, down=False, named=False, end=node[1]
        ).nodes == {
            node[1],
            node[2],
        }


def test_where_there_is_an_end_it_is_known_whether_that_is_a_file(tmp_path: Path) -> None:
    world = World(tmp_path)
    say(world, [(0, 1, "trained-on")])
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(1)}")
    with world.view() as view:
        connection = view.connection
        zero, one, file = (
            query.node_id(connection, of) or 0 for of in (digest(0), digest(1), Digest.of(b"b"))
        )
        for target, end, answer in (
            (resolve(view, "acme/files:1").node, zero, (False, False)),
            (one, zero, (False, True)),
            (one, file, (True, True)),
        ):
            near = ahead.around(connection, {target}, down=False, named=False, end=end)
            assert (near.file, near.used) == answer
            assert near.used == query.is_input(connection, target)
        near = ahead.around(connection, {one}, down=False, named=False)
        assert (near.file, near.used) == (True, None)


def test_it_looks_no_further_than_that(on_either: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However much there is: what a walk may come to is not found out to the end first."""
    say(on_either, [(i, i + 1, "trained-on") for i in range(600)])
    monkeypatch.setattr(ahead, "NODES", 20)
    with on_either.view() as view:
        connection = view.connection
        start = query.node_id(connection, digest(0)) or 0
        assert len(ahead.around(connection, {start}, down=True, named=False).nodes) == 20
        sql, values = ahead._asked(connection, down=True, named=False), {"end": -1, "most": 20}
        listed = bulk.listed(connection, [start])
        if connection.dialect.name == "sqlite":
            taken: list[int] = []
            raw = connection.connection.driver_connection
            assert raw is not None
            raw.set_progress_handler(lambda: taken.append(1), 1)
            bulk.ask(connection, sql, listed=listed, **values)
            raw.set_progress_handler(None, 0)
            assert len(taken) < 20 * 200
        else:
            plan = bulk.ask(connection, f"EXPLAIN (ANALYZE) {sql}", listed=listed, **values)
            union = next(line for (line,) in plan if "Recursive Union" in line)
            assert float(union.split("rows=")[-1].split()[0]) < 40


def test_a_trace_is_two_questions(on_either: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many steps it takes: a server is far away."""
    world = on_either
    say(world, [(i, i + 1, "trained-on") for i in range(30)])
    world.push("acme/end:1", {"a": b"a"}, f"trained-on={digest(30)}")
    asked: list[str] = []
    ask = bulk.ask

    def note(connection: Connection, sql: str, **values: object) -> list[tuple[Any, ...]]:
        asked.append(sql)
        return ask(connection, sql, **values)

    with world.view() as view:
        begin, end = (query.node_id(view.connection, digest(i)) or 0 for i in (0, 30))
        monkeypatch.setattr(bulk, "ask", note)
        assert len(trace(view, begin, Direction.UP).nodes) == 1
        assert len(asked) == 2
        assert len(trace(view, end, Direction.UP).nodes) == 31
        assert len(asked) == 4
        assert len(between(view, begin, end)[0].nodes) == 31
        assert len(asked) == 6
        assert len(trace(view, begin, Direction.DOWN).nodes) == 32
        assert len(asked) == 8


def test_what_nodes_are_shown_with_is_what_is_known_of_each(
    on_either: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though all of it is asked for at once, or in portions."""
    world = on_either
    history(world, 3)
    for ref, text in (("a/one:1", b"1"), ("a/two:1", b"2"), ("b/two:1", b"2")):
        world.push(ref, {"f": text}, f"trained-on={digest(1)}")
    about, of = ResourceDescriptor("n1/a:1", digests=(digest(1),)), {"uri": "hf:acme/base"}
    tell(world, Statement.build([about], provenance.TYPE, built_from(of)), "owner")
    with world.view() as view:
        connection = view.connection
        nodes = [i for (i,) in bulk.ask(connection, "SELECT id FROM node ORDER BY id")]
        halts = {i for (i,) in bulk.ask(connection, "SELECT node_id FROM halt")}
        digests, names = query.digests(connection, nodes), naming.names_of(connection, nodes)
        assert any(isinstance(one, Named) for one in digests.values())
        assert halts
        assert names[1]
        for most in (dressing.AT_ONCE, 7):
            monkeypatch.setattr(dressing, "AT_ONCE", most)
            found = dressing.of(connection, nodes)
            assert (found.digests, found[1:3]) == (digests, names)
            assert found.there == dressing.Present(halts=True)
        assert dressing.of(connection, set(nodes) - halts).there == dressing.Present()
        assert dressing.of(connection, []).digests == {}


def test_edges_are_in_the_order_of_their_ends_and_of_what_they_say() -> None:
    digests = {1: digest(1), 2: digest(2), 3: Digest("gitCommit", "0" * 40)}
    for some in (digests, {1: digest(1), 2: digest(2)}):
        by = sorted(some, key=lambda node: (some[node].algorithm, some[node].value))
        assert ordering.by_digest(some, some) == by
    order = ordering.by_digest(digests, digests)
    edges = [
        TraceEdge(source, output, relation, path=path)
        for source in digests
        for output in digests
        for relation, path in (("b", None), ("a", "y"), ("a", "x"), ("a", None))
    ]
    for some in (edges, edges[::4]):
        found = ordering.by_ends(some, order)
        assert found == sorted(
            some,
            key=lambda e: (order.index(e.input), order.index(e.output), e.relation, e.path or ""),
        )


def test_evidence_is_what_each_edge_says(on_either: World) -> None:
    """Though what several edges have in common is looked at once."""
    world = on_either
    history(world, 5)
    # One statement that calls one output two names, and says two edges of it.
    subjects = [ResourceDescriptor(f"n{i}/two:1", digests=(digest(1),)) for i in (1, 2)]
    edges = [
        {
            "output": {"digest": {"sha256": digest(1).value}},
            "relation": "merged-from",
            "input": {"digest": {"sha256": digest(source).value}},
            "annotations": {"stemma.mark": "cartesian"},
        }
        for source in (2, 3)
    ]
    tell(world, Statement.build(subjects, lineage.TYPE, {"edges": edges}), "some")
    with world.registry.catalogue.database.engine().begin() as writing:
        dated = "UPDATE statement SET root = :root, signed = id WHERE id > 3 AND id < 7"
        bulk.run(writing, dated, root=b"1" * 32)
    with world.view() as view:
        connection = view.connection
        nodes = [i for (i,) in bulk.ask(connection, "SELECT id FROM node ORDER BY id")]
        for down, ask in ((True, query.edges_from), (False, query.edges_into)):
            said: dict[evidence.Ends, list[tuple[Fact, Mark]]] = {}
            spoken: dict[evidence.Ends, set[Word]] = {}
            for row in ask(connection, nodes):
                ends = row.input_id, row.output_id, row.relation
                said.setdefault(ends, []).append((row.fact, row.mark))
                signer = signer_label(view, row.fact.signer)
                word = Word(edge_worth(view, row, None), signer, row.fact, row.mark)
                spoken.setdefault(ends, set()).add(word)
            rows = evidence.rows(connection, nodes, down=down, named=True)
            made = evidence.edges(connection, rows, _hear)
            # A server gives the names of one output in whatever order.
            assert {ends: set(some) for ends, some in made.items()} == {
                ends: set(some) for ends, some in said.items()
            }
            assert any(fact.signed for every in said.values() for fact, _ in every)
            twice = [some for some in made.values() if len({fact.n for fact, _ in some}) == 1]
            named = [[fact.name for fact, _ in some] for some in twice if len(some) > 1]
            assert named == [["n1/two", "n2/two"]] * 2
            found = words.of_edges(view, rows)
            assert found.keys() == spoken.keys()
            assert all(set(some) <= spoken[ends] for ends, some in found.items())
            ordered = [[(w.assurance, w.mark, w.fact.n) for w in some] for some in found.values()]
            assert ordered == [sorted(one, key=_rank) for one in ordered]


def test_the_name_of_what_has_one_is_what_the_statement_says(tmp_path: Path) -> None:
    world = World(tmp_path)
    for ref, text in (("a/one:1", b"1"), ("a/two:1", b"2"), ("b/two:1", b"2"), ("a/two:2", b"2")):
        world.push(ref, {"f": text})
    with world.view() as view:
        nodes = [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node")]
        named, several = naming.names_of(view.connection, nodes)
        versions = query.versions_of(view.connection, nodes)
    assert named.keys() | several.keys() == versions.keys()
    assert [name for name, _ in named.values()] == ["a/one:1"]
    for node, (name, kind) in named.items():
        assert [(str(row.name), row.kind) for row in versions[node]] == [(name, kind)]
    ((node, rows),) = several.items()
    assert rows == versions[node]
    assert [str(row.name) for row in rows] == ["a/two:1", "b/two:1", "a/two:2"]


def _hear(_kind: str, _signer: str | None, _signed: Times, mark: Mark) -> Said:
    return lambda fact: (fact, mark)


def _rank(word: tuple[Assurance, Mark, int]) -> tuple[int, int, int]:
    assurance, mark, n = word
    return list(Assurance).index(assurance), list(Mark).index(mark), n
