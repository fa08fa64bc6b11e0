"""What a walk will ask for, fetched before it does: the nodes around its start, nearest first.

Asking at each step costs more than what the steps find, which is a few rows each. So one
recursive query says which nodes a walk may come to, and each kind of row is fetched for all of
them at once. Nothing rests on that: of a node that was not foreseen the rows are asked for when
the walk is there, and those of one that was foreseen in vain are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, TypeVar

from sqlalchemy import Connection

from stemma_attestations.relations import RELATIONS, propagates
from stemma_registry.catalogue import bulk
from stemma_registry.catalogue.columns import CODES

NODES = 2_000  # so far a walk looks ahead
Row = TypeVar("Row")

# What is only shown leads no further.
_IDLE = ", ".join(f"'{CODES[one]}'" for one in RELATIONS if not propagates(one))
_HOLDERS = ("m.artifact_id, 0", "manifest_entry m", "m.blob_id = met.id AND met.part = 0")
_FILES = ("manifest_entry m", "m.artifact_id = met.id AND EXISTS (SELECT 1 FROM edge x WHERE {})")
# The steps of a walk: what it comes to (and whether that is a file, reached as one of an
# artifact, which says nothing of others that hold it), from which rows.
_STEPS = {
    True: (  # down: what came from a node, what holds it, its files that something came from
        ("e.output_id, 0", "edge e", f"e.input_id = met.id AND e.relation NOT IN ({_IDLE})"),
        _HOLDERS,
        ("m.blob_id, 1", _FILES[0], _FILES[1].format("x.input_id = m.blob_id")),
    ),
    False: (  # up: what a node came from, what holds it, its files that came from something
        ("e.input_id, 0", "edge e", f"e.output_id = met.id AND e.relation NOT IN ({_IDLE})"),
        _HOLDERS,
        ("m.blob_id, 0", _FILES[0], _FILES[1].format("x.output_id = m.blob_id")),
    ),
}


def _sqlite(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = "".join(
        f" UNION SELECT {to} FROM met CROSS JOIN {rows} ON met.id <> :end AND {which}"  # noqa: S608
        for to, rows, which in steps
    )
    first = "SELECT value, 0 FROM json_each(:listed)"
    return f"WITH RECURSIVE met(id, part) AS ({first}{arms}) SELECT id FROM met LIMIT :most"  # noqa: S608


def _postgresql(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = " UNION ALL ".join(
        f"SELECT {to} FROM {rows} WHERE met.id <> :end AND {which}"  # noqa: S608 - ours
        for to, rows, which in steps
    )
    first = "SELECT one, 0 FROM unnest(CAST(:listed AS bigint[])) AS one"
    # It takes one recursive part, and no more.
    more = f"SELECT far.id, far.part FROM met CROSS JOIN LATERAL ({arms}) AS far(id, part)"  # noqa: S608
    return f"WITH RECURSIVE met(id, part) AS ({first} UNION {more}) SELECT id FROM met LIMIT :most"  # noqa: S608


_QUERIES = {
    (name, down): spell(steps)
    for name, spell in (("sqlite", _sqlite), ("postgresql", _postgresql))
    for down, steps in _STEPS.items()
}


def around(
    connection: Connection, start: Collection[int], *, down: bool, end: int = 0
) -> frozenset[int]:
    """The nodes that a walk may come to, at most `NODES`: not beyond `end`.

    None where it starts from none, or from so many that one step of it is worth its question.
    """
    if not 0 < len(start) <= NODES:
        return frozenset()
    asked = _QUERIES[connection.dialect.name, down]
    listed = bulk.listed(connection, sorted(start))
    rows = bulk.ask(connection, asked, listed=listed, end=end, most=NODES)
    return frozenset(node for (node,) in rows)


class Ahead(Generic[Row]):
    """Rows by the nodes that they are asked of, fetched at once for those that are foreseen."""

    def __init__(
        self,
        ask: Callable[[Collection[int]], Iterable[Row]],
        of: Callable[[Row], int],
        foreseen: frozenset[int],
    ) -> None:
        self._ask = ask
        self._foreseen = foreseen
        self._rows: dict[int, list[Row]] = {}
        for row in ask(foreseen) if foreseen else ():
            self._rows.setdefault(of(row), []).append(row)

    def of(self, nodes: Collection[int]) -> list[Row]:
        """The rows of these nodes."""
        found = [row for node in nodes for row in self._rows.get(node, ())]
        others = [node for node in nodes if node not in self._foreseen]
        if others:
            found += self._ask(others)
        return found
