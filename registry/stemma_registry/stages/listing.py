"""What is at which stage, since when, by whom; and what was there."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations.trust import Assurance
from stemma_registry.catalogue.stages import StageRow
from stemma_registry.lineage import radius, status
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
    pasts = holding.histories(view, name).values()
    states = {(row.artifact_id, row.name.name) for past in pasts for row in past.said}
    stopped = radius.stops(view, states, status.load(view, status.stopping(view)))
    found = []
    for past in pasts:
        counted = {row.fact.bundle for row in past.counted}
        for row in reversed(past.said) if history else past.left[-1:]:
            who, worth = signer_label(view, row.fact.signer), holding.worth(view, row)
            counts = row.fact.bundle in counted
            is_stopped = (row.artifact_id, row.name.name) in stopped
            found.append(Placed(row, who, worth, row is past.holder, counts, is_stopped))
    return found
