"""What lies between an artifact and what is stopped above it: all that a verdict has to look at.

The shape of what is above is read first, as bare numbers. Then signers, names and times are
read of that alone which leads up to a quarantine, once for all walks of the verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from stemma_registry.catalogue import climb, query
from stemma_registry.catalogue.rows import EdgeRow, PartRow


@dataclass
class Between:
    """The nodes that matter (None: all of them), and what leads into them."""

    connection: Connection
    nodes: frozenset[int] | None = None
    _edges: dict[int, list[tuple[int, EdgeRow]]] = field(default_factory=dict)
    _parts: dict[int, list[PartRow]] = field(default_factory=dict)

    @classmethod
    def of(cls, connection: Connection, above: set[int] | None, ends: Collection[int]) -> Between:
        """What is above a node and not above all of `ends`; all, where that is not known.

        Empty where no edge whatever, nor a file, leads from the node up to one of the ends.
        """
        if above is None:
            return cls(connection)
        found = climb.between(connection, above, ends)
        made = cls(connection, frozenset(found))
        for place, row in enumerate(query.edges_among(connection, found)):
            made._edges.setdefault(row.output_id, []).append((place, row))
        for part in query.containers(connection, found):
            if part.artifact_id in found:
                made._parts.setdefault(part.blob_id, []).append(part)
        return made

    def edges_into(self, nodes: Iterable[int]) -> list[EdgeRow]:
        """The edges into these that matter, in ledger order."""
        if self.nodes is None:
            return query.edges_into(self.connection, nodes)
        here = [pair for node in sorted(set(nodes)) for pair in self._edges.get(node, ())]
        return [row for _, row in sorted(here, key=lambda pair: pair[0])]

    def containers(self, blobs: Iterable[int]) -> list[PartRow]:
        """Where these are contained that matters."""
        if self.nodes is None:
            return query.containers(self.connection, blobs)
        return [part for blob in sorted(set(blobs)) for part in self._parts.get(blob, ())]
