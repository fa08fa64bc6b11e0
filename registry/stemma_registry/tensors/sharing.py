"""Which artifacts have some of a set of tensors, and on whose word."""

from __future__ import annotations

from collections.abc import Iterable

from stemma_attestations.errors import Undecided
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import tensors
from stemma_registry.catalogue.tensors import Shared, TableRow
from stemma_registry.config import LIMITS
from stemma_registry.registry import Snapshot
from stemma_registry.tensors import making


def sharers(
    view: Snapshot, ids: Iterable[int], node: int, believed: bool = False
) -> list[tuple[TableRow, Shared]]:
    """Other artifacts with some of the tensors: for each the best word for it, and how much.

    Of words that are worth the same, the one that says most. Raises Undecided.
    """
    shared = {one.table_id: one for one in tensors.sharing(view.connection, ids)}
    best: dict[int, tuple[TableRow, Shared]] = {}
    order = list(Assurance)

    def rank(row: TableRow) -> tuple[int, int]:
        return order.index(making.worth(view, row)), -shared[row.id].size

    for row in tensors.tables(view.connection, ids=shared):
        if row.artifact_id == node:
            continue
        if believed and making.worth(view, row) is not Assurance.ATTESTED:
            continue
        known = best.get(row.artifact_id)
        if known is None or rank(row) < rank(known[0]):
            best[row.artifact_id] = row, shared[row.id]
        if len(best) > LIMITS.similar:
            raise Undecided(f"more than {LIMITS.similar} artifacts share tensors with it")
    return list(best.values())
