"""What is at which stage, since when, by whom; and what was there."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations.trust import Assurance
from stemma_registry.catalogue.stages import StageRow
from stemma_registry.lineage import status
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot
from stemma_registry.stages import holding


@dataclass(frozen=True)
class Placed:
    """One statement about a stage.

    `current` is what is there, `counts` what was there once; `quarantined` is asked of now.
    """

    row: StageRow
    signer: str
    assurance: Assurance
    current: bool
    counts: bool
    quarantined: bool


def placed(view: Snapshot, name: str | None = None, history: bool = False) -> list[Placed]:
    """What is where by name and stage; with `history` all that was said, newest first."""
    quarantines = status.load(view, status.stopping(view))
    stopped: dict[tuple[int, str], bool] = {}

    def is_stopped(row: StageRow) -> bool:
        state = (row.artifact_id, row.name.name)
        if state not in stopped:
            near = quarantines.may_reach(view, row.artifact_id)
            stopped[state] = near and bool(status.reach(view, state, quarantines)[0])
        return stopped[state]

    found = []
    for past in holding.histories(view, name).values():
        counted = {row.fact.bundle for row in past.counted}
        for row in reversed(past.said) if history else past.left[-1:]:
            who, worth = signer_label(view, row.fact.signer), holding.worth(view, row)
            counts = row.fact.bundle in counted
            found.append(Placed(row, who, worth, row is past.holder, counts, is_stopped(row)))
    return found
