"""Traces: everything that came from a node, or that it came from, with the word for each edge.

Pessimistic: every edge is shown, marked with its assurance. Edges that carry
no taint (evaluated-on) are shown and not followed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from stemma_attestations.digest import Digest
from stemma_attestations.relations import propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage.deployments import Deployed
from stemma_registry.lineage.erased import by_node
from stemma_registry.lineage.status import edge_worth, in_force, quarantine_worth, signer_label
from stemma_registry.reference import best_version, labels
from stemma_registry.registry import Snapshot

CONTAINS = "contains"


class Direction(StrEnum):
    """Which way a trace goes."""

    DOWN = "down"
    UP = "up"


@dataclass(frozen=True)
class Word:
    """A statement that says an edge, what it is worth, and who signed it."""

    assurance: Assurance
    signer: str
    fact: Fact


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


@dataclass(frozen=True)
class TraceNode:
    """A node of a trace. `depth` is the shortest way from the start, in edges.

    `erased` says which of its bytes are gone on purpose, and why; `deployed` where it
    runs, where that was asked (`lineage.whereabouts`).
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


@dataclass(frozen=True)
class Trace:
    """The nodes that were reached and the edges among them, in a stable order."""

    start: int
    direction: Direction
    nodes: dict[int, TraceNode]
    edges: tuple[TraceEdge, ...]
    entry: int

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


def trace(snapshot: Snapshot, start: int, direction: Direction, depth: int | None = None) -> Trace:
    """Everything within `depth` edges (None: all) downstream or upstream of a node."""
    walk, depths = _Walk(snapshot, direction), {start: 0}
    _spread(walk, depths, {start}, depth)
    return _finish(snapshot, start, direction, depths, walk.edges.values())


def from_held(snapshot: Snapshot, held: TraceNode, into: Sequence[TraceEdge]) -> Trace:
    """Everything downstream of something that is no node of the catalogue, and what holds it.

    `held.id` is a number that no node has; `into` leads from it to those that hold it.
    """
    walk, depths = _Walk(snapshot, Direction.DOWN), {edge.output: 1 for edge in into}
    _spread(walk, depths, set(depths), None)
    found = _finish(snapshot, held.id, Direction.DOWN, depths, walk.edges.values())
    nodes = {held.id: held, **found.nodes}
    order = sorted(into, key=lambda edge: found.nodes[edge.output].digest)
    return replace(found, nodes=nodes, edges=(*order, *found.edges))


def _spread(walk: _Walk, depths: dict[int, int], frontier: set[int], depth: int | None) -> None:
    """Take steps from the frontier until there are none, at most `depth`; note how far it is."""
    done, level = set[int](), max(depths.values(), default=0)
    depth = None if depth is None else level + depth
    while frontier and (depth is None or level < depth):
        level += 1
        done |= frontier
        following: set[int] = set()
        for edge in walk.step(frontier):
            far = edge.output if walk.down else edge.input
            depths.setdefault(far, level)
            if edge.relation == CONTAINS or propagates(edge.relation):
                following.add(far)
        frontier = following - done


def between(snapshot: Snapshot, start: int, target: int) -> tuple[Trace, list[list[TraceEdge]]]:
    """How `target` came from `start`: the part of the graph between them, and evidence paths.

    The paths go from `start` to `target`, shortest first, at most `LIMITS.paths`.
    """
    down = trace(snapshot, start, Direction.DOWN)
    upward = _reachable(down.edges, target)
    edges = [e for e in down.edges if e.output in upward and e.input in upward]
    depths = {node: down.nodes[node].depth for node in upward if node in down.nodes}
    part = _finish(snapshot, start, Direction.DOWN, {start: 0, **depths}, edges)
    return part, _paths(part, start, target)


class _Walk:
    """Takes steps, and keeps the edges it took."""

    def __init__(self, snapshot: Snapshot, direction: Direction) -> None:
        self.snapshot = snapshot
        self.down = direction is Direction.DOWN
        self.edges: dict[tuple[int, int, str, str | None], TraceEdge] = {}
        self.parts: set[int] = set()  # blobs reached as files of an artifact

    def step(self, frontier: set[int]) -> list[TraceEdge]:
        """All edges one step away from the frontier."""
        found = [*self._said(frontier), *self._contained(frontier)]
        for edge in found:
            self.edges[(edge.input, edge.output, edge.relation, edge.path)] = edge
        return found

    def _said(self, frontier: set[int]) -> list[TraceEdge]:
        ask = query.edges_from if self.down else query.edges_into
        grouped: dict[tuple[int, int, str], dict[Digest, Word]] = {}
        for row in ask(self.snapshot.connection, frontier):
            worth = edge_worth(self.snapshot, row, None)
            word = Word(worth, signer_label(self.snapshot, row.fact.signer), row.fact)
            words = grouped.setdefault((row.input_id, row.output_id, row.relation), {})
            words[row.fact.bundle] = word
        return [
            TraceEdge(source, output, relation, _ordered(words.values()))
            for (source, output, relation), words in grouped.items()
        ]

    def _contained(self, frontier: set[int]) -> list[TraceEdge]:
        """Edges that follow from bytes.

        Downward from a blob to what contains it, and from an artifact to a file
        of it that was used by itself; upward from such a file to the artifacts
        it may come out of.
        """
        connection = self.snapshot.connection
        # A file reached as part of one artifact says nothing about others that contain it.
        whole = query.containers(connection, frontier - self.parts)
        found = []
        for part in whole:
            ends = (part.blob_id, part.artifact_id)
            source, output = ends if self.down else ends[::-1]
            found.append(TraceEdge(source, output, CONTAINS, path=part.path))
        if self.down:
            for part in query.consumed_parts(connection, frontier):
                self.parts.add(part.blob_id)
                found.append(TraceEdge(part.artifact_id, part.blob_id, CONTAINS, path=part.path))
        return found


def _ordered(words: Iterable[Word]) -> tuple[Word, ...]:
    order = list(Assurance)
    return tuple(sorted(words, key=lambda w: (order.index(w.assurance), w.fact.n, w.fact.bundle)))


def _finish(
    snapshot: Snapshot,
    start: int,
    direction: Direction,
    depths: dict[int, int],
    edges: Iterable[TraceEdge],
) -> Trace:
    """Dress the nodes with their names, and put everything in order."""
    connection = snapshot.connection
    digests = query.digests(connection, depths)
    versions = query.versions_of(connection, depths)
    shown = labels(snapshot, set(depths))
    stopped = {
        row.node_id
        for row in in_force(snapshot)
        if quarantine_worth(snapshot, row, None) is Assurance.ATTESTED
    }
    nodes, erased = {}, by_node(snapshot)
    for node, depth in sorted(depths.items(), key=lambda item: (item[1], digests[item[0]])):
        rows = versions.get(node, [])
        best = best_version(snapshot, rows)
        nodes[node] = TraceNode(
            id=node,
            digest=digests[node],
            label=shown[node],
            kind=best.kind if best else None,
            names=tuple(sorted({str(row.name) for row in rows})),
            depth=depth,
            quarantined=node in stopped,
            erased=tuple(erased.get(node, ())),
        )
    kept = [edge for edge in edges if edge.input in nodes and edge.output in nodes]
    kept.sort(key=lambda e: (digests[e.input], digests[e.output], e.relation, e.path or ""))
    return Trace(start, direction, nodes, tuple(kept), snapshot.n)


def _reachable(edges: Sequence[TraceEdge], target: int) -> set[int]:
    """The nodes from which `target` can be reached along `edges`, itself included."""
    into: dict[int, list[int]] = {}
    for edge in edges:
        into.setdefault(edge.output, []).append(edge.input)
    found, frontier = {target}, [target]
    while frontier:
        for source in into.get(frontier.pop(), []):
            if source not in found:
                found.add(source)
                frontier.append(source)
    return found


def _paths(part: Trace, start: int, target: int) -> list[list[TraceEdge]]:
    """Simple paths, shortest first, as many as the limit allows.

    Every node of the part leads to the target, so a path that is begun is
    seldom begun in vain, and the number looked at stays near the number found.
    """
    found: list[list[TraceEdge]] = []
    level: list[list[TraceEdge]] = [[]]
    while level and len(found) < LIMITS.paths:
        longer: list[list[TraceEdge]] = []
        for path in level:
            end = path[-1].output if path else start
            if end == target:
                found.append(path)
                continue
            seen = {start, *(edge.output for edge in path)}
            longer += [[*path, edge] for edge in part.beyond(end) if edge.output not in seen]
        level = longer[: 100 * LIMITS.paths]
    return found[: LIMITS.paths]
