"""The order of what a trace shows: the same whatever the database gives first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, TypeVar

from stemma_attestations.digest import Digest

Edge = TypeVar("Edge", bound=tuple[int, int, str, Any, str | None])
_BY_DIGEST = attrgetter("algorithm", "value")


def by_digest(digests: Mapping[int, Digest], nodes: Iterable[int]) -> list[int]:
    """Nodes by their digests."""
    if len({digest.algorithm for digest in digests.values()}) == 1:  # as mostly, and that is faster
        values = {node: digest.value for node, digest in digests.items()}
        return sorted(nodes, key=values.__getitem__)
    return sorted(nodes, key=lambda node: _BY_DIGEST(digests[node]))


def by_ends(edges: Sequence[Edge], order: Sequence[int]) -> list[Edge]:
    """Edges (input, output, relation, words, path) by their ends, as these are in `order`.

    Those that have both in common by what they say.
    """
    place, many = {node: number for number, node in enumerate(order)}, len(order)
    keys = [place[source] * many + place[output] for source, output, _, _, _ in edges]
    if len(set(keys)) == len(keys):  # as mostly
        return [edge for _, edge in sorted(zip(keys, edges, strict=True))]
    both = sorted(
        zip(keys, edges, strict=True), key=lambda one: (one[0], one[1][2], one[1][4] or "")
    )
    return [edge for _, edge in both]
