"""What statements say of many edges: of each statement an object is made once, not for every edge.

What was merged from a hundred has a hundred edges by one statement. The rows are taken as the
driver gives them, and what is the same in several of them is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, select

from stemma_attestations.digest import Digest, written
from stemma_attestations.marks import Mark
from stemma_attestations.times import Times
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import hexed, word
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.prepared import Among, Prepared
from stemma_registry.catalogue.rows import Fact

Ends = tuple[int, int, str]  # input, output, relation
T = TypeVar("T")


def _edges(among: Among, end: ColumnElement[Any]) -> Select[Any]:
    named = and_(
        t.subject.c.statement_id == t.edge.c.statement_id,
        t.subject.c.node_id == t.edge.c.output_id,
    )
    return (
        select(
            *(t.edge.c.input_id, t.edge.c.output_id, t.edge.c.relation),
            *(t.edge.c.statement_id, t.edge.c.mark, t.subject.c.name, t.subject.c.version),
            *(t.statement.c.bundle, t.statement.c.n, t.subject.c.position),
            *(t.statement.c.predicate_type, t.statement.c.signer, t.statement.c.root),
        )
        .join(t.statement, t.statement.c.id == t.edge.c.statement_id)
        .outerjoin(t.subject, named)
        .where(among(end))
    )


_INTO = Prepared(lambda among: _edges(among, t.edge.c.output_id))
_FROM = Prepared(lambda among: _edges(among, t.edge.c.input_id))
# Few say anything about their time.
_TIMES = Prepared(lambda among: select(t.statement.c.id, *TIMES).where(among(t.statement.c.id)))
_SAY = Prepared(
    lambda among: (
        select(t.edge.c.output_id, t.edge.c.statement_id)
        .where(among(t.edge.c.output_id))
        .distinct()
    )
)
_LATE = Prepared(
    lambda among: select(t.statement.c.bundle, t.statement.c.heard).where(
        among(t.statement.c.n), t.statement.c.heard.is_not(None)
    )
)
# Of such a row: the ends, what tells a word from others, and by whom it is.
_ENDS, _WORD, _BY = slice(0, 3), slice(3, 7), slice(10, 12)
_STATEMENT, _POSITION, _ROOT = 3, 9, 12


def edges(
    connection: Connection, nodes: Iterable[int], make: Callable[[Fact, Mark], T], *, down: bool
) -> list[tuple[Ends, list[T]]]:
    """The edges that statements say from these nodes, or into them, with what `make` makes of each.

    Of one edge in ledger order; where a statement calls the output several names, one for each.
    Raises as `Prepared.rows` does.
    """
    every = (_FROM if down else _INTO).raw(connection, nodes)
    dated = [row[_STATEMENT] for row in every if row[_ROOT] is not None]
    times = {row.id: times_of(row) for row in _TIMES.rows(connection, dated)} if dated else {}
    grouped: dict[Ends, list[Any]] = {}
    for row in every:
        ends = row[_ENDS]
        if ends in grouped:
            grouped[ends].append(row)
        else:
            grouped[ends] = [row]
    relations, voices, known = dict[str, str](), dict[Any, tuple[str, str | None]](), dict[Any, T]()
    found: list[tuple[Ends, list[T]]] = []
    for (source, output, relation), rows in grouped.items():
        if relation not in relations:
            relations[relation] = word(relation)
        if len(rows) > 1:
            rows.sort(key=_order)
        words: list[T] = []
        found.append(((source, output, relations[relation]), words))
        for row in rows:
            key = row[_WORD]
            if key not in known:
                by = row[_BY]
                if by not in voices:
                    voices[by] = _voice(*by)
                known[key] = make(*_said(row, *voices[by], times.get(row[_STATEMENT], ())))
            words.append(known[key])
    return found


def into(connection: Connection, outputs: Iterable[int]) -> dict[int, list[Fact]]:
    """The statements that say an edge into each of these, by whatever they are found, in order."""
    pairs = _SAY.raw(connection, outputs)
    facts = dict(query.facts_in(connection, {row for _, row in pairs}))
    found: dict[int, list[Fact]] = {}
    for output, row in sorted(pairs):
        found.setdefault(output, []).append(facts[row])
    return found


def keys_after(connection: Connection, facts: Iterable[Fact]) -> dict[Digest, int]:
    """Those of the statements whose key came in a later entry, each with that entry."""
    entries = sorted({fact.n for fact in facts})
    return {written(row.bundle): row.heard for row in _LATE.rows(connection, entries)}


def _order(row: Any) -> tuple[int, int]:
    return row[_STATEMENT], row[_POSITION] or 0


def _voice(kind: str, signer: Any) -> tuple[str, str | None]:
    """Of what sort it is, and who signs."""
    return word(kind), None if signer is None else hexed(signer)


def _said(row: Any, kind: str, signer: str | None, times: Times) -> tuple[Fact, Mark]:
    _, mark, name, version, bundle, n = row[_STATEMENT:_POSITION]
    fact = Fact._make((written(hexed(bundle)), kind, signer, n, name, version, times))
    return fact, Mark.EXACT if mark is None else Mark(word(mark))
