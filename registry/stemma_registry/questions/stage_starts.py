"""What is at a stage, under any name: `stage:prod`."""

from __future__ import annotations

from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.lineage.words import word_of
from stemma_registry.registry import Snapshot
from stemma_registry.stages import holding

SCHEME = "stage:"
RELATION = "at-stage"


def origin(view: Snapshot, text: str, direction: Direction) -> Origin:
    """The start of a trace from everything at a stage. Raises NotFound."""
    stage = text.removeprefix(SCHEME)
    edges = []
    for (_, where), history in holding.histories(view).items():
        row = history.holder
        if where == stage and row is not None:
            word = word_of(view, row.fact, holding.worth(view, row))
            node = row.artifact_id
            ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
            edges.append(TraceEdge(*ends, RELATION, (word,), path=row.where))
    if not edges:
        raise NotFound(f"nothing is at stage {stage!r:.40} (see `stemma stages`)")
    return Origin(text, "stage", tuple(edges))
