"""Git commits that statements speak about."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection, select

from stemma_registry.catalogue import tables as t

_AT_ONCE = 500
_COMMITS = select(t.node.c.id, t.node.c.value).where(t.node.c.scheme == "gitCommit")


def everyone(connection: Connection) -> dict[str, int]:
    """The nodes of all commits that are known, by their ids."""
    return {value: node for node, value in connection.execute(_COMMITS)}


def among(connection: Connection, ids: Iterable[str]) -> dict[str, int]:
    """The nodes of those of these commits that are known."""
    wanted, found = sorted(set(ids)), dict[str, int]()
    for start in range(0, len(wanted), _AT_ONCE):
        part = wanted[start : start + _AT_ONCE]
        rows = connection.execute(_COMMITS.where(t.is_one_of(t.node.c.value, part)))
        found.update((value, node) for node, value in rows)
    return found
