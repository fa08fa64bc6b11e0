"""Traces: everything that came from a node, or that it came from, with the word for each edge.

Pessimistic: every edge is shown, marked with its assurance. Edges that carry
no taint (evaluated-on) are shown and not followed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property, partial
from operator import attrgetter
from typing import NamedTuple

from stemma_attestations.digest import Digest
from stemma_attestations.marks import Mark
from stemma_attestations.relations import CONTAINS, SAME_AS, propagates
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import dressing, evidence, made, query
from stemma_registry.catalogue.ahead import Ahead, around
from stemma_registry.catalogue.evidence import Row
from stemma_registry.catalogue.rows import PartRow, VersionRow
from stemma_registry.lineage import marks, words
from stemma_registry.lineage.deployments import Deployed
from stemma_registry.lineage.erased import by_node
from stemma_registry.lineage.ordering import by_digest, by_ends
from stemma_registry.lineage.words import Word
from stemma_registry.reference import best_version, called, label, unnamed
from stemma_registry.registry import Snapshot

ORIGIN = 0  # the node of a start that is none in the graph; those begin with 1
_ORDER, _MARKS = tuple(Assurance), tuple(Mark)


class Direction(StrEnum):
    """Which way a trace goes."""

    DOWN = "down"
    UP = "up"


class TraceEdge(NamedTuple):
    """`output` came from `input`.

    `words` are strongest first, and empty for containment, which follows from
    bytes; then `path` is the file inside. What they call the output is known where that
    matters to what they are worth; `called.with_names` tells it of all.
    """

    input: int
    output: int
    relation: str
    words: tuple[Word, ...] = ()
    path: str | None = None

    @property
    def assurance(self) -> Assurance:
        """The strongest word for it."""
        return self.words[0].assurance if self.words else Assurance.CONTAINS

    @property
    def mark(self) -> Mark:
        """How its strongest word says it."""
        return self.words[0].mark if self.words else Mark.EXACT


class TraceNode(NamedTuple):
    """A node of a trace. `depth` is the shortest way from the start, in edges.

    `erased` says which of its bytes are gone on purpose, and why; `deployed` where it
    runs and `stages` what NAME#STAGE it is at, where that was asked (`lineage.whereabouts`).
    `marks` say what stops it, if anything, in words; `waived`: it is let pass, in spite of a stop
    that reaches it.
    """

    id: int
    digest: Digest
    label: str
    kind: str | None
    names: tuple[str, ...]
    depth: int
    quarantined: bool
    erased: tuple[str, ...] = ()
    deployed: tuple[Deployed, ...] = ()
    stages: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Trace:
    """The nodes that were reached and the edges among them, in a stable order.

    `left_out` is how many more nodes there are, behind a limit; `ways` how many ways lead from
    the start to the target, where that was asked and there is no circle among them.
    """

    start: int
    direction: Direction
    nodes: dict[int, TraceNode]
    edges: tuple[TraceEdge, ...]
    entry: int
    left_out: int = 0
    ways: int | None = None

    def beyond(self, node: int) -> list[TraceEdge]:
        """The edges that lead away from the start at `node`."""
        return self._beyond.get(node, [])

    @cached_property
    def _beyond(self) -> dict[int, list[TraceEdge]]:
        found: dict[int, list[TraceEdge]] = {}
        for edge in self.edges:
            near = edge.input if self.direction is Direction.DOWN else edge.output
            found.setdefault(near, []).append(edge)
        return found

    def far_end(self, edge: TraceEdge) -> int:
        """The node of an edge that lies away from the start."""
        return edge.output if self.direction is Direction.DOWN else edge.input


@dataclass(frozen=True)
class Only:
    """Which edges are followed: of these relations (None: all), worth that much at least.

    What follows from bytes always is.
    """

    relations: frozenset[str] | None = None
    assurance: Assurance = Assurance.CLAIMED

    def lets(self, edge: TraceEdge) -> bool:
        """Whether an edge that somebody said is one of them."""
        return self.suffices(edge) and (self.relations is None or edge.relation in self.relations)

    def suffices(self, edge: TraceEdge) -> bool:
        """Whether it is worth that much, whatever its relation."""
        return _ORDER.index(edge.assurance) <= _ORDER.index(self.assurance)


ANY = Only()


@dataclass(frozen=True)
class Origin:
    """A start that is no node of the graph: a package, a signer, a stage.

    `first` are the edges between it (`ORIGIN`) and what it leads to. Its digest is that of
    its text.
    """

    text: str
    kind: str
    first: tuple[TraceEdge, ...]


State = tuple[int, bool]  # a node, and whether it was reached as a file of an artifact


def trace(
    snapshot: Snapshot,
    start: int | Origin,
    direction: Direction,
    depth: int | None = None,
    only: Only = ANY,
    limit: int | None = None,
    progress: Progress | None = None,
) -> Trace:
    """Everything within `depth` edges (None: all) downstream or upstream of a node.

    Of that the `limit` nearest nodes (None: all) beside the start. `progress` counts nodes.
    """
    first = start.first if isinstance(start, Origin) else ()
    begin = ORIGIN if isinstance(start, Origin) else start
    ends = {edge.output if direction is Direction.DOWN else edge.input for edge in first}
    depths, level = {begin: 0, **dict.fromkeys(ends, 1)}, 1 if begin == ORIGIN else 0
    # A walk of few steps meets few of those that it could look ahead to.
    walk = Walk(snapshot, direction, only, ends or {begin} if depth is None else ())
    for edge in first:
        walk.keep(edge)
    frontier: set[State] = {(node, False) for node in ends or {begin}}
    _spread(walk, depths, frontier, level, depth, progress)
    shown = _nearest(snapshot, begin, depths, limit)
    part = finish(snapshot, start, direction, shown, walk.edges)
    return replace(part, left_out=len(depths) - len(shown))


def from_held(
    snapshot: Snapshot,
    held: TraceNode,
    into: Sequence[TraceEdge],
    only: Only = ANY,
    limit: int | None = None,
) -> Trace:
    """Everything downstream of something that is no node of the catalogue, and what holds it.

    `held.id` is a number that no node has; `into` leads from it to those that hold it. `only`
    and `limit` are as of `trace`.
    """
    first = [edge for edge in into if only.suffices(edge)]
    depths = {edge.output: 1 for edge in first}
    walk = Walk(snapshot, Direction.DOWN, only, depths)
    _spread(walk, depths, {(node, False) for node in depths}, 1, None)
    shown = _nearest(snapshot, held.id, {held.id: 0, **depths}, limit)
    del shown[held.id]
    found = finish(snapshot, held.id, Direction.DOWN, shown, walk.edges)
    nodes = {held.id: held, **found.nodes}
    kept = [edge for edge in first if edge.output in nodes]
    order = sorted(kept, key=lambda edge: found.nodes[edge.output].digest)
    edges = (*order, *found.edges)
    return replace(found, nodes=nodes, edges=edges, left_out=len(depths) - len(shown))


def _spread(
    walk: Walk,
    depths: dict[int, int],
    frontier: set[State],
    level: int,
    depth: int | None,
    progress: Progress | None = None,
) -> None:
    """Take steps from the frontier, which is `level` steps away, until there are none."""
    done: set[State] = set()
    while frontier and (depth is None or level < depth):
        level += 1
        done |= frontier
        found, before = walk.step(frontier), len(depths)
        for far, _ in found:
            if far not in depths:
                depths[far] = level
        if progress is not None:
            progress(len(depths) - before)
        frontier = {state for state, follow in found.items() if follow} - done


def _nearest(
    snapshot: Snapshot, begin: int, depths: dict[int, int], limit: int | None
) -> dict[int, int]:
    if limit is None or len(depths) <= limit + 1:
        return depths
    digests = query.digests(snapshot.connection, depths)
    others = sorted(depths.keys() - {begin}, key=lambda node: (depths[node], digests[node]))
    return {begin: 0, **{node: depths[node] for node in others[:limit]}}


class Walk:
    """Takes steps, and keeps the edges it took. `start` is from where it looks ahead, if at all."""

    def __init__(
        self, snapshot: Snapshot, direction: Direction, only: Only, start: Collection[int]
    ) -> None:
        connection, down = snapshot.connection, direction is Direction.DOWN
        near = around(connection, start, down=down, named=snapshot.trust.goes_by_name)
        ends = attrgetter("input" if down else "output")
        self.down = down
        spoken = partial(said, snapshot, down=down, only=only)
        known = of_rows(snapshot, near.said, only)
        self.said = Ahead(spoken, ends, near.nodes, known)
        holders, none = partial(query.containers, connection), list[PartRow]()
        self.holders = Ahead(
            holders, attrgetter("blob_id"), near.nodes, None if near.held else none
        )
        parts = partial(query.consumed_parts if down else made.files, connection)
        of = attrgetter("artifact_id")
        self.inside = Ahead(parts, of, near.nodes, None if near.inside else none)
        self.spoken: list[TraceEdge] = []
        self.kept: dict[tuple[int, int, str, str | None], TraceEdge] = {}
        self.asked: set[int] = set()  # nodes whose edges are known

    def step(self, frontier: set[State]) -> dict[State, bool]:
        """All states one step away from the frontier, and whether the walk goes on there."""
        found: dict[State, bool] = {}
        nodes = {node for node, _ in frontier} - self.asked
        self.asked |= nodes
        said, down = self.said.of(nodes), self.down
        self.spoken += said
        for source, output, relation, _, _ in said:
            state = (output if down else source, False)
            if propagates(relation):
                found[state] = True
            else:
                found.setdefault(state, False)
        # A file reached as part of one artifact says nothing about others that contain it.
        whole = {node for node, part in frontier if not part}
        for part in self.holders.of(whole):
            ends = (part.blob_id, part.artifact_id)
            source, output = ends if self.down else ends[::-1]
            self.keep(TraceEdge(source, output, CONTAINS, path=part.path))
            found[(part.artifact_id, False)] = True
        # And a file of what was reached, which was used by itself, or came from something.
        for part in self.inside.of(nodes if self.down else whole):
            ends = (part.artifact_id, part.blob_id)
            source, output = ends if self.down else ends[::-1]
            self.keep(TraceEdge(source, output, CONTAINS, path=part.path))
            found[(part.blob_id, True)] = True
        return found

    def keep(self, edge: TraceEdge) -> None:
        """Note an edge that was taken."""
        self.kept[(edge.input, edge.output, edge.relation, edge.path)] = edge

    @property
    def edges(self) -> Iterable[TraceEdge]:
        """All that were taken, each once."""
        return (*self.spoken, *self.kept.values())


def said(snapshot: Snapshot, nodes: Iterable[int], *, down: bool, only: Only) -> list[TraceEdge]:
    """The edges that statements say from these nodes, or to them, each with every word for it."""
    named = snapshot.trust.goes_by_name
    rows = evidence.rows(snapshot.connection, nodes, down=down, named=named)
    return of_rows(snapshot, rows, only)


def of_rows(snapshot: Snapshot, rows: Sequence[Row], only: Only) -> list[TraceEdge]:
    """Those of such rows (`evidence.rows`)."""
    found, new = words.of_edges(snapshot, rows), tuple.__new__
    edges = [
        new(TraceEdge, (source, output, relation, spoken, None))
        for (source, output, relation), spoken in found.items()
    ]
    return edges if only == ANY else [edge for edge in edges if only.lets(edge)]


def finish(
    snapshot: Snapshot,
    start: int | Origin,
    direction: Direction,
    depths: Mapping[int, int],
    edges: Iterable[TraceEdge],
    back: bool = False,
) -> Trace:
    """Dress the nodes with their names, and put everything in order.

    `back` is whether what is the mirror of another edge is shown too: some way may take it.
    """
    digests, named, versions, there = dressing.of(snapshot.connection, depths)
    stopped = marks.of(snapshot, depths.keys(), there)
    erased = by_node(snapshot) if there.erasures else {}
    if isinstance(start, Origin):
        digests[ORIGIN] = Digest.of(start.text.encode())
    order, nodes, new = by_digest(digests, depths), dict[int, TraceNode](), tuple.__new__
    for node in sorted(order, key=depths.__getitem__):  # there are many
        digest = digests[node]
        if node in named:
            name, kind = named[node]
            names: _Names = name, kind, (name,)
        elif node in versions:
            names = _names(snapshot, digest, versions[node])
        else:
            names = unnamed(digest), None, ()
        shown = node, digest, *names, depths[node], False, (), (), (), ()
        nodes[node] = new(TraceNode, shown)
    for node in nodes.keys() & (stopped.keys() | erased.keys()):
        why, gone = tuple(sorted(stopped.get(node, ()))), tuple(erased.get(node, ()))
        halted = bool(why) and why != (marks.WAIVED,)
        nodes[node] = nodes[node]._replace(quarantined=halted, erased=gone, marks=why)
    if isinstance(start, Origin):
        nodes[ORIGIN] = nodes[ORIGIN]._replace(label=start.text, kind=start.kind)
    kept = [
        edge
        for edge in edges
        if edge.input in nodes
        and edge.output in nodes
        and (edge.relation != SAME_AS or back or not _leads_back(edge, depths, direction))
    ]
    begin = ORIGIN if isinstance(start, Origin) else start
    return Trace(begin, direction, nodes, tuple(by_ends(kept, order)), snapshot.n)


_Names = tuple[str, str | None, tuple[str, ...]]  # its label, its kind, and all of them


def _names(snapshot: Snapshot, digest: Digest, rows: Sequence[VersionRow]) -> _Names:
    """Of a node that has several names."""
    best = best_version(snapshot, rows)
    names = tuple(sorted({str(row.name) for row in rows}))
    return label(snapshot, digest, list(map(called, rows))), best.kind if best else None, names


def _leads_back(edge: TraceEdge, depths: Mapping[int, int], direction: Direction) -> bool:
    """Of what is said to be the same thing: whether it is the mirror of what leads away."""
    ends = (edge.input, edge.output) if direction is Direction.DOWN else (edge.output, edge.input)
    near, far = ((depths[end], end) for end in ends)
    return near > far
