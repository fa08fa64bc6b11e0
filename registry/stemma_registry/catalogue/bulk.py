"""Many rows at once, and small questions fast: the driver's own cursor under SQLAlchemy's hood.

Building a row object or an expression costs more than the database's work on it. What is
written here is on the path of every verdict, or is done a million times.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Dialect, TypeDecorator
from sqlalchemy import Table as SqlTable
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.types import TypeEngine

from stemma_registry.catalogue.columns import CODES, Coded, HexBytes, Word, Words, without_nul

# What says that a value is among those listed: one text for any list. A join with a server's
# `unnest` would be planned as if the list were long, and a list that its planner sees by how long
# it is, anew each time: it sees none behind a SELECT, and keeps one plan that walks along indexes.
AMONG = {
    "sqlite": "IN (SELECT value FROM json_each(:listed))",
    "postgresql": "= ANY(CAST((SELECT CAST(:listed AS bigint[])) AS bigint[]))",
}
_SAMPLE = 64  # values of a column that tell whether they differ
COPY_FROM = 64  # rows from which COPY is worth its start
NARROW = "stemma_narrow"  # in a connection's info: what every query goes through, if anything
_PLACE = re.compile(r":[a-z_]+")
Convert = Callable[[Any], Any]


def ask(connection: Connection, sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query with `:name` in it, as the driver gives them. Raises DBAPIError."""
    cursor = _cursor(connection)
    try:
        cursor.execute(_spelled(_narrowed(connection, sql), connection.dialect.name), values)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    except _errors(connection) as error:
        raise _wrapped(sql, error) from error
    finally:
        cursor.close()
    return found


def chunks(
    connection: Connection, sql: str, size: int, **values: Any
) -> Iterator[list[tuple[Any, ...]]]:
    """The same, `size` rows at a time, none of which is empty."""
    cursor = _cursor(connection)
    try:
        cursor.execute(_spelled(_narrowed(connection, sql), connection.dialect.name), values)
        while rows := cursor.fetchmany(size):
            yield rows
    except _errors(connection) as error:
        raise _wrapped(sql, error) from error
    finally:
        cursor.close()


def run(connection: Connection, sql: str, **values: Any) -> None:
    """The same for what has no answer."""
    cursor = _cursor(connection)
    try:
        cursor.execute(_spelled(sql, connection.dialect.name), values)
    except _errors(connection) as error:
        raise _wrapped(sql, error) from error
    finally:
        cursor.close()


def write(
    connection: Connection,
    table: SqlTable,
    columns: tuple[str, ...],
    rows: Sequence[tuple[Any, ...]],
) -> None:
    """Insert rows, values in the order of `columns`, as SQLAlchemy would. Raises DBAPIError."""
    if not rows:
        return
    converts, sql, copied = _written(connection.dialect, table, columns)
    cursor = _cursor(connection)
    try:
        if len(rows) == 1:
            values = list(rows[0])
            for at, to in converts:
                values[at] = to(values[at])
            cursor.execute(sql, values)
            return
        written = list(zip(*rows, strict=True))
        for at, to in converts:
            written[at] = _converted(written[at], to)
        if _copies(connection, len(rows)):
            with cursor.copy(copied) as copy:
                for row in zip(*written, strict=True):
                    copy.write_row(row)
        else:
            cursor.executemany(sql, list(zip(*written, strict=True)))
    except _errors(connection) as error:
        raise _wrapped(table.name, error) from error
    finally:
        cursor.close()


def ids(connection: Connection, table: SqlTable, count: int, last: dict[str, int]) -> Sequence[int]:
    """Ids for one or more new rows of a table, in order. Nobody else writes meanwhile.

    `last` remembers what was given, by table, where nobody else gives any.
    """
    if connection.dialect.name == "sqlite":
        if table.name not in last:
            ((highest,),) = ask(connection, f"SELECT max(id) FROM {table.name}")  # noqa: S608
            last[table.name] = highest or 0
        first = last[table.name] + 1
        last[table.name] += count
        return range(first, first + count)
    counter = f"pg_get_serial_sequence('{table.name}', 'id')"
    asked = f"SELECT setval({counter}, nextval({counter}) + :more)"
    ((highest,),) = ask(connection, asked, more=count - 1)
    return range(highest - count + 1, highest + 1)


def listed(connection: Connection, ids: Sequence[int]) -> Any:
    """The value of `:listed` in `AMONG`: as text, which costs a driver nothing."""
    text = str(ids if type(ids) is list else list(ids))
    return text if _is_sqlite(connection) else f"{{{text[1:-1]}}}"


def _is_sqlite(connection: Connection) -> bool:
    return bool(connection.dialect.name == "sqlite")


def places(values: Sequence[Any], prefix: str = "v") -> tuple[str, dict[str, Any]]:
    """`:va, :vb ...` for a list in a query, and what they stand for."""
    text, names = _places(len(values), prefix)
    return text, dict(zip(names, values, strict=True))


@lru_cache(maxsize=64)
def _places(count: int, prefix: str) -> tuple[str, tuple[str, ...]]:
    names = tuple(prefix + _letters(number) for number in range(count))
    return ", ".join(f":{name}" for name in names), names


def _letters(number: int) -> str:
    text = chr(97 + number % 26)
    while number := number // 26:
        text = chr(97 + number % 26) + text
    return text


@lru_cache(maxsize=512)
def _spelled(sql: str, dialect: str) -> str:
    """With the driver's own mark of a value."""
    return sql if dialect == "sqlite" else _PLACE.sub(lambda m: f"%({m.group()[1:]})s", sql)


def looks_back(connection: Connection) -> bool:
    """Whether what came later is hidden from the questions of a connection (see `past`)."""
    return NARROW in connection.info


def _narrowed(connection: Connection, sql: str) -> str:
    narrow = connection.info.get(NARROW)
    return sql if narrow is None else str(narrow(sql))


def _copies(connection: Connection, count: int) -> bool:
    return connection.dialect.name == "postgresql" and count >= COPY_FROM


@lru_cache(maxsize=256)
def _written(
    dialect: Dialect, table: SqlTable, columns: tuple[str, ...]
) -> tuple[tuple[tuple[int, Convert], ...], str, str]:
    """How values are written, by column where not as they are, and statements for few and many."""
    found = (_convert(table.c[name].type, dialect, table.c[name].nullable) for name in columns)
    converts = tuple((at, to) for at, to in enumerate(found) if to is not None)
    names = ", ".join(f'"{name}"' for name in columns)
    marks = ", ".join("?" if dialect.name == "sqlite" else "%s" for _ in columns)
    sql = f'INSERT INTO "{table.name}" ({names}) VALUES ({marks})'  # noqa: S608 - ours
    return converts, sql, f'COPY "{table.name}" ({names}) FROM STDIN'


def _convert(kind: TypeEngine[Any], dialect: Dialect, nullable: bool | None) -> Convert | None:
    if isinstance(kind, HexBytes) and not nullable:
        return bytes.fromhex
    if isinstance(kind, Coded) and not nullable:
        return lambda value: CODES.get(value) or kind.process_bind_param(value, dialect)
    if isinstance(kind, HexBytes):
        return _bytes_of
    if isinstance(kind, Words | Word):
        return without_nul
    if isinstance(kind, TypeDecorator):  # of ours: what it is made of takes the value as it is
        return lambda value: kind.process_bind_param(value, dialect)
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _bytes_of(digits: str | None) -> bytes | None:
    return None if digits is None else bytes.fromhex(digits)


def _converted(values: Sequence[Any], to: Convert) -> tuple[Any, ...]:
    """A column; what stands in it again and again is converted once."""
    some = set(values[:_SAMPLE])
    if len(some) > _SAMPLE // 2:
        return tuple(map(to, values))
    known = {value: to(value) for value in set(values)}
    return tuple(map(known.__getitem__, values))


def _cursor(connection: Connection) -> Any:
    driver: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        return driver.cursor()
    return driver.cursor(binary=True)  # a server sends values as they are, not as digits to be read


def _errors(connection: Connection) -> Any:
    return connection.dialect.loaded_dbapi.Error


def _wrapped(sql: str, error: Exception) -> DBAPIError:
    """As SQLAlchemy would raise it: whoever opened the catalogue knows what that means."""
    return OperationalError(sql, {}, error)
