"""Model signatures meet the artifact whose files they list: rows that follow from bytes.

The subject of an OpenSSF model signature is a root that leaves the paths out, so two layouts
share it. What it is about is told by the files it lists, by path and digest: where those are all
the files of an artifact, the statement is about that artifact, whichever of them came first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from sqlalchemy import Connection, func, insert, select

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import signature
from stemma_attestations.statement import Statement
from stemma_registry.catalogue import manifests
from stemma_registry.catalogue import tables as t

TYPES = (signature.TYPE, signature.TYPE_V0)
# Subjects that a statement does not name itself are numbered from here on; it has fewer of its own
# (`statement.MAX_SUBJECTS`). One that came after the statement is hidden from before.
FIRST = 1_000_000


def of_statement(
    connection: Connection, row: int, statement: Statement, node: Callable[[Digest], int]
) -> None:
    """Write down which artifacts a model signature is about. Raises BadStatement."""
    signed = signature.parse(statement)
    about = [node(signed.root), *manifests.with_files(connection, signed.files)]
    known = select(t.subject.c.node_id).where(t.subject.c.statement_id == row)
    own = set(connection.execute(known).scalars())
    _about(connection, row, [one for one in about if one not in own])


def of_artifact(
    connection: Connection,
    node: int,
    manifest: Manifest,
    there: Callable[[Digest], int | None],
    read: Callable[[Digest], bytes],
) -> None:
    """The same for an artifact that came after its signatures. Raises what `read` raises."""
    root = there(manifest.oms_root)
    if root is None:
        return  # nearly always, and this is in the way of every push
    early = (
        select(t.statement.c.id, t.statement.c.bundle)
        .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
        .where(t.subject.c.node_id == root, t.statement.c.predicate_type.in_(TYPES))
        .distinct()
        .order_by(t.statement.c.id)
    )
    files = {entry.path: entry.sha256 for entry in manifest.entries}
    for row in connection.execute(early).all():
        try:
            statement = Bundle.parse(read(Digest("sha256", row.bundle))).statement()
            if signature.parse(statement).files == files:
                _about(connection, row.id, [node])
        except (BadBundle, BadStatement):
            continue  # it said nothing then either


def _about(connection: Connection, row: int, nodes: Iterable[int]) -> None:
    """More subjects of a statement, behind those that are there."""
    last = select(func.max(t.subject.c.position)).where(t.subject.c.statement_id == row)
    position = max(FIRST, (connection.execute(last).scalar() or 0) + 1)
    rows = [
        {"statement_id": row, "position": position + number, "node_id": node}
        for number, node in enumerate(dict.fromkeys(nodes))
    ]
    if rows:
        connection.execute(insert(t.subject), rows)
