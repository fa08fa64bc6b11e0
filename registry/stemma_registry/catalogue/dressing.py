"""What the nodes of a trace are shown with, by one question: a server is far away.

Their digests and names, and whether there is anything at all that may mark one of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import status
from stemma_registry.catalogue import bulk, naming, query
from stemma_registry.catalogue.naming import Name
from stemma_registry.catalogue.prepared import AT_ONCE
from stemma_registry.catalogue.rows import VersionRow


class Present(NamedTuple):
    """Whether anybody signed a waiver, a criterion, an erasure, or a quarantine of some nodes."""

    waivers: bool = False
    criteria: bool = False
    erasures: bool = False
    halts: bool = False


class Dressed(NamedTuple):
    """Of each node its digest; the names of those with one, and what names those with several.

    `there` is what there is that may mark one of them, itself or by a file of it.
    """

    digests: dict[int, Digest]
    named: dict[int, Name]
    versions: dict[int, list[VersionRow]]
    there: Present


_THERE = (
    "EXISTS (SELECT 1 FROM waiver)",
    "EXISTS (SELECT 1 FROM criterion)",
    f"EXISTS (SELECT 1 FROM status WHERE action = '{status.ERASE}')",  # noqa: S608 - ours
    "EXISTS (SELECT 1 FROM halt WHERE node_id {among})",
)
_BITS = " + ".join(f"CASE WHEN {one} THEN {1 << at} ELSE 0 END" for at, one in enumerate(_THERE))
_ASKED = (
    "SELECT n.id, n.scheme, n.value, v.name, v.version, v.kind "  # noqa: S608 - ours
    "FROM node n LEFT JOIN version v ON v.artifact_id = n.id WHERE n.id {among} "
    f"UNION ALL SELECT {_BITS}, NULL, NULL, NULL, NULL, NULL"
)


def of(connection: Connection, nodes: Iterable[int]) -> Dressed:
    """All of that. Raises DBAPIError; Rotten for values that are none of ours."""
    ordered, rows, bits = sorted(nodes), list[tuple[int, str, bytes, str, str, str]](), 0
    asked = _ASKED.format(among=bulk.AMONG[connection.dialect.name])
    for start in range(0, len(ordered), AT_ONCE):
        listed = bulk.listed(connection, ordered[start : start + AT_ONCE])
        for row in bulk.ask(connection, asked, listed=listed):
            if row[1] is None:
                bits |= row[0]
            else:
                rows.append(row)
    digests = query.known(connection, [row[:3] for row in rows])
    named = naming.known(connection, [(row[0], *row[3:]) for row in rows if row[3] is not None])
    return Dressed(digests, *named, Present(*(bool(bits & 1 << at) for at in range(4))))
