"""What artifacts are called. Most have one name: of those nobody asks who says so."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, select

from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.prepared import Prepared
from stemma_registry.catalogue.rows import VersionRow

Name = tuple[str, str]  # NAME:VERSION, and the kind
_NAMES = Prepared(
    lambda among: select(
        t.version.c.artifact_id, t.version.c.name, t.version.c.version, t.version.c.kind
    ).where(among(t.version.c.artifact_id))
)


def names_of(
    connection: Connection, ids: Iterable[int]
) -> tuple[dict[int, Name], dict[int, list[VersionRow]]]:
    """The names of those nodes that one statement names, and what names each of the others."""
    return known(connection, _NAMES.raw(connection, ids))


def known(
    connection: Connection, rows: Sequence[tuple[int, str, str, str]]
) -> tuple[dict[int, Name], dict[int, list[VersionRow]]]:
    """The same of nodes whose names are known: node, name, version and kind."""
    found: dict[int, Name] = {node: (f"{name}:{number}", kind) for node, name, number, kind in rows}
    if len(found) == len(rows):
        return found, {}
    once, several = set[int](), set[int]()
    for node, *_ in rows:
        (several if node in once else once).add(node)
    single = {node: name for node, name in found.items() if node not in several}
    return single, query.versions_of(connection, several)
