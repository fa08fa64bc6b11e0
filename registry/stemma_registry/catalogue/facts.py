"""Who said it: the columns of a statement that every question asks for, and the fact in them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from stemma_attestations.digest import written
from stemma_registry.catalogue import bulk
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


def by_signers(keys: Collection[str], *, identities: bool) -> tuple[str, dict[str, Any]]:
    """Of statements `s`: signed with one of these keys (ids), or by any identity; and its values.

    Empty where that is nobody.
    """
    either = ["s.signer IN (SELECT id FROM identity)"] if identities else []
    values: dict[str, Any] = {}
    if keys:
        marks, values = bulk.places([bytes.fromhex(one) for one in sorted(keys)])
        either.append(f"s.signer IN ({marks})")
    return " OR ".join(either), values
