"""Files of artifacts that are said to come from something, or to hold packages: a small table.

What is said of such a file is said of every artifact that contains it. A walk upward would have
to ask that of each file of each ancestor, and datasets have thousands. Nobody is believed here:
the walk looks at the edges into such a file, and at its BOMs, as at others (`lineage.status`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, exists, literal_column, select

from stemma_registry.catalogue import bulk
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.nodes import Nodes
from stemma_registry.catalogue.prepared import Prepared
from stemma_registry.catalogue.rows import PartRow

_THERE = "stemma_made"  # in a connection's info
_OUTPUTS = {
    name: (
        "INSERT INTO made (artifact_id, blob_id) SELECT e.artifact_id, e.blob_id "  # noqa: S608
        f"FROM manifest_entry e WHERE e.blob_id {among} ON CONFLICT DO NOTHING"
    )
    for name, among in bulk.AMONG.items()
}
_FILES = """
INSERT INTO made (artifact_id, blob_id)
SELECT e.artifact_id, e.blob_id FROM manifest_entry e
WHERE e.artifact_id = :artifact AND (
 EXISTS (SELECT 1 FROM edge WHERE edge.output_id = e.blob_id) OR EXISTS (
  SELECT 1 FROM subject b JOIN statement s ON s.id = b.statement_id
  JOIN packaged p ON p.statement_id = s.id
  WHERE b.node_id = e.blob_id AND s.predicate_type = :bom))
ON CONFLICT DO NOTHING
"""
# From artifacts to what leads into their files, in the order in which SQLite is to go: up from
# what `{near}` is, and down to them.
UP = (
    "made ON made.artifact_id = {near} CROSS JOIN edge ON edge.output_id = made.blob_id",
    "made.artifact_id",
)
DOWN = (
    "edge ON edge.input_id = {near} CROSS JOIN made ON made.blob_id = edge.output_id",
    "edge.input_id",
)
BOTH = "made JOIN edge ON edge.output_id = made.blob_id"  # as PostgreSQL finds by itself
_PART = (t.manifest_entry.c.artifact_id, t.manifest_entry.c.blob_id, t.manifest_entry.c.path)
_MADE = Prepared(
    lambda among: (
        select(*_PART)
        .join(
            t.made,
            (t.made.c.artifact_id == t.manifest_entry.c.artifact_id)
            & (t.made.c.blob_id == t.manifest_entry.c.blob_id),
        )
        .where(among(t.made.c.artifact_id), exists().where(t.edge.c.output_id == t.made.c.blob_id))
        .order_by(*_PART)
    )
)
_THIS = Prepared(
    lambda among: select(*_PART).where(
        among(t.manifest_entry.c.artifact_id),
        t.manifest_entry.c.blob_id == literal_column(":blob"),
    )
)
_SPOKEN = Prepared(lambda among: select(t.made.c.blob_id).where(among(t.made.c.artifact_id)))

_HELD = Prepared(lambda among: select(t.made.c.blob_id).where(among(t.made.c.blob_id)).distinct())


def are_there(connection: Connection) -> bool:
    """Whether there may be any: mostly there are none, and a walk is faster where it asks once.

    A server is not asked: that takes it longer than the walk.
    """
    if connection.dialect.name != "sqlite" or connection.info.get(_THERE):
        return True
    there = bool(bulk.ask(connection, "SELECT 1 FROM made LIMIT 1"))
    if there:  # they stay
        connection.info[_THERE] = True
    return there


def of_files(connection: Connection, outputs: Collection[int], nodes: Nodes) -> None:
    """Note those of the outputs of new edges, or of what a BOM is about, that are files."""
    if nodes.files is None:
        ((highest,),) = bulk.ask(connection, "SELECT max(blob_id) FROM manifest_entry")
        nodes.files = highest or 0
    # Nodes are numbered as they come: those of bulk history were never a file of anything.
    known = sorted(node for node in set(outputs) if node <= nodes.files)
    if known:
        asked = _OUTPUTS[connection.dialect.name]
        bulk.run(connection, asked, listed=bulk.listed(connection, known))


def of_artifact(
    connection: Connection, artifact: int, blobs: Sequence[int], nodes: Nodes, *, new: bool
) -> None:
    """Note such files of a new artifact; its files are there.

    There are none where all of them are `new`.
    """
    if nodes.files is not None:
        nodes.files = max(nodes.files, *blobs, 0)
    if not new:
        from stemma_attestations.predicates import mlbom  # lazily: a projection has it, no question

        bulk.run(connection, _FILES, artifact=artifact, bom=t.CODES[mlbom.TYPE])


def files(
    connection: Connection, artifacts: Collection[int], also: int | None = None
) -> list[PartRow]:
    """The files of these that came from something, by artifact, and where `also` is one."""
    found = _MADE.rows(connection, artifacts) if are_there(connection) else []
    if also is not None:
        found += _THIS.rows(connection, artifacts, blob=also)
    parts = [PartRow(row.artifact_id, row.blob_id, row.path) for row in found]
    return parts if also is None else list(dict.fromkeys(parts))


def spoken_of(connection: Connection, artifacts: Collection[int]) -> set[int]:
    """The files of these that anything is said of: also those with a BOM that lists packages."""
    if not are_there(connection):
        return set()
    return {row.blob_id for row in _SPOKEN.rows(connection, artifacts)}


def held(connection: Connection, blobs: Collection[int]) -> set[int]:
    """Those of what something is said of that are files of artifacts."""
    if not are_there(connection):
        return set()
    return {row.blob_id for row in _HELD.rows(connection, blobs)}
