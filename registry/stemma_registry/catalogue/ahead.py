"""What a walk will ask for, fetched before it does: the nodes around its start, nearest first.

Asking at each step costs more than what the steps find, which is a few rows each. So one
recursive query says which nodes a walk may come to, and each kind of row is fetched for all of
them at once. Nothing rests on that: of a node that was not foreseen the rows are asked for when
the walk is there, and those of one that was foreseen in vain are never looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Connection

from stemma_attestations.relations import RELATIONS, propagates
from stemma_registry.catalogue import bulk
from stemma_registry.catalogue.columns import CODES

NODES = 2_000  # so far a walk looks ahead
Row = TypeVar("Row")

# What is only shown leads no further.
_IDLE = ", ".join(f"'{CODES[one]}'" for one in RELATIONS if not propagates(one))
_HOLDERS = ("m.artifact_id, 2", "manifest_entry m", "m.blob_id = met.id AND met.part <> 1")
_USED = "m.artifact_id = met.id AND EXISTS (SELECT 1 FROM edge x WHERE x.input_id = m.blob_id)"
# The steps of a walk: what it comes to (and whether that is a file (1), reached as one of an
# artifact, which says nothing of others that hold it, or holds what it came from (2)), from
# which rows.
_STEPS = {
    True: (  # down: what came from a node, what holds it, its files that something came from
        ("e.output_id, 0", "edge e", f"e.input_id = met.id AND e.relation NOT IN ({_IDLE})"),
        _HOLDERS,
        ("m.blob_id, 1", "manifest_entry m", _USED),
    ),
    False: (  # up: what a node came from, what holds it, its files that came from something
        ("e.input_id, 0", "edge e", f"e.output_id = met.id AND e.relation NOT IN ({_IDLE})"),
        _HOLDERS,
        ("m.blob_id, 1", "made m", "m.artifact_id = met.id"),
    ),
}


_MET = "SELECT id, part FROM met LIMIT :most"


def _sqlite(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = "".join(
        f" UNION SELECT {to} FROM met CROSS JOIN {rows} ON met.id <> :end AND {which}"  # noqa: S608
        for to, rows, which in steps
    )
    first = "SELECT value, 0 FROM json_each(:listed)"
    return f"WITH RECURSIVE met(id, part) AS ({first}{arms}) {_MET}"


def _postgresql(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = " UNION ALL ".join(
        f"SELECT {to} FROM {rows} WHERE met.id <> :end AND {which}"  # noqa: S608 - ours
        for to, rows, which in steps
    )
    # Behind a SELECT, see `bulk.AMONG`.
    first = "SELECT one, 0 FROM unnest((SELECT CAST(:listed AS bigint[]))) AS one"
    # It takes one recursive part, and no more.
    more = f"SELECT far.id, far.part FROM met CROSS JOIN LATERAL ({arms}) AS far(id, part)"  # noqa: S608
    return f"WITH RECURSIVE met(id, part) AS ({first} UNION {more}) {_MET}"


_QUERIES = {
    (name, down): spell(steps)
    for name, spell in (("sqlite", _sqlite), ("postgresql", _postgresql))
    for down, steps in _STEPS.items()
}


class Near(NamedTuple):
    """The nodes that a walk may come to; whether any of them may be held, or be reached as a file.

    Not beyond an `end`, where there is one.
    """

    nodes: frozenset[int] = frozenset()
    held: bool = True
    inside: bool = True


def around(connection: Connection, start: Collection[int], *, down: bool, end: int = 0) -> Near:
    """The nodes that a walk may come to, at most `NODES`: not beyond `end`.

    None where it starts from none, or from so many that one step of it is worth its question.
    """
    if not 0 < len(start) <= NODES:
        return Near()
    asked = _QUERIES[connection.dialect.name, down]
    listed = bulk.listed(connection, sorted(start))
    rows = bulk.ask(connection, asked, listed=listed, end=end, most=NODES)
    nodes, how = map(frozenset[int], zip(*rows, strict=True))
    cut = len(rows) == NODES
    return Near(nodes, cut or 2 in how, cut or 1 in how)


class Ahead(Generic[Row]):
    """Rows by the nodes that they are asked of, fetched at once for those that are foreseen.

    Not where it is known that these have `none`.
    """

    def __init__(
        self,
        ask: Callable[[Collection[int]], Iterable[Row]],
        of: Callable[[Row], int],
        foreseen: frozenset[int],
        *,
        none: bool = False,
    ) -> None:
        self._ask = ask
        self._foreseen = foreseen
        self._rows: dict[int, list[Row]] = {}
        for row in ask(foreseen) if foreseen and not none else ():
            self._rows.setdefault(of(row), []).append(row)

    def of(self, nodes: Collection[int]) -> list[Row]:
        """The rows of these nodes."""
        known = self._rows
        found = [row for node in nodes if node in known for row in known[node]] if known else []
        others = [node for node in nodes if node not in self._foreseen]
        if others:
            found += self._ask(others)
        return found
