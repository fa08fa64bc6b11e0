"""What a walk will ask for, fetched before it does: the nodes around its start, nearest first.

Asking at each step costs more than what the steps find, which is a few rows each. So one
recursive query says which nodes a walk may come to, and all that statements say of them; only
where there may be files among them are the rows of these asked for, for all at once. Nothing rests
on that: of a node that was not foreseen the rows are asked for when the walk is there, and those
of one that was foreseen in vain are never looked at.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from collections.abc import Set as AbstractSet
from typing import Generic, NamedTuple, TypeVar

from sqlalchemy import Connection

from stemma_attestations.relations import RELATIONS, propagates
from stemma_registry.catalogue import bulk, evidence
from stemma_registry.catalogue.columns import CODES
from stemma_registry.catalogue.prepared import AT_ONCE

NODES = 2_000  # so far a walk looks ahead
NOWHERE = -1  # the end of a walk that has none
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


# What is said of all of them: how many there are, what of that there is, and which they are.
_OF_ALL = (
    "SELECT count(*), max(CASE part WHEN 1 THEN 1 ELSE 0 END) "
    "+ max(CASE part WHEN 2 THEN 2 ELSE 0 END) "
    "+ CASE WHEN :end >= 0 AND EXISTS (SELECT 1 FROM manifest_entry WHERE blob_id = :end) "
    "THEN 4 ELSE 0 END "
    "+ CASE WHEN :end >= 0 AND EXISTS (SELECT 1 FROM edge WHERE input_id {among}) "
    "THEN 8 ELSE 0 END, "
    "{nothing}, {ids} FROM near"
)
# Looked at twice, and made once.
_OF_MET = "near(id, part) AS MATERIALIZED (SELECT id, part FROM met LIMIT :most)"
_ALL = 1 << 62  # of them
_IDS = {"sqlite": "json_group_array(id)", "postgresql": "array_agg(id)"}
_NOTHING = ", ".join(["NULL"] * (evidence.COLUMNS - 2))


def _sqlite(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = "".join(
        f" UNION SELECT {to} FROM met CROSS JOIN {rows} ON met.id <> :end AND {which}"  # noqa: S608
        for to, rows, which in steps
    )
    first = "SELECT value, 0 FROM json_each(:listed)"
    # It would make all of what it names twice, where a server takes as many as are asked for.
    return f"WITH RECURSIVE met(id, part) AS ({first}{arms} LIMIT :most)"


def _postgresql(steps: Iterable[tuple[str, str, str]]) -> str:
    arms = " UNION ALL ".join(
        f"SELECT {to} FROM {rows} WHERE met.id <> :end AND {which}"  # noqa: S608 - ours
        for to, rows, which in steps
    )
    # Behind a SELECT, see `bulk.AMONG`.
    first = "SELECT one, 0 FROM unnest((SELECT CAST(:listed AS bigint[]))) AS one"
    # It takes one recursive part, and no more.
    more = f"SELECT far.id, far.part FROM met CROSS JOIN LATERAL ({arms}) AS far(id, part)"  # noqa: S608
    return f"WITH RECURSIVE met(id, part) AS ({first} UNION {more})"


_MET = {
    (name, down): spell(steps)
    for name, spell in (("sqlite", _sqlite), ("postgresql", _postgresql))
    for down, steps in _STEPS.items()
}
_known: dict[tuple[str, bool, bool], str] = {}


def _asked(connection: Connection, down: bool, named: bool) -> str:
    """All nodes that a walk may come to, what is said of them together, and all that they say."""
    name = connection.dialect.name
    if (name, down, named) not in _known:
        of_all = _OF_ALL.format(among=bulk.AMONG[name], nothing=_NOTHING, ids=_IDS[name])
        said = evidence.of_near(connection, down=down, named=named)
        _known[name, down, named] = f"{_MET[name, down]}, {_OF_MET} {of_all} UNION ALL {said}"
    return _known[name, down, named]


class Near(NamedTuple):
    """The nodes that a walk may come to, not beyond an `end`, where there is one.

    Whether any of them may be `held`, or be reached as a file (`inside`). Where there is an end,
    whether it may be a file (`file`), and whether anything came from the start (`used`; None: that
    was not asked). `said` are the edges from them, or into them (see `evidence.rows`).
    """

    nodes: frozenset[int] = frozenset()
    held: bool = True
    inside: bool = True
    file: bool = True
    used: bool | None = None
    said: Sequence[evidence.Row] = ()


def around(
    connection: Connection, start: Collection[int], *, down: bool, named: bool, end: int = NOWHERE
) -> Near:
    """The nodes that a walk may come to, at most `NODES`: not beyond `end`.

    None where it starts from none, or from so many that one step of it is worth its question.
    `named`: with what statements call the outputs of edges.
    """
    if not 0 < len(start) <= NODES:
        return Near()
    listed = bulk.listed(connection, sorted(start))
    asked = _asked(connection, down, named)
    rows = bulk.ask(connection, asked, listed=listed, end=end, most=NODES)
    at = next(at for at, row in enumerate(rows) if row[-1] is not None)
    count, there, *_, ids = rows.pop(at)
    nodes = frozenset[int](json.loads(ids) if isinstance(ids, str) else ids)
    cut = count == NODES
    held, inside, file, used = (bool(there & one) for one in (2, 1, 4, 8))
    known = end != NOWHERE
    return Near(nodes, cut or held, cut or inside, file or not known, used if known else None, rows)


def everything(connection: Connection, start: Collection[int]) -> set[int]:
    """All nodes that a trace downward shows, as bare numbers; these too."""
    asked = (
        f"{_MET[connection.dialect.name, True]}, {_OF_MET} SELECT id FROM near "  # noqa: S608
        f"UNION SELECT e.output_id FROM near JOIN edge e ON e.input_id = near.id "
        f"AND e.relation IN ({_IDLE})"
    )
    found, ordered = set[int](), sorted(start)
    for at in range(0, len(ordered), AT_ONCE):
        listed = bulk.listed(connection, ordered[at : at + AT_ONCE])
        rows = bulk.ask(connection, asked, listed=listed, end=NOWHERE, most=_ALL)
        found.update(node for node, *_ in rows)
    return found


class Ahead(Generic[Row]):
    """Rows by the nodes that they are asked of, fetched at once for those that are foreseen.

    Not where those rows are `known`.
    """

    def __init__(
        self,
        ask: Callable[[Collection[int]], Iterable[Row]],
        of: Callable[[Row], int],
        foreseen: frozenset[int],
        known: Iterable[Row] | None = None,
    ) -> None:
        self._ask = ask
        self._foreseen = foreseen
        self._rows: dict[int, list[Row]] = {}
        if known is None:
            known = ask(foreseen) if foreseen else ()
        for row in known:
            self._rows.setdefault(of(row), []).append(row)

    def of(self, nodes: AbstractSet[int]) -> list[Row]:
        """The rows of these nodes."""
        known = self._rows
        found = [row for node in nodes if node in known for row in known[node]] if known else []
        if not nodes <= self._foreseen:
            found += self._ask(nodes - self._foreseen)
        return found
