"""What statements say of many edges: of each statement an object is made once, not for every edge.

What was merged from a hundred has a hundred edges by one statement. The rows are taken as the
driver gives them, and what is the same in several of them is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ColumnElement, Connection, LargeBinary, Select, and_, select, type_coerce

from stemma_attestations.digest import written
from stemma_attestations.marks import Mark
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import hexed
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.prepared import Among, Prepared
from stemma_registry.catalogue.rows import Fact

Ends = tuple[int, int, str]  # input, output, relation
T = TypeVar("T")


class _Dated(NamedTuple):
    """As `times_of` reads it."""

    root: str
    signed: int | None
    dated: str | None


def _edges(among: Among, end: ColumnElement[Any]) -> Select[Any]:
    named = and_(
        t.subject.c.statement_id == t.edge.c.statement_id,
        t.subject.c.node_id == t.edge.c.output_id,
    )
    root, *times = TIMES
    return (
        select(
            *(t.edge.c.input_id, t.edge.c.output_id, t.edge.c.relation),
            *(t.edge.c.statement_id, t.edge.c.mark, t.subject.c.name, t.subject.c.version),
            t.subject.c.position,
            type_coerce(t.statement.c.bundle, LargeBinary).label("bundle"),
            t.statement.c.predicate_type,
            type_coerce(t.statement.c.signer, LargeBinary).label("signer"),
            t.statement.c.n,
            type_coerce(root, LargeBinary).label("root"),
            *times,
        )
        .join(t.statement, t.statement.c.id == t.edge.c.statement_id)
        .outerjoin(t.subject, named)
        .where(among(end))
    )


_INTO = Prepared(lambda among: _edges(among, t.edge.c.output_id))
_FROM = Prepared(lambda among: _edges(among, t.edge.c.input_id))
_POSITION = 7  # in such a row; what tells a word from others lies between the ends and this


def edges(
    connection: Connection, nodes: Iterable[int], make: Callable[[Fact, Mark], T], *, down: bool
) -> dict[Ends, list[T]]:
    """The edges that statements say from these nodes, or into them, with what `make` makes of each.

    Of one edge in ledger order; where a statement calls the output several names, one for each.
    """
    grouped: dict[Ends, list[Any]] = {}
    for row in (_FROM if down else _INTO).tuples(connection, nodes):
        ends = row[:3]
        if ends in grouped:
            grouped[ends].append(row)
        else:
            grouped[ends] = [row]
    known: dict[Any, T] = {}
    found: dict[Ends, list[T]] = {}
    for ends, rows in grouped.items():
        if len(rows) > 1:
            rows.sort(key=_order)
        found[ends] = words = []
        for row in rows:
            key = row[3:_POSITION]
            if key not in known:
                known[key] = make(*_said(row))
            words.append(known[key])
    return found


def _order(row: Any) -> tuple[int, int]:
    return row[3], row[_POSITION] or 0


def _said(row: Any) -> tuple[Fact, Mark]:
    _, mark, name, version, _, bundle, kind, signer, n, root, signed, dated = row[3:]
    times = () if root is None else times_of(_Dated(hexed(root), signed, dated))
    by = None if signer is None else hexed(signer)
    fact = Fact(written(hexed(bundle)), kind, by, n, name, version, times)
    return fact, Mark.EXACT if mark is None else Mark(mark)
