"""Queries for many ids that are compiled once, and asked with the driver's own cursor.

SQLAlchemy takes longer to look up what it has compiled and to make its rows than the database
takes to find them, and a trace asks some forty questions. The rows have the names of the
query's columns, and their values are what the columns' types make of them, as ever.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import ColumnElement, Connection, Dialect, Select, literal_column
from sqlalchemy.dialects import sqlite
from sqlalchemy.types import TypeDecorator, TypeEngine

from stemma_registry.catalogue import bulk
from stemma_registry.catalogue.columns import Coded, HexBytes

AT_ONCE = 50_000  # ids in one query
Among = Callable[[ColumnElement[Any]], ColumnElement[bool]]
Make = Callable[[Among], Select[Any]]
Decode = Callable[[Sequence[Any]], list[Any]]  # of a column
Compiled = tuple[str, Callable[[list[Any]], list[Any]]]


def _sqlite() -> Dialect:
    return sqlite.dialect(paramstyle="named")


def _postgresql() -> Dialect:
    from sqlalchemy.dialects import postgresql  # lazily: whoever has none need not load it

    return postgresql.dialect(paramstyle="named")  # type: ignore[no-untyped-call]


_DIALECTS: dict[str, Callable[[], Dialect]] = {"sqlite": _sqlite, "postgresql": _postgresql}


class Prepared:
    """A query; `make` builds it from what says that a column's value is among those listed.

    Other values are written `literal_column(":name")` in it. `postgresql` builds what that is
    asked instead, where its planner would do something else than is meant. `among` is how that is
    written in each database, if not by what is listed.
    """

    def __init__(
        self,
        make: Make,
        postgresql: Make | None = None,
        among: Mapping[str, str] = bulk.AMONG,
    ) -> None:
        self._makes = {"sqlite": make, "postgresql": postgresql or make}
        self._among = among
        self._known: dict[str, Compiled] = {}

    def sql(self, connection: Connection) -> str:
        """What is asked, to be made part of more."""
        return self._compiled(connection)[0]

    def one(self, connection: Connection, **values: Any) -> list[Any]:
        """The rows of a query that has values of its own, and no list. Raises as `rows` does."""
        sql, decode = self._compiled(connection)
        return decode(bulk.ask(connection, sql, **values))

    def rows(self, connection: Connection, ids: Iterable[int], **values: Any) -> list[Any]:
        """The rows for these ids. Raises DBAPIError; Rotten for values that are none of ours."""
        _, decode = self._compiled(connection)
        return decode(self.raw(connection, ids, **values))

    def raw(self, connection: Connection, ids: Iterable[int], **values: Any) -> list[Any]:
        """The same rows as the driver gives them."""
        sql, _ = self._compiled(connection)
        ordered = sorted(set(ids))
        found: list[Any] = []
        for start in range(0, len(ordered), AT_ONCE):
            listed = bulk.listed(connection, ordered[start : start + AT_ONCE])
            found += bulk.ask(connection, sql, listed=listed, **values)
        return found

    def _compiled(self, connection: Connection) -> Compiled:
        name = connection.dialect.name
        if name not in self._known:
            self._known[name] = self._compile(name)
        return self._known[name]

    def _compile(self, name: str) -> Compiled:
        sign, _, values = self._among[name].partition(" ")

        def among(column: ColumnElement[Any]) -> ColumnElement[bool]:
            return column.op(sign, is_comparison=True)(literal_column(values))

        query, dialect = self._makes[name](among), _DIALECTS[name]()
        columns = query.selected_columns
        text = str(query.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        return text, _decoder(
            [column.key or "" for column in columns],
            [_decode(column.type, dialect) for column in columns],
        )


def _decoder(names: Sequence[str], decoders: Sequence[Decode | None]) -> Callable[..., list[Any]]:
    row = namedtuple("row", names)  # type: ignore[misc] # noqa: PYI024 - names of a query

    def decode(found: list[Any]) -> list[Any]:
        if not found:
            return []
        columns = (
            values if one is None else one(values)
            for one, values in zip(decoders, zip(*found, strict=True), strict=True)
        )
        return list(map(row._make, zip(*columns, strict=True)))

    return decode


def _decode(kind: TypeEngine[Any], dialect: Dialect) -> Decode | None:
    """What a column's type makes of the driver's values; None where they are taken as they are."""
    if not isinstance(kind, TypeDecorator):
        return None
    if type(kind).process_result_value is TypeDecorator.process_result_value:
        return None
    each = partial(kind.process_result_value, dialect=dialect)
    if isinstance(kind, Coded):
        return _remembering(each)
    if isinstance(kind, HexBytes):
        return partial(_digits, each)
    return lambda values: list(map(each, values))


def _digits(each: Callable[[Any], Any], values: Sequence[Any]) -> list[Any]:
    try:
        return list(map(bytes.hex, values))  # as it does, and nearly all there is
    except TypeError:  # nothing, or what is none of ours
        nothing = values.count(None) == len(values)
        return list(values) if nothing else list(map(each, values))


def _remembering(each: Callable[[Any], Any]) -> Decode:
    """Of the few values that there are, each once."""
    known: dict[Any, Any] = {}

    def remember(values: Sequence[Any]) -> list[Any]:
        if len(known) > 10_000:  # anybody may say anything
            known.clear()
        for value in set(values).difference(known):
            known[value] = each(value)
        return [known[value] for value in values]

    return remember
