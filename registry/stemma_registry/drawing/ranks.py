"""Ranks for a layered drawing: circles broken, then the longest way from the start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Pair = tuple[int, int]


def acyclic(start: int, pairs: Sequence[Pair]) -> list[Pair]:
    """`pairs` with those turned round that close a circle; loops are left out.

    Depth first from the start, by hand: a chain may be longer than Python's stack.
    """
    beyond: dict[int, list[int]] = {}
    for near, far in pairs:
        if near != far:
            beyond.setdefault(near, []).append(far)
    turned: set[Pair] = set()
    done: set[int] = set()
    for root in [start, *sorted(beyond)]:
        if root not in done:
            _search(root, beyond, done, turned)
    kept = ((far, near) if (near, far) in turned else (near, far) for near, far in pairs)
    return list(dict.fromkeys((near, far) for near, far in kept if near != far))


def _search(root: int, beyond: Mapping[int, list[int]], done: set[int], turned: set[Pair]) -> None:
    """Find the pairs that lead back to where the search is coming from."""
    under_way = {root}
    stack = [(root, iter(beyond.get(root, ())))]
    while stack:
        node, following = stack[-1]
        for far in following:
            if far in under_way:
                turned.add((node, far))
            elif far not in done:
                under_way.add(far)
                stack.append((far, iter(beyond.get(far, ()))))
                break
        else:
            stack.pop()
            under_way.discard(node)
            done.add(node)


def ranks(nodes: Sequence[int], pairs: Sequence[Pair]) -> dict[int, int]:
    """Node -> the most pairs on a way to it. `pairs` have no circle."""
    beyond: dict[int, list[int]] = {}
    waiting = dict.fromkeys(nodes, 0)
    for near, far in pairs:
        beyond.setdefault(near, []).append(far)
        waiting[far] += 1
    found = dict.fromkeys(nodes, 0)
    ready = [node for node in nodes if not waiting[node]]
    for node in ready:  # it grows
        for far in beyond.get(node, ()):
            found[far] = max(found[far], found[node] + 1)
            waiting[far] -= 1
            if not waiting[far]:
                ready.append(far)
    return found
