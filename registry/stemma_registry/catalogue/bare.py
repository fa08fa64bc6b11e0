"""A rebuild of an embedded catalogue does without an index while it writes, and makes it last.

What comes new in a ledger comes from anything that is older: so the index of inputs is written all
over, a page for each row, and in a large catalogue that takes longer than all else. Made at once
from what is there it is written in order, and takes half the room. Nobody asks meanwhile: who
comes to a catalogue catches up with the ledger first, and whoever is the first to have done so
makes the index, before anything is asked. Projection itself asks by outputs only.
"""

from __future__ import annotations

from sqlalchemy import Connection
from sqlalchemy.schema import CreateIndex

from stemma_registry.catalogue import bulk
from stemma_registry.catalogue import tables as t

_DROP = f"DROP INDEX {t.DOWNWARD.name}"


def strip(connection: Connection) -> None:
    """Do without, from now on; in a transaction that writes. Not on a server: others ask it."""
    if connection.dialect.name == "sqlite":
        bulk.run(connection, _DROP)
        bulk.run(connection, "UPDATE state SET bare = TRUE")


def is_due(connection: Connection) -> bool:
    """Whether something is still to be made."""
    return bool(bulk.ask(connection, "SELECT 1 FROM state WHERE bare"))


def clothe(connection: Connection) -> None:
    """Make what is missing, if nobody was faster; in a transaction that writes."""
    if is_due(connection):
        connection.execute(CreateIndex(t.DOWNWARD))
        bulk.run(connection, "UPDATE state SET bare = FALSE")
