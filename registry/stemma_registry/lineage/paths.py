"""How something came from something else: the part of the graph between them, and the ways.

The search goes upward from the target, since few things are above a model and many below a
dataset. Of the ways there may be more than anybody can list (fifteen diamonds one on another
have 32,768), so the shortest are made one by one, and their number is counted, not listed:
J. Y. Yen, Finding the K Shortest Loopless Paths in a Network, 1971.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from functools import partial
from operator import attrgetter

from stemma_attestations.errors import Undecided
from stemma_attestations.relations import CONTAINS, propagates
from stemma_registry.catalogue import made, query
from stemma_registry.catalogue.ahead import Ahead, around
from stemma_registry.catalogue.rows import PartRow
from stemma_registry.config import LIMITS
from stemma_registry.lineage.trace import (
    ANY,
    ORIGIN,
    Direction,
    Only,
    Origin,
    State,
    Trace,
    TraceEdge,
    finish,
    of_rows,
    said,
)
from stemma_registry.registry import Snapshot

Step = tuple[TraceEdge, State]
Path = list[TraceEdge]


def between(
    snapshot: Snapshot,
    start: int | Origin,
    target: int,
    only: Only = ANY,
    count: int = LIMITS.paths,
) -> tuple[Trace, list[Path]]:
    """How `target` came from `start`: the part of the graph between them, and evidence paths.

    The paths go from `start` to `target`, shortest first, at most `count`; `Trace.ways` says
    how many there are. Raises Undecided where there are more than `LIMITS.ancestors` above.
    """
    begin = ORIGIN if isinstance(start, Origin) else start
    graph = _Climb(snapshot, start, target, only).graph()
    depths, edges = {begin: 0}, {}
    for state, steps in graph.steps.items():
        depths.setdefault(state[0], graph.depths[state])
        for edge, (far, part) in steps:
            known = depths.get(far)
            depth = graph.depths[(far, part)]
            depths[far] = depth if known is None else min(known, depth)
            edges[(edge.input, edge.output, edge.relation, edge.path)] = edge
    trace = finish(snapshot, start, Direction.DOWN, depths, edges.values(), back=True)
    order = {(e.input, e.output, e.relation, e.path): place for place, e in enumerate(trace.edges)}
    for steps in graph.steps.values():
        steps.sort(key=lambda s: order[(s[0].input, s[0].output, s[0].relation, s[0].path)])
    return replace(trace, ways=graph.ways()), graph.shortest(count)


class _Climb:
    """Goes up from the target, and keeps the steps that lead down again."""

    def __init__(self, snapshot: Snapshot, start: int | Origin, target: int, only: Only) -> None:
        self.snapshot, self.target = snapshot, target
        self.begin = ORIGIN if isinstance(start, Origin) else start
        connection = snapshot.connection
        named = snapshot.trust.goes_by_name
        near = around(connection, {target}, down=False, named=named, end=self.begin)
        words = partial(said, snapshot, down=False, only=only)
        known = of_rows(snapshot, near.said, only)
        self.said = Ahead(words, attrgetter("output"), near.nodes, known)
        holders, none = partial(query.containers, connection), list[PartRow]()
        self.holders = Ahead(
            holders, attrgetter("blob_id"), near.nodes, None if near.held else none
        )
        files = partial(made.files, connection, also=self.begin)
        may_be = near.inside or near.file
        self.made = Ahead(files, attrgetter("artifact_id"), near.nodes, None if may_be else none)
        self.used = query.is_input(connection, target) if near.used is None else near.used
        self.first: dict[int, list[TraceEdge]] = {}
        if isinstance(start, Origin):
            for edge in start.first:
                self.first.setdefault(edge.output, []).append(edge)
        self.down: dict[State, list[Step]] = {}
        self.met: set[State] = set()

    def graph(self) -> _Graph:
        """What lies between the start and the target."""
        frontier = self._meet([(self.target, False)])
        if self.used:
            frontier |= self._meet([(self.target, True)])
        if self.begin != self.target:
            while frontier:
                frontier = self._up(frontier)
        return _Graph.of((self.begin, False), self.target, self.down)

    def _meet(self, states: Iterable[State]) -> set[State]:
        new = set(states) - self.met
        self.met |= new
        if len(self.met) > LIMITS.ancestors:
            raise Undecided(f"more than {LIMITS.ancestors} ancestors; the limit is a named one")
        return {state for state in new if state[0] != self.begin}

    def _step(self, near: State, edge: TraceEdge, far: State) -> None:
        self.down.setdefault(near, []).append((edge, far))

    def _up(self, frontier: set[State]) -> set[State]:
        """The states one step up."""
        above: set[State] = set()
        whole = {node for node, part in frontier if not part}
        for node in whole & self.first.keys():
            for edge in self.first[node]:
                self._step((ORIGIN, False), edge, (node, False))
        for edge in self.said.of(whole):
            # What carries nothing on is shown, and ends there.
            if propagates(edge.relation) or edge.output == self.target:
                step = edge, (edge.output, False)
                for state in ((edge.input, False), (edge.input, True)):
                    self.down.setdefault(state, []).append(step)
                    above.add(state)
        for part in self.holders.of({node for node, part in frontier if part}):
            edge = TraceEdge(part.artifact_id, part.blob_id, CONTAINS, path=part.path)
            for state in ((part.artifact_id, False), (part.artifact_id, True)):
                self._step(state, edge, (part.blob_id, True))
                above.add(state)
        for part in self.made.of(whole):
            edge = TraceEdge(part.blob_id, part.artifact_id, CONTAINS, path=part.path)
            self._step((part.blob_id, False), edge, (part.artifact_id, False))
            above.add((part.blob_id, False))
        return self._meet(above)


@dataclass
class _Graph:
    """Steps down from the start, all of which lead to the target."""

    start: State
    target: int
    steps: dict[State, list[Step]]
    depths: dict[State, int] = field(default_factory=dict)

    @classmethod
    def of(cls, start: State, target: int, down: dict[State, list[Step]]) -> _Graph:
        """What of the steps can be reached from the start."""
        depths, frontier, kept = {start: 0}, deque([start]), {}
        while frontier:
            state = frontier.popleft()
            if state[0] == target or state not in down:
                continue
            kept[state] = down[state]
            for _, far in down[state]:
                if far not in depths:
                    depths[far] = depths[state] + 1
                    frontier.append(far)
        return cls(start, target, kept, depths)

    def shortest(self, count: int) -> list[Path]:
        """The `count` shortest ways that meet nothing twice, shortest first."""
        best = self._shortest(self.start, frozenset(), frozenset())
        if best is None:
            return []
        found: list[list[Step]] = []
        waiting: list[tuple[int, int, list[Step]]] = [(len(best), 0, best)]
        seen, number = {_key(best)}, 0
        while waiting and len(found) < count:
            path = heapq.heappop(waiting)[2]
            found.append(path)
            for place in range(len(path)):
                root = path[:place]
                spur = root[-1][1] if root else self.start
                banned = {_key([p[place]]) for p in found if p[:place] == root and place < len(p)}
                met = {self.start[0], *(state[0] for _, state in root)} - {spur[0]}
                rest = self._shortest(spur, met, {key for (key,) in banned})
                if rest is not None and _key(root + rest) not in seen:
                    number += 1
                    seen.add(_key(root + rest))
                    heapq.heappush(waiting, (len(root + rest), number, root + rest))
        return [[edge for edge, _ in path] for path in found]

    def _shortest(
        self, start: State, met: AbstractSet[int], banned: AbstractSet[object]
    ) -> list[Step] | None:
        """The first of the shortest ways to the target that meets none of `met`."""
        if start[0] == self.target:
            return []
        back: dict[State, tuple[State, Step] | None] = {start: None}
        frontier = deque([start])
        while frontier:
            state = frontier.popleft()
            for step in self.steps.get(state, ()):
                far = step[1]
                if far in back or far[0] in met or far[0] == start[0]:
                    continue
                if state == start and _key([step])[0] in banned:
                    continue
                back[far] = (state, step)
                if far[0] == self.target:
                    return _way(back, far)
                frontier.append(far)
        return None

    def ways(self) -> int | None:
        """How many ways there are; None where there are circles, and nobody can count them."""
        into: dict[State, int] = dict.fromkeys(self.depths, 0)
        for steps in self.steps.values():
            for _, far in steps:
                into[far] += 1
        counts = dict.fromkeys(self.depths, 0)
        counts[self.start] = 1
        ready, total, left = [self.start], 0, len(self.depths)
        if into[self.start]:
            return None
        while ready:
            state = ready.pop()
            left -= 1
            if state[0] == self.target:
                total += counts[state]
            for _, far in self.steps.get(state, ()):
                counts[far] += counts[state]
                into[far] -= 1
                if into[far] == 0:
                    ready.append(far)
        twice = len({node for node, _ in self.depths}) < len(self.depths)
        return None if left or (twice and self._meets_twice()) else total

    def _meets_twice(self) -> bool:
        """Whether some way may meet a node as a whole, and as a file of something."""
        both = {node for node, part in self.depths if part} & {
            node for node, part in self.depths if not part
        }
        return any(
            self._shortest_between((node, part), (node, not part))
            for node in both - {self.target}
            for part in (False, True)
        )

    def _shortest_between(self, start: State, end: State) -> bool:
        seen, frontier = {start}, [start]
        while frontier:
            for _, far in self.steps.get(frontier.pop(), ()):
                if far == end:
                    return True
                if far not in seen:
                    seen.add(far)
                    frontier.append(far)
        return False


def _key(path: Sequence[Step]) -> tuple[object, ...]:
    """A way, to be told from others."""
    return tuple(
        (edge.input, edge.output, edge.relation, edge.path, state[1]) for edge, state in path
    )


def _way(back: dict[State, tuple[State, Step] | None], end: State) -> list[Step]:
    found, state = [], end
    while (before := back[state]) is not None:
        state, step = before
        found.append(step)
    return found[::-1]
