"""What lies between an artifact and what is stopped above it: all that a verdict has to look at.

The shape of what is above is read first, as bare numbers. Then signers, names and times are
read of that alone which leads up to a quarantine, once for all walks of the verdict.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from sqlalchemy import Connection

from stemma_registry.catalogue import climb, made, query
from stemma_registry.catalogue.rows import EdgeRow, PartRow


@dataclass
class Between:
    """The nodes that matter (None: all of them), and what leads into them."""

    connection: Connection
    nodes: frozenset[int] | None = None
    _edges: dict[int, list[tuple[int, EdgeRow]]] = field(default_factory=dict)
    _parts: dict[int, list[PartRow]] = field(default_factory=dict)
    _files: dict[int, list[PartRow]] = field(default_factory=dict)  # by artifact

    @classmethod
    def of(cls, connection: Connection, above: set[int] | None, ends: Collection[int]) -> Between:
        """What is above a node and not above all of `ends`; all, where that is not known.

        Empty where no edge whatever, nor a file, leads from the node up to one of the ends.
        """
        if above is None:
            return cls(connection)
        found = climb.between(connection, above, ends)
        way = cls(connection, frozenset(found))
        for part in made.files(connection, found):
            way._files.setdefault(part.artifact_id, []).append(part)
        files = {part.blob_id for parts in way._files.values() for part in parts}
        for place, row in enumerate(query.edges_among(connection, found | files)):
            if row.input_id in found:
                way._edges.setdefault(row.output_id, []).append((place, row))
        for part in query.containers(connection, found):
            if part.artifact_id in found:
                way._parts.setdefault(part.blob_id, []).append(part)
        return way

    def edges_into(self, nodes: Iterable[int]) -> list[EdgeRow]:
        """The edges into these that matter, in ledger order."""
        if self.nodes is None:
            return query.edges_into(self.connection, nodes)
        here = [pair for node in sorted(set(nodes)) for pair in self._edges.get(node, ())]
        return [row for _, row in sorted(here, key=lambda pair: pair[0])]

    def edges_into_files(self, artifacts: Collection[int]) -> list[tuple[EdgeRow, PartRow]]:
        """The edges into files of these that matter, each with the file: in ledger order."""
        files: dict[int, list[PartRow]] = {}
        if self.nodes is None:
            found = made.files(self.connection, artifacts)
        else:
            found = [part for one in sorted(artifacts) for part in self._files.get(one, ())]
        for part in found:
            files.setdefault(part.blob_id, []).append(part)
        if not files:  # nearly always
            return []
        return [(row, part) for row in self.edges_into(files) for part in files[row.output_id]]

    def containers(self, blobs: Iterable[int]) -> list[PartRow]:
        """Where these are contained that matters."""
        if self.nodes is None:
            return query.containers(self.connection, blobs)
        return [part for blob in sorted(set(blobs)) for part in self._parts.get(blob, ())]
