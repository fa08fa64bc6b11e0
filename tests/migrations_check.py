"""`python -m tests.migrations_check`: the migrations and the tables say the same.

An empty database is upgraded step by step and compared with the tables;
anything that an automatic migration would still do is a difference.
"""

from __future__ import annotations

import sys

from sqlalchemy import create_engine

from stemma_migrations import run
from stemma_registry.catalogue import tables


def problems() -> list[str]:
    """Every difference, in words."""
    found = []
    known = run.revisions()
    if known[-1] != tables.REVISION:
        found.append(f"tables.REVISION is {tables.REVISION}, the newest migration {known[-1]}")
    engine = create_engine("sqlite://")
    with engine.begin() as connection:
        for revision in known:
            run.upgrade(connection, revision)
        found += run.differences(connection, tables.metadata)
    return found


if __name__ == "__main__":
    differences = problems()
    for difference in differences:
        print(f"migrations differ from the tables: {difference}")
    print(f"migrations: {len(run.revisions())} revisions, {len(differences)} differences")
    sys.exit(1 if differences else 0)
