"""Who said it: the columns of a statement that every question asks for, and the fact in them."""

from __future__ import annotations

from typing import Any

from stemma_attestations.digest import written
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.rows import Fact

FACT = (
    t.statement.c.bundle,
    t.statement.c.predicate_type,
    t.statement.c.signer,
    *TIMES,
    t.statement.c.n,
)


def fact_of(row: Any, name: str | None, version: str | None) -> Fact:
    """The statement of a row with the columns `FACT`; `name` is what it calls its subject."""
    return Fact(
        written(row.bundle),
        row.predicate_type,
        row.signer,
        row.n,
        name,
        version,
        () if row.root is None else times_of(row),
    )
