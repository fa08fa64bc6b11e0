"""Whether somebody declared that two artifacts have to do with each other."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

from stemma_attestations.errors import BadTable, Undecided
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import query, tensors
from stemma_registry.catalogue.tensors import TableRow
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.lineage.climbing import Climb
from stemma_registry.lineage.hops import State
from stemma_registry.registry import Snapshot
from stemma_registry.tensors.making import best_first, load, worth

# What an artifact is to the one that is asked about.
ANCESTOR, DESCENDANT, SIBLING = "ancestor", "descendant", "sibling"
_ORDER = (Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED)


@dataclass(frozen=True)
class Declared:
    """What another artifact is, and the weakest word that this rests on."""

    relation: str
    assurance: Assurance


@dataclass
class Kin:
    """The declared kin of an artifact: a node, and the name that it is asked about by.

    An artifact upstream of another explains all that they share. What both were made from
    explains the tensors that it holds itself, and no others; so does a file of the one that
    the other was made from.
    """

    view: Snapshot
    store: Store
    state: State
    _met: dict[tuple[State, Assurance], set[int]] = field(default_factory=dict)
    _way: Climb = field(init=False)

    def __post_init__(self) -> None:
        self._way = Climb(self.view)

    def of(self, other: State, shared: set[int], least: Assurance) -> Declared | None:
        """What another artifact is, with which it shares these tensors; None: undeclared.

        Words that are worth less than `least` do not count. Raises Undecided where either has
        too many ancestors.
        """
        for assurance in _ORDER[: _ORDER.index(least) + 1]:
            relation = self._relation(other, shared, assurance)
            if relation is not None:
                return Declared(relation, assurance)
        return None

    def _relation(self, other: State, shared: set[int], least: Assurance) -> str | None:
        ours, theirs = self._above(self.state, least), self._above(other, least)
        if other[0] in ours:
            return ANCESTOR
        if self.state[0] in theirs:
            return DESCENDANT
        our_files, their_files = self._files(self.state), self._files(other)
        third = (ours & theirs) | (our_files & theirs) | (ours & their_files)
        if not third or not shared <= self._held(third, least):
            return None
        if ours & their_files:
            return ANCESTOR
        return DESCENDANT if our_files & theirs else SIBLING

    def _held(self, nodes: set[int], least: Assurance) -> set[int]:
        """The tensors of artifacts and of files."""
        connection = self.view.connection
        rows = self._good(tensors.tables(connection, artifacts=nodes), least)
        held = set(tensors.rows_of(connection, [row.id for row in rows]))
        owners = {part.artifact_id for part in query.containers(connection, nodes)}
        rows = self._good(tensors.tables(connection, artifacts=owners), least)
        blobs = set(query.digests(connection, nodes).values()) if rows else set()
        for row in list({row.digest: row for row in rows}.values())[: LIMITS.tensor_tables]:
            with suppress(BadTable, BlobMissing, Damaged):
                files = [file for file in load(self.store, row).files if file.blob in blobs]
                found = {one.digest: one.size for file in files for one in file.tensors}
                held |= tensors.present(connection, found).keys()
        return held

    def _good(self, rows: list[TableRow], least: Assurance) -> list[TableRow]:
        """Those that count, the best first."""
        if least is Assurance.ATTESTED:
            rows = [row for row in rows if worth(self.view, row) is Assurance.ATTESTED]
        return best_first(self.view, rows)

    def _files(self, state: State) -> set[int]:
        return {part.blob_id for part in query.parts(self.view.connection, [state[0]])}

    def _above(self, start: State, least: Assurance) -> set[int]:
        """Everything upstream, along edges that carry something and are worth that much."""
        if (start, least) in self._met:
            return self._met[start, least]
        met, frontier = {start}, [start]
        while frontier:
            frontier = [s for s in self._way.parents(frontier, least) if s not in met]
            met.update(frontier)
            if len(met) > LIMITS.ancestors:
                raise Undecided(f"more than {LIMITS.ancestors} ancestors; the limit is a named one")
        found = {node for node, _ in met if node != start[0]}
        self._met[start, least] = found
        return found
