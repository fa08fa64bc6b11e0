"""What stops nodes themselves, in a word each, and which are let pass in spite of a stop."""

from __future__ import annotations

from collections.abc import Collection

from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import acts, halts
from stemma_registry.catalogue.dressing import Present
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.lineage import matched, support, waivers
from stemma_registry.lineage.status import in_force, quarantine_worth
from stemma_registry.registry import Snapshot

WAIVED = "waived"


def of(snapshot: Snapshot, nodes: Collection[int], there: Present) -> dict[int, set[str]]:
    """The marks of those that have any, under whatever name they may be asked for.

    `there` is what of them there is at all: most traces meet nothing that anybody ever stopped.
    """
    found = dict[int, set[str]]()
    quarantines = list[StatusRow]()
    if there.waivers or there.halts:
        # What a waiver is in spite of may stop something that is not among the nodes.
        stopped = None if there.waivers else halts.among(snapshot.connection, set(nodes))
        quarantines = in_force(snapshot, stopped)
    if there.waivers:
        standing = {row.statement for row in quarantines}
        standing |= {row.statement for row in acts.criteria(snapshot.connection)}
        found |= {node: {WAIVED} for node in waivers.holders(snapshot, standing) if node in nodes}
    lost = support.lost(snapshot, nodes)
    met = matched.among(snapshot, nodes) if there.criteria else []
    for row in (*quarantines, *lost, *met):
        if row.node_id in nodes and quarantine_worth(snapshot, row, None) is Assurance.ATTESTED:
            found.setdefault(row.node_id, set()).add(row.mark)
    return found
