"""When bundles were signed: what the trusted roots of this machine prove about it.

Every root is asked, and what each proves is kept beside its digest. Which of them a
trust root believes about time is not known here, and may change.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, LargeBinary, Text, case, cast, delete, func, insert, select

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.times import Dated, Times
from stemma_registry.catalogue import tables as t

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

# The rows of `dated` as one text. Asked for only where a bundle says something about its time.
_EACH = t.in_hex(cast(t.dated.c.root, LargeBinary)).concat(":").concat(cast(t.dated.c.signed, Text))
_ALL = (
    select(func.aggregate_strings(_EACH, ","))
    .where(t.dated.c.statement_id == t.statement.c.id)
    .correlate(t.statement)
    .scalar_subquery()
)
# What a question asks for, so that `times_of` can tell what is proven about a statement.
TIMES = (
    t.statement.c.root,
    t.statement.c.signed,
    case((t.statement.c.root.is_not(None), _ALL), else_=None).label("dated"),
)


def times_of(row: Any) -> Times:
    """What is proven about the time of a statement, from the columns `TIMES`."""
    # Keyless: the roots that name the signer date him too, and one of them is in the row.
    first = [] if row.signed is None else [Dated(time_of(row.signed), sha256(row.root))]
    pairs = [part.split(":") for part in row.dated.lower().split(",")] if row.dated else []
    others = (Dated(time_of(int(micros)), sha256(root)) for root, micros in pairs)
    return tuple(sorted((*first, *others)))


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


def prove(bundle: Bundle, key_id: str, roots: Mapping[Digest, bytes]) -> dict[Digest, datetime]:
    """What each of these roots proves about a bundle that verified with the key."""
    return {one.root: one.time for one in dating.under_roots(bundle, key_id, roots, roots)}


def forget(connection: Connection, row: int) -> None:
    """Keep nothing of a statement."""
    connection.execute(delete(t.dated).where(t.dated.c.statement_id == row))


def record(connection: Connection, row: int, times: Mapping[Digest, datetime]) -> None:
    """Keep these of a statement that has none yet."""
    for root, time in times.items():
        values = {"statement_id": row, "root": root.value, "signed": micros_of(time)}
        connection.execute(insert(t.dated).values(values))


def micros_of(time: datetime) -> int:
    """How a time is kept: microseconds of Unix time."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime:
    """The inverse."""
    return _EPOCH + micros * _MICROSECOND
