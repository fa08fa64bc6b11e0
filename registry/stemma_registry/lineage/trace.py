"""Traces: everything that came from a node, or that it came from, with the word for each edge.

Pessimistic: every edge is shown, marked with its assurance. Edges that carry
no taint (evaluated-on) are shown and not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from stemma_attestations.digest import Digest
from stemma_attestations.marks import Mark
from stemma_attestations.relations import SAME_AS, propagates
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.lineage import marks
from stemma_registry.lineage.deployments import Deployed
from stemma_registry.lineage.erased import by_node
from stemma_registry.lineage.status import edge_worth, signer_label
from stemma_registry.reference import best_version, called, label
from stemma_registry.registry import Snapshot

CONTAINS = "contains"
ORIGIN = 0  # the node of a start that is none in the graph; those begin with 1
_ORDER, _MARKS = tuple(Assurance), tuple(Mark)


class Direction(StrEnum):
    """Which way a trace goes."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True)
class Word:
    """A statement that says an edge, what it is worth, who signed it, and how it says it."""

    assurance: Assurance
    signer: str
    fact: Fact
    mark: Mark = Mark.EXACT


@dataclass(frozen=True)
class TraceEdge:
    """`output` came from `input`.

    `words` are strongest first, and empty for containment, which follows from
    bytes; then `path` is the file inside.
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


@dataclass(frozen=True)
class TraceNode:
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
    walk = Walk(snapshot, direction, only)
    origin = start if isinstance(start, Origin) else None
    begin = ORIGIN if origin is not None else start
    assert isinstance(begin, int)  # noqa: S101 - for the type checker
    depths, level = {begin: 0}, 0
    frontier: set[State] = {(begin, False)}
    if origin is not None:
        frontier, level = set(walk.begin(origin.first)), 1
        depths.update({node: 1 for node, _ in frontier})
    _spread(walk, depths, frontier, level, depth, progress)
    shown = _nearest(snapshot, begin, depths, limit)
    part = finish(snapshot, start, direction, shown, walk.edges.values())
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
    walk, depths = Walk(snapshot, Direction.DOWN, only), {edge.output: 1 for edge in first}
    _spread(walk, depths, {(node, False) for node in depths}, 1, None)
    shown = _nearest(snapshot, held.id, {held.id: 0, **depths}, limit)
    del shown[held.id]
    found = finish(snapshot, held.id, Direction.DOWN, shown, walk.edges.values())
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
            depths.setdefault(far, level)
        if progress is not None:
            progress(len(depths) - before)
        frontier = {(far, part) for (far, part), follow in found.items() if follow} - done


def _nearest(
    snapshot: Snapshot, begin: int, depths: dict[int, int], limit: int | None
) -> dict[int, int]:
    if limit is None or len(depths) <= limit + 1:
        return depths
    digests = query.digests(snapshot.connection, depths)
    others = sorted(depths.keys() - {begin}, key=lambda node: (depths[node], digests[node]))
    return {begin: 0, **{node: depths[node] for node in others[:limit]}}


class Walk:
    """Takes steps, and keeps the edges it took."""

    def __init__(self, snapshot: Snapshot, direction: Direction, only: Only = ANY) -> None:
        self.snapshot = snapshot
        self.down = direction is Direction.DOWN
        self.only = only
        self.edges: dict[tuple[int, int, str, str | None], TraceEdge] = {}
        self.asked: set[int] = set()  # nodes whose edges are known

    def begin(self, edges: Iterable[TraceEdge]) -> dict[State, bool]:
        """The first step, from what is no node."""
        found = {}
        for edge in edges:
            self._keep(edge)
            found[(edge.output if self.down else edge.input, False)] = True
        return found

    def step(self, frontier: set[State]) -> dict[State, bool]:
        """All states one step away from the frontier, and whether the walk goes on there."""
        found: dict[State, bool] = {}
        nodes = {node for node, _ in frontier} - self.asked
        self.asked |= nodes
        for edge in said(self.snapshot, nodes, down=self.down, only=self.only):
            self._keep(edge)
            state = (edge.output if self.down else edge.input, False)
            found[state] = found.get(state, False) or propagates(edge.relation)
        # A file reached as part of one artifact says nothing about others that contain it.
        whole = {node for node, part in frontier if not part}
        for part in query.containers(self.snapshot.connection, whole):
            ends = (part.blob_id, part.artifact_id)
            source, output = ends if self.down else ends[::-1]
            self._keep(TraceEdge(source, output, CONTAINS, path=part.path))
            found[(part.artifact_id, False)] = True
        if self.down:
            # And a file of what was reached, which was used by itself.
            for part in query.consumed_parts(self.snapshot.connection, nodes):
                self._keep(TraceEdge(part.artifact_id, part.blob_id, CONTAINS, path=part.path))
                found[(part.blob_id, True)] = True
        return found

    def _keep(self, edge: TraceEdge) -> None:
        self.edges[(edge.input, edge.output, edge.relation, edge.path)] = edge


def said(snapshot: Snapshot, nodes: Iterable[int], *, down: bool, only: Only) -> list[TraceEdge]:
    """The edges that statements say from these nodes, or to them, each with every word for it."""
    ask = query.edges_from if down else query.edges_into
    grouped: dict[tuple[int, int, str], dict[Digest, Word]] = {}
    known: dict[tuple[str | None, str, str | None, Times, Mark], Assurance] = {}
    signers: dict[str | None, str] = {}
    for row in ask(snapshot.connection, nodes):
        fact = row.fact
        # Most statements are by few signers: what they are worth is asked once for each kind.
        kind = fact.signer, fact.predicate_type, fact.name, fact.signed, row.mark
        if kind not in known:
            known[kind] = edge_worth(snapshot, row, None)
        if fact.signer not in signers:
            signers[fact.signer] = signer_label(snapshot, fact.signer)
        word = Word(known[kind], signers[fact.signer], fact, row.mark)
        words = grouped.setdefault((row.input_id, row.output_id, row.relation), {})
        words[row.fact.bundle] = word
    edges = (
        TraceEdge(source, output, relation, ordered(words.values()))
        for (source, output, relation), words in grouped.items()
    )
    return [edge for edge in edges if only.lets(edge)]


def word_of(snapshot: Snapshot, fact: Fact, worth: Assurance, mark: Mark = Mark.EXACT) -> Word:
    """A statement as evidence."""
    return Word(worth, signer_label(snapshot, fact.signer), fact, mark)


def ordered(words: Iterable[Word]) -> tuple[Word, ...]:
    """Strongest first."""
    every = tuple(words)
    if len(every) == 1:
        return every

    def rank(word: Word) -> tuple[int, int, int, Digest]:
        assurance, mark = _ORDER.index(word.assurance), _MARKS.index(word.mark)
        return assurance, mark, word.fact.n, word.fact.bundle

    return tuple(sorted(every, key=rank))


def finish(
    snapshot: Snapshot,
    start: int | Origin,
    direction: Direction,
    depths: Mapping[int, int],
    edges: Iterable[TraceEdge],
) -> Trace:
    """Dress the nodes with their names, and put everything in order."""
    connection = snapshot.connection
    digests = query.digests(connection, depths)
    versions = query.versions_of(connection, depths)
    stopped = marks.of(snapshot, depths.keys())
    nodes, erased = {}, by_node(snapshot)
    if isinstance(start, Origin):
        digests[ORIGIN] = Digest.of(start.text.encode())
        nodes[ORIGIN] = TraceNode(
            ORIGIN, digests[ORIGIN], start.text, start.kind, (), 0, quarantined=False
        )
    known = [node for node in depths if node not in nodes]
    place = {node: (one.algorithm, one.value) for node, one in digests.items()}
    for node in sorted(known, key=lambda node: (depths[node], place[node])):
        rows = versions.get(node, [])
        best = best_version(snapshot, rows)
        nodes[node] = TraceNode(
            id=node,
            digest=digests[node],
            label=label(snapshot, digests[node], list(map(called, rows))),
            kind=best.kind if best else None,
            names=tuple(sorted({str(row.name) for row in rows})),
            depth=depths[node],
            quarantined=bool(stopped.get(node, set()) - {marks.WAIVED}),
            erased=tuple(erased.get(node, ())),
            marks=tuple(sorted(stopped.get(node, ()))),
        )
    kept = [
        edge
        for edge in edges
        if edge.input in nodes and edge.output in nodes and not _leads_back(edge, depths, direction)
    ]
    kept.sort(key=lambda e: (place[e.input], place[e.output], e.relation, e.path or ""))
    begin = ORIGIN if isinstance(start, Origin) else start
    return Trace(begin, direction, nodes, tuple(kept), snapshot.n)


def _leads_back(edge: TraceEdge, depths: Mapping[int, int], direction: Direction) -> bool:
    """Whether it is the mirror of one that says the same and leads away from the start."""
    ends = (edge.input, edge.output) if direction is Direction.DOWN else (edge.output, edge.input)
    near, far = ((depths[end], end) for end in ends)
    return edge.relation == SAME_AS and near > far
