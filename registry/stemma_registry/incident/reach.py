"""What bad inputs reached, as one graph.

Every edge is walked, and then looked at under the trust root: what is reached on believed
words only (`attested`, or bytes) is affected; the rest is suspect. So a stranger's edge shows,
and neither adds a step to a plan nor changes the order of one.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations.errors import Undecided
from stemma_attestations.relations import CONTAINS, propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage.status import worths
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class Link:
    """`output` came from `input`, by its strongest word (None for what follows from bytes)."""

    input: int
    output: int
    relation: str
    assurance: Assurance
    fact: Fact | None = None
    path: str | None = None

    @property
    def carries(self) -> bool:
        """Whether what is bad flows along it."""
        return self.relation == CONTAINS or propagates(self.relation)

    @property
    def believed(self) -> bool:
        """Whether it counts under the trust root."""
        return self.assurance in (Assurance.ATTESTED, Assurance.CONTAINS)


@dataclass(frozen=True)
class Reach:
    """`affected`, `suspect` and `beside`: node -> the last link of a shortest way to it.

    `beside` is what was only measured (`evaluated-on`) with something bad. `origin` says for
    each affected node from which start it was reached first; `pessimistic` are the last links
    whoever said them.
    """

    starts: frozenset[int]
    links: tuple[Link, ...]
    affected: Mapping[int, Link]
    suspect: Mapping[int, Link]
    beside: Mapping[int, Link]
    origin: Mapping[int, int]
    pessimistic: Mapping[int, Link]

    def way(self, node: int) -> list[Link]:
        """A shortest way from a start to something affected or suspect."""
        found: list[Link] = []
        last = self.affected if node in self.affected else self.pessimistic
        while node not in self.starts:
            link = last[node]
            found.append(link)
            node = link.input
        return found[::-1]


def reach(view: Snapshot, starts: Iterable[int], without: Iterable[int] = ()) -> Reach:
    """Everything below the starts, as if `without` were not there.

    Raises Undecided past `LIMITS.ancestors` nodes.
    """
    gone = frozenset(without)
    begin = frozenset(starts) - gone
    sure, everything = _walk(view, begin, gone, True), _walk(view, begin, gone, False)
    suspect = {node: link for node, link in everything.last.items() if node not in sure.last}
    links = _in_order(view, {**everything.links, **sure.links})
    beside: dict[int, Link] = {}
    for link in links:
        if link.output not in everything.origin and link.output not in sure.origin:
            beside.setdefault(link.output, link)
    return Reach(begin, links, sure.last, suspect, beside, sure.origin, everything.last)


@dataclass
class _Walked:
    """What one walk found; `origin` has the starts too."""

    links: dict[tuple[int, int, str, str | None], Link]
    last: dict[int, Link]
    origin: dict[int, int]


def _walk(view: Snapshot, starts: frozenset[int], gone: frozenset[int], believed: bool) -> _Walked:
    """Level by level, along every link that carries something, or the believed ones of these.

    What contains a file is asked where the file itself is bad: not where it was reached as a
    part of an artifact, which says nothing about others that contain it.
    """
    walked = _Walked({}, {}, {start: start for start in sorted(starts)})
    frontier, whole, opened = set(starts), set(starts), set[int]()
    while frontier or whole:
        if len(walked.origin) > LIMITS.ancestors:
            raise Undecided(f"more than {LIMITS.ancestors} nodes; the limit is a named one")
        step = [*_said(view, frontier), *_parts(view, frontier), *_containers(view, whole)]
        opened |= whole
        frontier, whole = set(), set()
        for link in _in_order(view, {_key(one): one for one in step}):
            walked.links[_key(link)] = link
            if not link.carries or link.output in gone or (believed and not link.believed):
                continue
            if link.output not in walked.origin:
                walked.last[link.output] = link
                walked.origin[link.output] = walked.origin[link.input]
                frontier.add(link.output)
            if link.relation != CONTAINS and link.output not in opened:
                whole.add(link.output)
    return walked


def _key(link: Link) -> tuple[int, int, str, str | None]:
    return link.input, link.output, link.relation, link.path


def _in_order(
    view: Snapshot, links: Mapping[tuple[int, int, str, str | None], Link]
) -> tuple[Link, ...]:
    """The same order every time, whatever the numbers of the nodes are."""
    known = query.digests(view.connection, {end for key in links for end in key[:2]})
    order = {node: str(digest) for node, digest in known.items()}
    found = links.values()
    return tuple(
        sorted(found, key=lambda e: (order[e.input], order[e.output], e.relation, e.path or ""))
    )


def _said(view: Snapshot, frontier: set[int]) -> list[Link]:
    rank = list(Assurance)
    found: dict[tuple[int, int, str], Link] = {}
    rows = query.edges_from(view.connection, frontier)
    for row, worth in zip(rows, worths(view, rows), strict=True):
        key = (row.input_id, row.output_id, row.relation)
        known = found.get(key)
        if known is None or rank.index(worth) < rank.index(known.assurance):
            found[key] = Link(*key, worth, row.fact)
    return list(found.values())


def _parts(view: Snapshot, frontier: set[int]) -> list[Link]:
    """From an artifact to files of it that something was made from directly."""
    return [
        Link(part.artifact_id, part.blob_id, CONTAINS, Assurance.CONTAINS, path=part.path)
        for part in query.consumed_parts(view.connection, frontier)
    ]


def _containers(view: Snapshot, whole: set[int]) -> list[Link]:
    """From a blob to what contains it."""
    return [
        Link(part.blob_id, part.artifact_id, CONTAINS, Assurance.CONTAINS, path=part.path)
        for part in query.containers(view.connection, whole)
    ]


def ordered(found: Reach, rank: Mapping[int, str]) -> list[list[int]]:
    """The affected nodes, each after those that it came from; what came from itself together.

    Ties are broken by `rank`, so that the order is the same every time.
    """
    pairs = {
        (link.input, link.output)
        for link in found.links
        if link.carries and link.believed and link.input in found.affected
        if link.output in found.affected and link.input != link.output
    }
    return in_order(list(found.affected), sorted(pairs), rank)


def in_order(
    nodes: Sequence[int], pairs: Sequence[tuple[int, int]], rank: Mapping[int, str]
) -> list[list[int]]:
    """Groups of nodes such that every pair leads to the same or a later group."""
    beyond: dict[int, list[int]] = {}
    for near, far in pairs:
        beyond.setdefault(near, []).append(far)
    groups = [sorted(group, key=rank.__getitem__) for group in circles(nodes, beyond)]
    group_of = {node: i for i, group in enumerate(groups) for node in group}
    across = {(group_of[a], group_of[b]) for a, b in pairs if group_of[a] != group_of[b]}
    waiting = [0] * len(groups)
    following: dict[int, list[int]] = {}
    for near, far in sorted(across):
        waiting[far] += 1
        following.setdefault(near, []).append(far)
    ready = [(rank[groups[i][0]], i) for i, count in enumerate(waiting) if not count]
    heapq.heapify(ready)
    done = []
    while ready:
        _, i = heapq.heappop(ready)
        done.append(groups[i])
        for far in following.get(i, ()):
            waiting[far] -= 1
            if not waiting[far]:
                heapq.heappush(ready, (rank[groups[far][0]], far))
    return done


def circles(nodes: Sequence[int], beyond: Mapping[int, Sequence[int]]) -> list[list[int]]:
    """The strongly connected components (Kosaraju), by hand: chains may be long."""
    back: dict[int, list[int]] = {}
    for near, fars in beyond.items():
        for far in fars:
            back.setdefault(far, []).append(near)
    left: list[int] = []
    seen: set[int] = set()
    for root in nodes:
        left += _left_behind(root, beyond, seen)
    seen, found = set(), []
    for root in reversed(left):
        group = _left_behind(root, back, seen)
        if group:
            found.append(group)
    return found


def _left_behind(root: int, beyond: Mapping[int, Sequence[int]], seen: set[int]) -> list[int]:
    """Nodes that are reached from `root` and were not seen, in the order they are left."""
    if root in seen:
        return []
    seen.add(root)
    order, stack = [], [(root, iter(beyond.get(root, ())))]
    while stack:
        node, following = stack[-1]
        for far in following:
            if far not in seen:
                seen.add(far)
                stack.append((far, iter(beyond.get(far, ()))))
                break
        else:
            stack.pop()
            order.append(node)
    return order
