"""What statements say of many edges: of each statement an object is made once, not for every edge.

What was merged from a hundred has a hundred edges by one statement. The rows are taken as the
driver gives them, and what is the same in several of them is looked at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, null, select

from stemma_attestations.digest import Digest, all_written, written
from stemma_attestations.marks import Mark
from stemma_attestations.times import Times
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.columns import all_hexed, hexed, word
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.prepared import Among, Prepared
from stemma_registry.catalogue.rows import Fact

Ends = tuple[int, int, str]  # input, output, relation
T = TypeVar("T")
Row = Any  # a tuple of the driver's
Hear = Callable[[str, str | None, Times, Mark], Callable[[Fact], T]]
Voice = tuple[str, str | None, Callable[[Fact], T]]  # a kind, its signer, what makes something


def _edges(among: Among, *, down: bool, named: bool, near: bool) -> Select[Any]:
    called: tuple[ColumnElement[Any], ...] = (t.subject.c.name, t.subject.c.version)
    position: ColumnElement[Any] = t.subject.c.position
    if not named:  # it lies elsewhere than the rest: that would be a page for each
        called, position = (null().label("name"), null().label("version")), null().label("position")
    found = select(
        *(t.edge.c.input_id, t.edge.c.output_id, t.edge.c.relation),
        *(t.edge.c.statement_id, t.edge.c.mark, *called),
        *(t.statement.c.bundle, t.statement.c.n, position),
        *(t.statement.c.predicate_type, t.statement.c.signer, t.statement.c.root),
        *((null().label("every"),) if near else ()),
    ).join(t.statement, t.statement.c.id == t.edge.c.statement_id)
    if named:
        found = found.outerjoin(t.subject, _CALLED)
    return found.where(among(t.edge.c.input_id if down else t.edge.c.output_id))


_CALLED = and_(
    t.subject.c.statement_id == t.edge.c.statement_id, t.subject.c.node_id == t.edge.c.output_id
)
_WAYS = [(down, named) for down in (False, True) for named in (False, True)]
_ASKED = {
    (down, named): Prepared(partial(_edges, down=down, named=named, near=False))
    for down, named in _WAYS
}
# The same of what a walk may come to (see `ahead`), and a place for what is said of all of that.
_NEAR = {"sqlite": "IN (SELECT id FROM near)", "postgresql": "= ANY(ARRAY(SELECT id FROM near))"}
_OF_NEAR = {
    (down, named): Prepared(partial(_edges, down=down, named=named, near=True), among=_NEAR)
    for down, named in _WAYS
}
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
_NAMES = Prepared(
    lambda among: (
        select(t.edge.c.output_id, t.statement.c.bundle, t.subject.c.name, t.subject.c.version)
        .join(t.statement, t.statement.c.id == t.edge.c.statement_id)
        .join(t.subject, _CALLED)
        .where(among(t.edge.c.output_id), t.subject.c.name.is_not(None))
        .order_by(t.edge.c.statement_id, t.subject.c.position)
    )
)
_LATE = Prepared(
    lambda among: select(t.statement.c.bundle, t.statement.c.heard).where(
        among(t.statement.c.n), t.statement.c.heard.is_not(None)
    )
)
_WORD = itemgetter(3, 4, 5, 6)  # of such a row, behind the ends: what tells a word from others
_STATEMENT, _POSITION, _ROOT = 3, 9, 12


class _Relations(dict[str, str]):
    """What a coded relation means: of the few that there are, each once."""

    def __missing__(self, code: str) -> str:
        self[code] = found = word(code)
        return found


def rows(connection: Connection, nodes: Iterable[int], *, down: bool, named: bool) -> list[Row]:
    """The edges that statements say from these nodes, or into them, as the driver gives them.

    `named`: with what each calls its output. Raises as `Prepared.raw` does.
    """
    return _ASKED[down, named].raw(connection, nodes)


def of_near(connection: Connection, *, down: bool, named: bool) -> str:
    """What asks for the same from all of the nodes `near`, or into them, with one more column."""
    return _OF_NEAR[down, named].sql(connection)


def edges(connection: Connection, every: Sequence[Row], hear: Hear[T]) -> dict[Ends, list[T]]:
    """The edges of such rows, with what is made of each statement that says one.

    Of one edge in ledger order; where a statement calls the output several names, one for each.
    `hear` is told a kind of statement, its signer, its times and how it says an edge, and gives
    what makes something of those. Raises as `Prepared.rows` does.
    """
    if not every:
        return {}
    dated = [row[_STATEMENT] for row in every if row[_ROOT] is not None]
    times = {row.id: times_of(row) for row in _TIMES.rows(connection, dated)} if dated else {}
    # There are many: they are taken by columns, and what is the same in several is made once.
    keys = list(map(_WORD, every))
    once = dict(zip(keys, every, strict=True))
    known = dict(zip(once, _heard(list(once.values()), times, hear), strict=True))
    relations = _Relations()
    ends = [(row[0], row[1], relations[row[2]]) for row in every]
    found = {one: [known[key]] for one, key in zip(ends, keys, strict=True)}
    if len(found) < len(ends):
        found = {one: [] for one in ends}
        for at in sorted(range(len(ends)), key=lambda at: _order(every[at])):
            found[ends[at]].append(known[keys[at]])
    return found


def _heard(every: Sequence[Row], times: Mapping[int, Times], hear: Hear[T]) -> list[T]:
    """What is made of each of these rows, which say something different each."""
    _, _, _, statements, marks, names, versions, bundles, entries, _, kinds, signers, *_ = zip(
        *every, strict=True
    )
    signed = [times.get(one, ()) for one in statements] if times else [()] * len(every)
    by = list(zip(kinds, signers, signed, marks, strict=True))
    voices = {one: _voice(one, hear) for one in dict.fromkeys(by)}
    said = [voices[one] for one in by]
    kinds, signers, makes = zip(*said, strict=True)
    digests, new = all_written(all_hexed(bundles)), tuple.__new__
    values = zip(digests, kinds, signers, entries, names, versions, signed, strict=True)
    facts = [new(Fact, value) for value in values]
    return [make(fact) for make, fact in zip(makes, facts, strict=True)]


def _voice(by: tuple[Any, ...], hear: Hear[T]) -> Voice[T]:
    """Of rows that have these values in common."""
    code, key, signed, mark = by
    kind, signer = word(code), None if key is None else hexed(key)
    how = Mark.EXACT if mark is None else Mark(word(mark))
    return kind, signer, hear(kind, signer, signed, how)


def names(
    connection: Connection, outputs: Iterable[int]
) -> dict[tuple[int, Digest], tuple[str, str | None]]:
    """What each statement that says an edge into one of these calls it first, by its bundle."""
    found = dict[tuple[int, Digest], tuple[str, str | None]]()
    for row in _NAMES.rows(connection, outputs):
        found.setdefault((row.output_id, written(row.bundle)), (row.name, row.version))
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
