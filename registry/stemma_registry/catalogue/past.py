"""The catalogue as it was at an earlier ledger entry.

What came later is hidden, not taken away: every query of the connection reads the tables
through expressions of the same names, which leave out what later entries brought. That needs
no right to write, and is the same on every database. A row belongs to the past by the
statement or the artifact that brought it; both are numbered in the order of the ledger.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Connection, Table, event, select, text

from stemma_registry.catalogue import aliases, bulk
from stemma_registry.catalogue import tables as t

# Of these, later rows answer nothing that an earlier question could ask: what is in them is
# reached from a statement only, or is how far the catalogue itself has come.
TIMELESS = frozenset(
    {
        *("state", "identity", "package", "environment", "environment_package"),
        *("tensor", "tensor_table", "tensor_row", "named"),
    }
)
# About the store of today, whatever is asked: a deleted blob is gone. And where a slower walk
# looks closer (`halts`), which may be in vain.
TODAY = frozenset({"kept", "collection", "halt"})
_HEAD = re.compile(r"\s*(WITH\s+RECURSIVE\s|WITH\s|SELECT\b)", re.IGNORECASE)


def classes() -> dict[str, str]:
    """Each table, and by what its rows belong to an entry."""
    found = {}
    for table in t.metadata.sorted_tables:
        own = _OWN.get(table.name)
        if own is not None:
            found[table.name] = own
        elif "statement_id" in table.c:
            found[table.name] = "statement_id <= {last}"
        elif table.name not in TIMELESS | TODAY:
            found[table.name] = ""
    return found


_ARTIFACT = "EXISTS (SELECT 1 FROM {schema}.artifact a WHERE a.id = x.artifact_id AND a.n <= {n})"
_LED = (
    "EXISTS (SELECT 1 FROM {schema}.edge k "
    "WHERE k.output_id = x.blob_id AND k.statement_id <= {last})"
)
_LISTED = (
    "EXISTS (SELECT 1 FROM {schema}.subject b JOIN {schema}.packaged p "
    "ON p.statement_id = b.statement_id WHERE b.node_id = x.blob_id AND b.statement_id <= {last})"
)
_SAID = "EXISTS (SELECT 1 FROM {schema}.%s k WHERE k.%s = x.id AND k.statement_id <= {last})"
_KNOWN = (
    "EXISTS (SELECT 1 FROM {schema}.artifact k WHERE k.id = x.id AND k.n <= {n})",
    _SAID % ("subject", "node_id"),
    _SAID % ("edge", "input_id"),
    _SAID % ("edge", "output_id"),
    (
        "EXISTS (SELECT 1 FROM {schema}.manifest_entry m JOIN {schema}.artifact a "
        "ON a.id = m.artifact_id WHERE m.blob_id = x.id AND a.n <= {n})"
    ),
)
_OWN = {
    "statement": "n <= {n}",
    "artifact": "n <= {n}",
    "manifest_entry": _ARTIFACT,
    "made": f"{_ARTIFACT} AND ({_LED} OR {_LISTED})",
    # A name is bound when both the statement and the artifact are there.
    "version": f"statement_id <= {{last}} AND {_ARTIFACT}",
    # What a statement is about by the files that it lists is known when those are there.
    "subject": (
        f"statement_id <= {{last}} AND (position < {aliases.FIRST} OR NOT EXISTS "  # noqa: S608
        "(SELECT 1 FROM {schema}.artifact a WHERE a.id = x.node_id AND a.n > {n}))"
    ),
    "node": " OR ".join(_KNOWN),
}
# What a later entry changed about an earlier statement: its key came late.
_LATE = frozenset({"signer", "root", "signed"})


@contextlib.contextmanager
def looking_back(connection: Connection, n: int) -> Iterator[None]:
    """Within this, `connection` sees what entries 0 to `n` brought, and nothing else."""
    views = _views(connection, n)
    names = re.compile(rf"\b({'|'.join(views)})\b")

    def narrow(query: str) -> str:
        match = _HEAD.match(query)
        used = sorted(set(names.findall(query)))
        if match is None or not used:
            return query
        word = match[1].strip().upper()
        rest = query[match.start(1) :] if word == "SELECT" else query[match.end(1) :]
        opening = "WITH" if word == "SELECT" else word
        joint = " " if word == "SELECT" else ", "
        return f"{opening} {', '.join(views[name] for name in used)}{joint}{rest}"

    def before(
        _connection: Any, _cursor: Any, query: str, parameters: Any, _context: Any, _many: bool
    ) -> tuple[str, Any]:
        return narrow(query), parameters

    event.listen(connection, "before_cursor_execute", before, retval=True)
    connection.info[bulk.NARROW] = narrow
    try:
        yield
    finally:
        del connection.info[bulk.NARROW]
        event.remove(connection, "before_cursor_execute", before)


def _views(connection: Connection, n: int) -> dict[str, str]:
    """For each table an expression of its name that holds the past of it."""
    schema = "main"
    if connection.dialect.name == "postgresql":
        schema = '"{}"'.format(connection.execute(text("SELECT current_schema()")).scalar())
    newest = select(t.statement.c.id).where(t.statement.c.n <= n)
    newest = newest.order_by(t.statement.c.n.desc(), t.statement.c.id.desc()).limit(1)
    last = connection.execute(newest).scalar() or 0
    values = {"schema": schema, "n": int(n), "last": int(last)}
    return {
        name: f"{name} AS NOT MATERIALIZED (SELECT {_columns(t.metadata.tables[name], n)} "  # noqa: S608
        f"FROM {schema}.{name} x WHERE {condition.format(**values)})"
        for name, condition in classes().items()
    }


def _columns(table: Table, n: int) -> str:
    if table.name != "statement":
        return "x.*"
    return ", ".join(
        f"CASE WHEN x.heard > {n} THEN NULL ELSE x.{c.name} END AS {c.name}"
        if c.name in _LATE
        else f"x.{c.name}"
        for c in table.c
    )
