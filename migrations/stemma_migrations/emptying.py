"""Taking a catalogue back to before the first ledger entry, whatever tables it has by then."""

from __future__ import annotations

import sqlalchemy as sa

_KEPT = "alembic_version"  # what the schema is stays true


def empty(connection: sa.Connection) -> None:
    """Delete every row: the ledger is then projected anew. Nothing is lost: truth is in the store.

    A table is emptied before what its rows refer to, in the order that the database knows.
    """
    ordered = sa.inspect(connection).get_sorted_table_and_fkc_names()
    for name, _ in reversed(ordered):
        if name is not None and name != _KEPT:
            connection.execute(sa.delete(sa.table(name)))
