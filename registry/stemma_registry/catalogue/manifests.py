"""The files of artifacts as their manifests say them, from the rows: nothing is read of the store.

So an alias that follows from a manifest alone is found for thousands of artifacts at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy import Connection, select

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.manifest import Entry
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t

AT_ONCE = 100  # artifacts that a query is about


def entries(connection: Connection, ids: Iterable[int]) -> Iterator[tuple[int, tuple[Entry, ...]]]:
    """Each of the artifacts with its files, a portion at a time."""
    ordered = list(dict.fromkeys(ids))
    for start in range(0, len(ordered), AT_ONCE):
        part = ordered[start : start + AT_ONCE]
        asked = (
            select(
                t.manifest_entry.c.artifact_id,
                t.manifest_entry.c.path,
                t.manifest_entry.c.size,
                t.node.c.value,
            )
            .join(t.node, t.node.c.id == t.manifest_entry.c.blob_id)
            .where(t.manifest_entry.c.artifact_id.in_(part))
        )
        found: dict[int, list[Entry]] = {node: [] for node in part}
        for row in connection.execute(asked):
            found[row.artifact_id].append(Entry(row.path, row.size, sha256(row.value)))
        for node, files in found.items():
            yield node, tuple(sorted(files))


def newest(connection: Connection, limit: int, files: int) -> tuple[list[int], bool]:
    """So many artifacts, the newest first, with so many files together; whether there are more."""
    asked = select(t.artifact.c.id, t.artifact.c.files)
    rows = connection.execute(
        asked.order_by(t.artifact.c.n.desc(), t.artifact.c.id).limit(limit + 1)
    )
    found: list[int] = []
    for node, count in rows.all():
        files -= count
        if files < 0 or len(found) == limit:
            return found, True
        found.append(node)
    return found, False


def with_files(connection: Connection, files: Mapping[str, Digest]) -> list[int]:
    """The artifacts that are exactly these files, by path and digest: one, where sizes are true."""
    blob = _any_known(connection, files.values())
    if blob is None:
        return []
    asked = (
        select(t.manifest_entry.c.artifact_id)
        .join(t.artifact, t.artifact.c.id == t.manifest_entry.c.artifact_id)
        .where(t.manifest_entry.c.blob_id == blob, t.artifact.c.files == len(files))
        .distinct()
    )
    near = sorted(connection.execute(asked).scalars())
    return [
        node
        for node, found in entries(connection, near)
        if {entry.path: entry.sha256 for entry in found} == files
    ]


def _any_known(connection: Connection, digests: Collection[Digest]) -> int | None:
    """The node of one of these, the one that fewest artifacts hold; None if one is unknown."""
    fewest: tuple[int, int] | None = None
    for digest in sorted(set(digests))[:_LOOKED_AT]:
        node = query.node_id(connection, digest)
        if node is None:
            return None
        held = select(t.manifest_entry.c.artifact_id).where(t.manifest_entry.c.blob_id == node)
        count = len(connection.execute(held.limit(_MANY)).all())
        fewest = min(fewest or (count, node), (count, node))
    return fewest[1] if fewest else None


_LOOKED_AT, _MANY = 16, 1_000
