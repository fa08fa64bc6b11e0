"""The walk of `descent` over arrays: a level at a time, whatever its width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from stemma_attestations.relations import propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import tables as t
from stemma_registry.lineage.csr import Layer

if TYPE_CHECKING:
    from stemma_registry.lineage.descent import Descendant

Array = np.ndarray[Any, np.dtype[Any]]
CONTAINS = "contains"
_ORDER = tuple(Assurance)


class Worth(Protocol):
    """What edges are worth."""

    known: dict[int, Assurance | None]

    def one(self, statement: int, output: int) -> Assurance:
        """Of one edge, whose statement was learned."""
        ...

    def learn(self, statements: Sequence[int]) -> None:
        """What statements are worth."""
        ...


def walk(worth: Worth, layers: Sequence[Layer], start: int) -> list[Descendant]:
    """Everything below a node, nearest first."""
    ground = _Ground(worth, layers, start)
    frontier, level, found = np.array([start], np.int64), 0, []
    while len(frontier):
        level += 1
        ground.done[frontier] = True
        rows = ground.below(frontier)
        found += ground.nearest(rows, level)
        to, relation = rows[1], rows[3]
        on = np.unique(to[ground.flows[relation]])
        frontier = on[~ground.done[on]]
    return found


class _Ground:
    """Where the walk has been, and what the relations of all layers are called."""

    def __init__(self, worth: Worth, layers: Sequence[Layer], start: int) -> None:
        read = t.edge.c.relation.type.process_result_value  # type: ignore[attr-defined]
        self.worth, self.layers = worth, layers
        self.words = list(
            dict.fromkeys([CONTAINS, *(read(w, None) for x in layers for w in x.words)])
        )
        self.coded = [
            np.array([self.words.index(read(w, None)) for w in x.words], np.int64) for x in layers
        ]
        self.flows = np.array([word == CONTAINS or propagates(word) for word in self.words])
        # Ids of relations by their name: what decides between edges that are worth the same.
        self.by_name = np.argsort(np.argsort(self.words))
        size = max(len(layer.arrays["first"]) for layer in layers) + 1
        self.done, self.seen, self.parts = (np.zeros(size, bool) for _ in range(3))
        self.seen[start] = True

    def below(self, frontier: Array) -> tuple[Array, Array, Array, Array]:
        """All edges one step down: input, output, statement, relation."""
        parts: list[tuple[Array, Array, Array, Array]] = []
        for layer, coded in zip(self.layers, self.coded, strict=True):
            source, to, statement, relation = layer.below(frontier)
            kinds = coded[relation] if len(coded) else relation.astype(np.int64)
            parts.append((source, to, statement, kinds))
        whole = frontier[~self.parts[frontier]]
        steps: list[tuple[Callable[[Layer], tuple[Array, Array]], bool]] = [
            (lambda layer: layer.held(whole), False),
            (lambda layer: layer.used(frontier), True),
        ]
        for step, is_part in steps:
            for layer in self.layers:
                source, to = step(layer)
                zeros = np.zeros(len(to), np.int64)
                parts.append((source, to, zeros, zeros))
                if is_part:
                    self.parts[to] = True
        source, to, statement, relation = (
            np.concatenate(column) for column in zip(*parts, strict=True)
        )
        return source, to, statement, relation

    def nearest(self, rows: tuple[Array, Array, Array, Array], level: int) -> list[Descendant]:
        """The nodes that were not seen before, each by the edge that is worth most."""
        from stemma_registry.lineage.descent import Descendant

        new = ~self.seen[rows[1]]
        source, to, statement, relation = (column[new] for column in rows)
        worth = self._worth(statement, to)
        order = np.lexsort((self.by_name[relation], statement, source, worth, to))
        to = to[order]
        first = np.concatenate([[True], to[1:] != to[:-1]]) if len(to) else np.zeros(0, bool)
        at = order[first]
        nodes = to[first]
        self.seen[nodes] = True
        columns = (nodes, source[at], relation[at], statement[at], worth[at])
        return [
            Descendant(node, level, parent, self.words[kind], said, _ORDER[rank])
            for node, parent, kind, said, rank in zip(*(c.tolist() for c in columns), strict=True)
        ]

    def _worth(self, statement: Array, to: Array) -> Array:
        """Places in the order of assurances."""
        said, place = np.unique(statement, return_inverse=True)
        asked = [int(one) for one in said]
        self.worth.learn(asked)
        known = [Assurance.CONTAINS if not one else self.worth.known[one] for one in asked]
        ranks = np.array(
            [-1 if worth is None else _ORDER.index(worth) for worth in known], np.int64
        )
        found = ranks[place] if len(ranks) else np.zeros(0, np.int64)
        for at in np.flatnonzero(found < 0).tolist():
            found[at] = _ORDER.index(self.worth.one(int(statement[at]), int(to[at])))
        return found
