"""When key bundles were signed: what the trusted roots of this machine prove about it.

Every root is asked, and what each proves is kept beside its digest. Which of them a
trust root believes about time is not known here, and may change.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, LargeBinary, Text, case, cast, delete, func, insert, select

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.times import Dated, Times
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.keyless_facts import Roots, micros_of, time_of
from stemma_registry.errors import Damaged, NotFound

# The rows of `dated` as one text. Asked for only where a bundle says something about its time.
_EACH = (
    func.hex(cast(t.dated.c.root, LargeBinary), type_=Text)
    .concat(":")
    .concat(cast(t.dated.c.signed, Text))
)
_ALL = (
    select(func.group_concat(_EACH))
    .where(t.dated.c.statement_id == t.statement.c.id)
    .correlate(t.statement)
    .scalar_subquery()
)
# What a question asks for, so that `times_of` can tell what is proven about a statement.
TIMES = (
    t.statement.c.root,
    t.statement.c.signed,
    case((t.statement.c.root == "", _ALL), else_=None).label("dated"),
)


def times_of(row: Any) -> Times:
    """What is proven about the time of a statement, from the columns `TIMES`."""
    if row.signed is not None:  # keyless: the root that names the signer dates him too
        return (Dated(time_of(row.signed), sha256(row.root)),)
    if not row.dated:
        return ()
    pairs = (part.split(":") for part in row.dated.lower().split(","))
    return tuple(sorted(Dated(time_of(int(micros)), sha256(root)) for root, micros in pairs))


def signer_of(connection: Connection, bundle: Digest) -> tuple[str, Times] | None:
    """Who signed the statement in a bundle, and what is proven about the time.

    None where the bundle is not in the catalogue, or its signature does not verify.
    """
    query = select(t.statement.c.signer, *TIMES).where(
        t.is_one_of(t.statement.c.bundle, [bundle.value]), t.statement.c.signer.is_not(None)
    )
    row = connection.execute(query).first()
    return (row.signer, times_of(row)) if row else None


def mark(bundle: Bundle) -> str | None:
    """The column `root` of a key bundle."""
    return "" if dating.has_evidence(bundle) else None


def record(connection: Connection, row: int, bundle: Bundle, key_id: str, roots: Roots) -> None:
    """Keep what this machine's roots prove about a bundle that verified with the key."""
    connection.execute(delete(t.dated).where(t.dated.c.statement_id == row))
    if not dating.has_evidence(bundle):
        return
    digests = list(roots.digests())
    proven = dating.under_roots(bundle, key_id, digests, _present(roots, digests))
    for one in proven:
        values = {"statement_id": row, "root": one.root.value, "signed": micros_of(one.time)}
        connection.execute(insert(t.dated).values(values))


def _present(roots: Roots, digests: list[Digest]) -> dict[Digest, bytes]:
    found = {}
    for digest in digests:
        try:
            found[digest] = roots.read(digest)
        except (NotFound, Damaged):
            continue
    return found
