"""The walk of `descent` over arrays: a level at a time, whatever its width, lines and all."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from stemma_attestations.relations import CONTAINS, propagates
from stemma_registry.catalogue import tables as t
from stemma_registry.lineage import descent
from stemma_registry.lineage.csr import WIDTH, Layer
from stemma_registry.lineage.descent import AT_ONCE, Block
from stemma_registry.lineage.worth import BY_NAME, CLAIMED, CONTAINED, ORDER

if TYPE_CHECKING:
    from stemma_registry.lineage.worth import Said, Worth

Array = np.ndarray[Any, np.dtype[Any]]
Columns = tuple[Array, ...]  # input, output, statement, relation, by a name, worth
_RANKS = len(ORDER)
_HEX = np.frombuffer("".join(f"{byte:02x}" for byte in range(256)).encode(), np.uint16)


def walk(
    worth: Worth, layers: Sequence[Layer], start: int, depth: int | None, stopped: set[int]
) -> Iterator[Block]:
    """The lines about everything below a node, nearest first."""
    ground = _Ground(worth, layers, start, stopped)
    frontier, level = np.array([start], np.int64), 0
    whole = frontier
    while (len(frontier) or len(whole)) and (depth is None or level < depth):
        level += 1
        ground.done[frontier], ground.opened[whole] = True, True
        rows, parts = ground.below(frontier, whole)
        yield from ground.lines(ground.nearest(rows), level)
        flows = ground.flows[rows[3]]
        widely = on = np.unique(rows[1][flows])
        if parts < len(flows):
            widely = np.unique(rows[1][:parts][flows[:parts]])
        frontier, whole = on[~ground.done[on]], widely[~ground.opened[widely]]


class _Ground:
    """Where the walk has been, and what the relations of all layers are called."""

    def __init__(
        self, worth: Worth, layers: Sequence[Layer], start: int, stopped: set[int]
    ) -> None:
        read = t.edge.c.relation.type.process_result_value  # type: ignore[attr-defined]
        said = [[str(read(word, None)) for word in layer.words] for layer in layers]
        self.worth, self.layers = worth, layers
        # In the order of their names, which decides between edges that are worth the same.
        self.words = sorted({CONTAINS, *(word for words in said for word in words)})
        self.coded = [np.array([self.words.index(w) for w in words], np.int64) for words in said]
        self.contains = self.words.index(CONTAINS)
        self.flows = np.array([word == CONTAINS or propagates(word) for word in self.words])
        size = max(len(layer.arrays["first"]) for layer in layers) + 1
        # A file that was reached as a part of one artifact may be reached as a whole later.
        self.done, self.seen, self.opened = (np.zeros(size, bool) for _ in range(3))
        self.seen[start] = True
        self.stopped = np.array(sorted(stopped), np.int64)

    def below(self, frontier: Array, whole: Array) -> tuple[Columns, int]:
        """All edges one step down, and how many of them, the first, do not lead to mere parts.

        Of `whole` what contains them, and of the frontier what else there is.
        """
        parts: list[Columns] = []
        for layer, coded in zip(self.layers, self.coded, strict=True):
            source, to, statement, relation, named = layer.below(frontier)
            kinds = coded[relation] if len(coded) else relation.astype(np.int64)
            parts.append((source, to.astype(np.int64), statement, kinds, named))
        steps: list[Callable[[Layer], tuple[Array, Array]]] = [
            lambda layer: layer.held(whole),
            lambda layer: layer.used(frontier),
        ]
        before = 0
        for step in steps:
            before = sum(len(columns[0]) for columns in parts)
            for layer in self.layers:
                source, to = step(layer)
                zeros, kinds = np.zeros(len(to), np.int32), np.full(len(to), self.contains)
                parts.append((source, to.astype(np.int64), zeros, kinds, zeros.astype(np.uint8)))
        return tuple(np.concatenate(column) for column in zip(*parts, strict=True)), before

    def nearest(self, rows: Columns) -> Columns:
        """The edges to nodes that were not seen before, of each the one that is worth most."""
        new = ~self.seen[rows[1]]
        source, to, statement, relation, named = (column[new] for column in rows)
        rank = self._ranks(statement, to, named)
        if len(self.layers) > 1 or (relation == self.contains).any():
            # One layer has its edges in this order.
            order = np.lexsort((statement, relation, source))
            columns = (source, to, statement, relation, named, rank)
            source, to, statement, relation, named, rank = (c[order] for c in columns)
        # One number says what is sorted by, and where it was.
        key = np.sort((to * _RANKS + rank << 32) + np.arange(len(to)))
        to_sorted = (key >> 32) // _RANKS
        first = np.concatenate([[True], to_sorted[1:] != to_sorted[:-1]])[: len(to)]
        at = key[first] & 0xFFFFFFFF
        self.seen[to[at]] = True
        return tuple(column[at] for column in (source, to, statement, relation, named, rank))

    def _ranks(self, statement: Array, to: Array, named: Array) -> Array:
        """Places in the order of assurances."""
        said, place = np.unique(statement, return_inverse=True)
        asked = [int(one) for one in said]
        self.worth.learn(asked)
        known = [self.worth.said[one].rank if one else CONTAINED for one in asked]
        found = np.array(known, np.int64)[place] if asked else np.zeros(0, np.int64)
        found[(named > 0) & (statement > 0)] = CLAIMED
        if (at := np.flatnonzero(found == BY_NAME)).size:
            pairs = zip(statement[at].tolist(), to[at].tolist(), strict=True)
            found[at] = self.worth.named(list(pairs))
        return found

    def lines(self, rows: Columns, depth: int) -> Iterator[Block]:
        """What is said about one distance, in the order of `descent.Lines`."""
        source, to, statement, relation, _, rank = rows
        if not len(to):
            return
        plain, value = self._digests(to)
        known, parent = self._digests(source)
        said, place = np.unique(statement, return_inverse=True)
        facts = [self.worth.said.get(int(one)) for one in said]
        halted, named = np.isin(to, self.stopped), ~(plain & known)
        group = ((relation * _RANKS + rank) * (len(facts) + 1) + _signers(facts)[place]) * 4
        group += halted * 2 + named
        head = np.ascontiguousarray(value[:, :8]).view(">u8").reshape(-1)
        order = np.lexsort((head, group))
        bundles = np.frombuffer(
            b"".join(fact.bundle if fact else bytes(WIDTH) for fact in facts), np.uint8
        ).reshape(-1, WIDTH)
        for group_of in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
            one = int(group_of[0])
            if named[one]:
                yield from self._by_names(group_of, rows, depth)
                continue
            at, fact = _by_digest(group_of, head, value), facts[int(place[one])]
            first, middle, third, fourth, end = descent.template(
                depth,
                self.words[int(relation[one])],
                ORDER[int(rank[one])],
                fact.signer if fact else None,
            )
            last = fourth + ("true" if halted[one] else "false") + end
            for start in range(0, len(at), AT_ONCE):
                some = at[start : start + AT_ONCE]
                bundle: list[str | Array] = [f"null{last}"]
                if fact:
                    bundle = [bundles[place[some]], f'"{last}']
                opening = '"sha256:' if fact else ""
                pieces: list[str | Array] = [
                    f"{first}sha256:",
                    value[some],
                    f"{middle}sha256:",
                    parent[some],
                ]
                pieces += [third + opening, *bundle]
                yield Block(len(some), _records(len(some), pieces))

    def _digests(self, nodes: Array) -> tuple[Array, Array]:
        """Which are known by their SHA-256, and what it is."""
        plain, value = np.zeros(len(nodes), bool), np.zeros((len(nodes), WIDTH), np.uint8)
        for layer in self.layers:
            here = np.flatnonzero(
                (nodes >= layer.low) & (nodes < layer.low + len(layer.arrays["plain"]))
            )
            at = nodes[here] - layer.low
            plain[here] = layer.arrays["plain"][at] > 0
            value[here] = layer.arrays["value"].reshape(-1, WIDTH)[at]
        return plain, value

    def _by_names(self, at: Array, rows: Columns, depth: int) -> Iterator[Block]:
        """The same of what is not known by a SHA-256 alone."""
        found = {
            node: (rank, parent, self.words[kind], statement)
            for parent, node, statement, kind, _, rank in zip(
                *(column[at].tolist() for column in rows), strict=True
            )
        }
        return descent.Lines(self.worth, set(self.stopped.tolist())).about(found, depth)


def _signers(facts: Sequence[Said | None]) -> Array:
    """The place of each one's signer among all of them, as `descent.Lines` sorts them."""
    keys = [
        ("", True) if fact is None else (fact.signer or "", fact.signer is None) for fact in facts
    ]
    places = {key: place for place, key in enumerate(sorted(set(keys)))}
    return np.array([places[key] for key in keys], np.int64)


def _by_digest(at: Array, head: Array, value: Array) -> Array:
    """These, which are sorted by the heads of their digests, sorted by the whole."""
    heads = head[at]
    if (heads[1:] == heads[:-1]).any():
        return np.array(sorted(at.tolist(), key=lambda one: value[one].tobytes()), np.int64)
    return at


def _records(count: int, pieces: Sequence[str | Array]) -> bytes:
    """So many lines of one length: texts that all have, and bytes as hex digits."""
    raw = [one.encode() if isinstance(one, str) else one for one in pieces]
    sizes = [len(one) if isinstance(one, bytes) else 2 * WIDTH for one in raw]
    lines, at = np.empty((count, sum(sizes)), np.uint8), 0
    for one, size in zip(raw, sizes, strict=True):
        if isinstance(one, bytes):
            lines[:, at : at + size] = np.frombuffer(one, np.uint8)
        else:
            lines[:, at : at + size] = np.take(_HEX, one).view(np.uint8)
        at += size
    return lines.tobytes()
