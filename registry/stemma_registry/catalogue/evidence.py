"""What statements say of many edges: of each statement an object is made once, not for every edge.

What was merged from a hundred has a hundred edges by one statement. The rows are taken as the
driver gives them, and what is the same in several of them is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, null, select

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
Row = Any  # a tuple of the driver's
Hear = Callable[[str, str | None, Times, Mark], Callable[[Fact], T]]
# A bundle, the kind of statement, its signer, entry and times, and what makes something of it.
Voice = tuple[Digest, str, str | None, int, Times, Callable[[Fact], T]]


def _edges(among: Among, end: ColumnElement[Any], *more: ColumnElement[Any]) -> Select[Any]:
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
            *more,
        )
        .join(t.statement, t.statement.c.id == t.edge.c.statement_id)
        .outerjoin(t.subject, named)
        .where(among(end))
    )


_INTO = Prepared(lambda among: _edges(among, t.edge.c.output_id))
_FROM = Prepared(lambda among: _edges(among, t.edge.c.input_id))
# The same of what a walk may come to (see `ahead`), and a place for what is said of all of that.
_NEAR = {"sqlite": "IN (SELECT id FROM near)", "postgresql": "= ANY(ARRAY(SELECT id FROM near))"}
_NEAR_INTO = Prepared(
    lambda among: _edges(among, t.edge.c.output_id, null().label("every")), among=_NEAR
)
_NEAR_FROM = Prepared(
    lambda among: _edges(among, t.edge.c.input_id, null().label("every")), among=_NEAR
)
COLUMNS = 13  # of such a row, without that place
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
# Of such a row, behind the ends: what tells a word from others, and by whom it is.
_WORD, _BY = slice(3, 7), slice(10, 12)
_STATEMENT, _POSITION, _ROOT = 3, 9, 12


class _Relations(dict[str, str]):
    """What a coded relation means: of the few that there are, each once."""

    def __missing__(self, code: str) -> str:
        self[code] = found = word(code)
        return found


def rows(connection: Connection, nodes: Iterable[int], *, down: bool) -> list[Row]:
    """The edges that statements say from these nodes, or into them, as the driver gives them.

    Raises as `Prepared.raw` does.
    """
    return (_FROM if down else _INTO).raw(connection, nodes)


def of_near(connection: Connection, *, down: bool) -> str:
    """What asks for the same from all of the nodes `near`, or into them, with one more column."""
    return (_NEAR_FROM if down else _NEAR_INTO).sql(connection)


def edges(connection: Connection, every: Sequence[Row], hear: Hear[T]) -> dict[Ends, list[T]]:
    """The edges of such rows, with what is made of each statement that says one.

    Of one edge in ledger order; where a statement calls the output several names, one for each.
    `hear` is told a kind of statement, its signer, its times and how it says an edge, and gives
    what makes something of those. Raises as `Prepared.rows` does.
    """
    dated = [row[_STATEMENT] for row in every if row[_ROOT] is not None]
    times = {row.id: times_of(row) for row in _TIMES.rows(connection, dated)} if dated else {}
    # There are many, and few are like another: what is the same in several is looked at once.
    relations, known, found = _Relations(), dict[Any, list[T]](), dict[Ends, list[T]]()
    voices, again, new = _Voices(times, hear), set[Ends](), tuple.__new__
    for row in every:
        said = row[_WORD]
        if said not in known:
            statement, mark, name, version = said
            voice = voices.get((statement, mark)) or voices.of(row)
            bundle, kind, signer, n, signed, make = voice
            fact = new(Fact, (bundle, kind, signer, n, name, version, signed))
            known[said] = [make(fact)]
        ends = row[0], row[1], relations[row[2]]
        if ends in found:
            again.add(ends)
        else:
            found[ends] = known[said]
    if again:
        found |= {ends: [] for ends in again}
        some = [(row[0], row[1], relations[row[2]], row) for row in every]
        some = [one for one in some if one[:3] in again]
        for source, output, relation, row in sorted(some, key=lambda one: _order(one[3])):
            found[source, output, relation] += known[row[_WORD]]
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


def _order(row: Row) -> tuple[int, int]:
    return row[_STATEMENT], row[_POSITION] or 0


class _Voices(dict[tuple[int, str | None], Voice[T]]):
    """By statement, and how it says an edge: what all facts of it have in common."""

    def __init__(self, times: Mapping[int, Times], hear: Hear[T]) -> None:
        self._times, self._hear = times, hear
        self._heard: dict[tuple[Any, ...], Callable[[Fact], T]] = {}

    def of(self, row: Row) -> Voice[T]:
        """The one of such a row."""
        statement, code, _, _, bundle, n = row[_STATEMENT:_POSITION]
        kind, signer = row[_BY]
        signed = self._times.get(statement, ())
        kind, signer = word(kind), None if signer is None else hexed(signer)
        by = kind, signer, signed, Mark.EXACT if code is None else Mark(word(code))
        if by not in self._heard:
            self._heard[by] = self._hear(*by)
        digest = written(hexed(bundle))
        self[statement, code] = found = digest, kind, signer, n, signed, self._heard[by]
        return found
