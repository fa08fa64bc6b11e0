"""Whether artifacts that are served together belong together.

An adapter is made for one base, and a model for one tokenizer: with another they run, and
say something else. Lineage that is believed tells which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations.names import NameVersion
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.lineage.hops import State
from stemma_registry.lineage.status import edge_worth
from stemma_registry.reference import labels
from stemma_registry.registry import Snapshot

# Relation -> the kind of what has to stand beside whoever has it.
COMPANIONS: Mapping[str, str] = {"adapter-of": "model", "tokenized-by": "tokenizer"}
# The same weights in another form stand for what they were made from.
SAME = frozenset({"quantized-from", "converted-from"})


@dataclass(frozen=True)
class Piece:
    """An artifact of a set, under its word."""

    word: str
    node: int
    name: NameVersion
    kind: str


@dataclass(frozen=True)
class Fit:
    """What does not fit in a set, a line each, and what is worth a look."""

    wrong: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def fit(view: Snapshot, pieces: Sequence[Piece]) -> Fit:
    """Hold a set against what believed lineage says its pieces were made for.

    Of several that one was made for, any may be there. Where none is, another of that
    kind is wrong, and none of that kind is worth a look: it may be served elsewhere.
    """
    wrong, warnings = [], []
    for piece in pieces:
        for relation, kind in COMPANIONS.items():
            declared = _declared(view, piece, relation)
            others = [one for one in pieces if one is not piece and one.kind == kind]
            if not declared or any(_stands_for(view, one, declared) for one in others):
                continue
            named = ", ".join(sorted(labels(view, declared).values()))
            said = f"{piece.word} ({piece.name}) is {relation} {named}"
            if others:
                have = ", ".join(f"{one.word} ({one.name})" for one in others)
                wrong.append(f"{said}, and the set has {have}")
            else:
                warnings.append(f"{said}, which is not in the set")
    return Fit(tuple(wrong), tuple(warnings))


def _declared(view: Snapshot, piece: Piece, relation: str) -> set[int]:
    return {
        edge.input_id
        for edge in query.edges_into(view.connection, [piece.node])
        if edge.relation == relation
        and edge_worth(view, edge, piece.name.name) is Assurance.ATTESTED
    }


def _stands_for(view: Snapshot, piece: Piece, declared: set[int]) -> bool:
    """Whether it is one of them, has one of them as a file, or is one in another form."""
    met: set[State] = set()
    frontier: list[State] = [(piece.node, piece.name.name)]
    while frontier and len(met) < LIMITS.names:
        met.update(frontier)
        nodes = {node for node, _ in frontier}
        if nodes & declared:
            return True
        asked = frontier
        frontier = []
        for edge in query.edges_into(view.connection, nodes):
            parent = (edge.input_id, edge.input_name)
            believed = any(
                node == edge.output_id and edge_worth(view, edge, name) is Assurance.ATTESTED
                for node, name in asked
            )
            if edge.relation in SAME and believed and parent not in met:
                frontier.append(parent)
    held = query.containers(view.connection, declared)
    return any(part.artifact_id == piece.node for part in held)
