"""The walk upward over edges that are worth something, in few queries.

A chain of two thousand models would be two thousand queries, one a level. So whatever
is asked for brings some of what is above it along: nodes that are near, over any edge.
What is brought along by strangers' edges is never stepped on, and it is bounded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stemma_attestations.edges import is_claim
from stemma_attestations.relations import propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import climb
from stemma_registry.catalogue.climb import Saying
from stemma_registry.lineage.hops import Hop, State
from stemma_registry.lineage.status import ORDER
from stemma_registry.registry import Snapshot

# So many nodes are brought along at once; and none where those that were, in vain, are more
# than so many for each that was stepped on.
AHEAD, IN_VAIN = 1_000, 4


@dataclass
class Climb:
    """What leads into nodes: read once for all the walks of a verdict."""

    snapshot: Snapshot
    _into: dict[int, list[Saying]] = field(default_factory=dict)
    _stepped: set[int] = field(default_factory=set)

    def parents(self, frontier: Iterable[State], least: Assurance) -> dict[State, Hop]:
        """The states one step up, over edges that carry something and are worth that.

        Each with the first hop that leads to it. Containment is not followed: `least` is
        attested, signed or claimed.
        """
        states = list(frontier)
        self._load({node for node, _ in states})
        found: dict[State, Hop] = {}
        for child in states:
            for saying in self._into[child[0]]:
                whole = self._worth(saying, child[1])
                if ORDER.index(whole) > ORDER.index(least):
                    continue
                for edge in saying.edges:
                    claim = is_claim(edge.mark, saying.predicate_type)
                    worth = Assurance.CLAIMED if claim else whole
                    if ORDER.index(worth) > ORDER.index(least):
                        continue
                    parent = edge.input_id, edge.input_name
                    if parent not in found and propagates(edge.relation):
                        by = saying.bundle, saying.signer
                        found[parent] = Hop(child, edge.relation, worth, *by)
        return found

    def _worth(self, saying: Saying, asked: str | None) -> Assurance:
        return self.snapshot.trust.assurance(
            saying.signer, saying.predicate_type, saying.name, asked, saying.signed
        )

    def _load(self, nodes: set[int]) -> None:
        self._stepped |= nodes
        missing = {node for node in nodes if node not in self._into}
        if not missing:
            return
        connection, wanted = self.snapshot.connection, missing
        room = IN_VAIN * len(self._stepped) + AHEAD
        if len(missing) < AHEAD and len(self._into) <= room:
            near = climb.above(connection, missing, AHEAD)
            wanted = missing | {node for node in near if node not in self._into}
        self._into.update(climb.into(connection, wanted))
