"""Layouts: nothing overlaps, everything goes one way, and two thousand nodes take no time."""

from __future__ import annotations

import time
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_registry.drawing.layout import HEIGHT, WIDTH, isotonic, place
from stemma_registry.drawing.ranks import Pair, acyclic, ranks
from tests.drawing.making import heavy


@st.composite
def reachable(draw: st.DrawFn) -> tuple[int, list[Pair]]:
    """Nodes 0.. all reachable from 0, with circles, loops and diamonds."""
    size = draw(st.integers(1, 30))
    pairs = [(draw(st.integers(0, n - 1)), n) for n in range(1, size)]
    some = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    return size, list(dict.fromkeys(pairs + draw(st.lists(some, max_size=40))))


@given(reachable(), st.booleans())
@settings(max_examples=100, deadline=None)
def test_nothing_overlaps_and_lines_meet_their_nodes(
    graph: tuple[int, list[Pair]], leftward: bool
) -> None:
    size, pairs = graph
    found = place(range(size), pairs, 0, leftward)
    assert found == place(range(size), pairs, 0, leftward)
    corners = found.nodes
    assert set(corners) == set(range(size))
    for one, (x, y) in corners.items():
        assert 0 <= x <= found.width - WIDTH
        assert 0 <= y <= found.height - HEIGHT
        for other, (right, below) in corners.items():
            apart = abs(x - right) >= WIDTH or abs(y - below) >= HEIGHT
            assert one == other or apart, (corners[one], corners[other])
    assert set(found.routes) == {(near, far) for near, far in pairs if near != far}
    for (near, far), points in found.routes.items():
        for node, (x, y) in ((near, points[0]), (far, points[-1])):
            assert x in (corners[node][0], corners[node][0] + WIDTH)
            assert y == corners[node][1] + HEIGHT // 2


@given(reachable())
@settings(max_examples=100, deadline=None)
def test_ranks_grow_along_every_pair(graph: tuple[int, list[Pair]]) -> None:
    size, pairs = graph
    kept = acyclic(0, pairs)
    assert {frozenset(pair) for pair in kept} == {frozenset(p) for p in pairs if p[0] != p[1]}
    found = ranks(range(size), kept)
    assert all(found[near] < found[far] for near, far in kept)
    assert found[0] == 0


def test_what_has_no_circle_is_not_turned_round() -> None:
    pairs = [(0, 1), (1, 2), (0, 2), (2, 3)]
    assert acyclic(0, pairs) == pairs
    assert ranks(range(4), pairs) == {0: 0, 1: 1, 2: 2, 3: 3}


def test_a_long_edge_goes_round_what_lies_between() -> None:
    found = place(range(3), [(0, 1), (1, 2), (0, 2)], 0, False)
    (_, first), (_, second), *_ = found.routes[0, 2][1:]
    top = found.nodes[1][1]
    assert first == second
    assert not top <= first <= top + HEIGHT


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.sampled_from([1.0, 3.0])), max_size=20))
def test_isotonic_grows_and_leaves_what_grows_alone(wanted: list[tuple[float, float]]) -> None:
    found = isotonic(wanted)
    assert len(found) == len(wanted)
    assert all(a <= b + 1e-6 for a, b in pairwise(found))
    growing = sorted(wanted)
    assert isotonic(growing) == [value for value, _ in growing]


def pairs_of(size: int) -> list[Pair]:
    return list(dict.fromkeys((edge.input, edge.output) for edge in heavy(size).edges))


def test_large_graphs_take_seconds_at_most() -> None:
    shapes = {
        "heavy": (range(1, 2_001), pairs_of(2_000)),
        "star": (range(1, 5_001), [(1, n) for n in range(2, 5_001)]),
        "chain": (range(1, 5_001), [(n, n + 1) for n in range(1, 5_000)]),
        # Long edges over everything: no more bends than there is a budget for.
        "fan": (range(1, 2_001), [(n, m) for n in range(1, 2_000) for m in (n + 1, 2_000)]),
    }
    for name, (nodes, pairs) in shapes.items():
        began = time.process_time()
        found = place(nodes, list(dict.fromkeys(pairs)), 1, False)
        assert time.process_time() - began < 5, name
        assert len(found.nodes) == len(nodes)


def test_a_star_is_a_block_and_not_a_thread() -> None:
    found = place(range(2_001), [(0, n) for n in range(1, 2_001)], 0, False)
    assert 0.7 < found.width / found.height < 2.5
