"""A layered layout, left to right, in time that is near linear in what is drawn.

Ranks by the longest way (K. Sugiyama, S. Tagawa, M. Toda, 1981), orders by barycentres, heights by
isotonic regression: as near to the neighbours as the order allows. A long edge is bent around what
lies between, as long as there is a budget for bends. A rank of too many is folded into columns, so
that two thousand children of one dataset are a block and not a thread.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from stemma_registry.config import LIMITS
from stemma_registry.drawing.ranks import Pair, acyclic, ranks

WIDTH, HEIGHT = 196, 40  # of a node
_GAP = 14  # between two nodes of a column
_BEND = 16  # what a bend takes of a column
_BETWEEN_RANKS, _BETWEEN_COLUMNS = 96, 20
_SHAPE = 1.4  # width to height that is aimed at
_ROWS = 20  # a rank of so few is never folded
_SWEEPS, _SWEPT = 12, 400_000  # sweeps, and steps of all of them together

Point = tuple[int, int]


@dataclass(frozen=True)
class Layout:
    """Where things are: `nodes` by their upper left corners, `routes` of pairs by their points.

    A route goes from the edge of the first to the edge of the second; a loop has none.
    """

    nodes: Mapping[int, Point]
    routes: Mapping[Pair, Sequence[Point]]
    width: int
    height: int


def place(nodes: Sequence[int], pairs: Sequence[Pair], start: int, leftward: bool) -> Layout:
    """Lay out `nodes` and the pairs (near, far) among them, all reachable from `start`.

    The start is at the left and everything goes right, or the reverse for `leftward`.
    """
    forward = acyclic(start, pairs)
    drawing = _Drawing(nodes, forward)
    drawing.order()
    drawing.fold()
    drawing.settle()
    corners, routes = drawing.corners(), drawing.routes()
    width = max(x for x, _ in corners.values()) + WIDTH
    height = max(y for _, y in corners.values()) + HEIGHT
    if leftward:
        corners = {node: (width - WIDTH - x, y) for node, (x, y) in corners.items()}
        routes = {pair: [(width - x, y) for x, y in route] for pair, route in routes.items()}
    drawn = {}
    for near, far in pairs:
        if (near, far) in routes:
            drawn[near, far] = routes[near, far]
        elif (far, near) in routes:
            drawn[near, far] = routes[far, near][::-1]
    return Layout(corners, drawn, width, height)


class _Drawing:
    """Nodes and bends are items: numbers of nodes, and negative numbers for bends."""

    def __init__(self, nodes: Sequence[int], pairs: Sequence[Pair]) -> None:
        self.rank = ranks(nodes, pairs)
        self.chains: dict[Pair, list[int]] = {}
        self.names = {node: number for number, node in enumerate(nodes)}
        self.items: list[list[int]] = [[] for _ in range(max(self.rank.values()) + 1)]
        for node in nodes:
            self.items[self.rank[node]].append(self.names[node])
        self.neighbours: dict[int, tuple[list[int], list[int]]] = {
            number: ([], []) for number in self.names.values()
        }
        self._link(pairs)
        self.columns: list[list[list[int]]] = []
        self.x: dict[int, int] = {}
        self.y: dict[int, float] = {}

    def _link(self, pairs: Sequence[Pair]) -> None:
        """Chains of neighbours in following ranks, short pairs first while bends are left."""
        bends = 0
        for near, far in sorted(pairs, key=lambda pair: self.rank[pair[1]] - self.rank[pair[0]]):
            first, last = self.rank[near], self.rank[far]
            chain = [self.names[near]]
            if bends + last - first - 1 <= LIMITS.drawn_bends:
                for rank in range(first + 1, last):
                    bends += 1
                    self.items[rank].append(-bends)
                    self.neighbours[-bends] = ([], [])
                    chain.append(-bends)
            chain.append(self.names[far])
            self.chains[near, far] = chain
            for one, other in pairwise(chain):
                self.neighbours[one][1].append(other)
                self.neighbours[other][0].append(one)

    def order(self) -> None:
        """Order each rank by the means of its neighbours' places, sweeping there and back."""
        steps = sum(len(side) for both in self.neighbours.values() for side in both)
        place: dict[int, float] = {}
        for rank in self.items:
            self._arrange(rank, place, 0)
        for sweep in range(max(2, min(_SWEEPS, _SWEPT // (steps + 1)))):
            backward = sweep % 2 == 0
            for rank in reversed(self.items) if backward else self.items:
                self._arrange(rank, place, 1 if backward else 0)

    def _arrange(self, rank: list[int], place: dict[int, float], side: int) -> None:
        """Sort a rank by the neighbours on one side; who has none there stays where it is."""

        def mean(item: int) -> float:
            known = [place[other] for other in self.neighbours[item][side] if other in place]
            return sum(known) / len(known) if known else place.get(item, 0.5)

        rank.sort(key=mean)
        for number, item in enumerate(rank):
            place[item] = (number + 0.5) / len(rank)

    def fold(self) -> None:
        """Cut ranks into columns, such that the whole has a shape that screens have."""
        rows, tallest = _ROWS, max(map(len, self.items))
        best, chosen = math.inf, rows
        while True:
            counts = [max(1, math.ceil(len(rank) / rows)) for rank in self.items]
            wide = sum(counts) * (WIDTH + _BETWEEN_COLUMNS) + len(counts) * _BETWEEN_RANKS
            off = abs(math.log(wide / (min(rows, tallest) * (HEIGHT + _GAP)) / _SHAPE))
            if off < best:
                best, chosen = off, rows
            if rows >= tallest:
                break
            rows = math.ceil(rows * 1.25)
        x = 0
        for rank in self.items:
            count = max(1, math.ceil(len(rank) / chosen))
            columns = [rank[first::count] for first in range(count)]
            for column in columns:
                self.x.update(dict.fromkeys(column, x))
                x += WIDTH + _BETWEEN_COLUMNS
            x += _BETWEEN_RANKS - _BETWEEN_COLUMNS
            self.columns.append(columns)

    def settle(self) -> None:
        """Heights: each column stacked about the same middle, then drawn to its neighbours."""
        for column in (column for columns in self.columns for column in columns):
            offsets = _offsets(column)
            middle = offsets[-1] / 2
            for item, offset in zip(column, offsets, strict=True):
                self.y[item] = offset - middle
        for sweep in range(6):
            backward = sweep % 2 == 1
            for columns in reversed(self.columns) if backward else self.columns:
                for column in columns:
                    self._draw_near(column, 1 if backward else 0)
        top = min(y - _tall(item) / 2 for item, y in self.y.items())
        self.y = {item: y - top for item, y in self.y.items()}

    def _draw_near(self, column: list[int], side: int) -> None:
        """The heights nearest to the neighbours' means that keep order and distances."""
        offsets = _offsets(column)
        wanted = []
        for item, offset in zip(column, offsets, strict=True):
            others = self.neighbours[item][side]
            mean = sum(self.y[other] for other in others) / len(others) if others else self.y[item]
            wanted.append((mean - offset, 3.0 if item < 0 else 1.0))
        for item, offset, y in zip(column, offsets, isotonic(wanted), strict=True):
            self.y[item] = y + offset

    def corners(self) -> dict[int, Point]:
        """The upper left corner of each node."""
        return {
            node: (self.x[item], round(self.y[item] - HEIGHT / 2))
            for node, item in self.names.items()
        }

    def routes(self) -> dict[Pair, list[Point]]:
        """The points of each pair: out at the right, in at the left, bends through columns."""
        found = {}
        for pair, (first, *bends, last) in self.chains.items():
            points = [(self.x[first] + WIDTH, round(self.y[first]))]
            for bend in bends:
                y = round(self.y[bend])
                points += [(self.x[bend], y), (self.x[bend] + WIDTH, y)]
            found[pair] = [*points, (self.x[last], round(self.y[last]))]
        return found


def _tall(item: int) -> int:
    return _BEND if item < 0 else HEIGHT + _GAP


def _offsets(column: Sequence[int]) -> list[float]:
    """How far below the first each item of a column is, where they stand close."""
    offsets = [0.0]
    for above, below in pairwise(column):
        offsets.append(offsets[-1] + (_tall(above) + _tall(below)) / 2)
    return offsets


def isotonic(wanted: Sequence[tuple[float, float]]) -> list[float]:
    """The growing values nearest to (value, weight) pairs, by pooling neighbours that disagree."""
    pools: list[tuple[float, float, int]] = []  # mean, weight, how many
    for value, weight in wanted:
        pool = (value, weight, 1)
        while pools and pools[-1][0] > pool[0]:
            mean, heavy, count = pools.pop()
            total = heavy + pool[1]
            pool = ((mean * heavy + pool[0] * pool[1]) / total, total, count + pool[2])
        pools.append(pool)
    return [mean for mean, _, count in pools for _ in range(count)]
