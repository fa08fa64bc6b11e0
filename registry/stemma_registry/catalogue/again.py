"""Another set of trusted roots on this machine: what they prove is asked again."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select, update

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import dated_facts
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.keyless_facts import Roots, columns, fingerprint, prove
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken


def check_again(connection: Connection, store: Store, roots: Roots) -> None:
    """Hold the bundles whose answer may be another against the roots that there are now.

    Keyless bundles whose root is gone or was never there, and every key bundle that
    says something about its time: each root adds what it proves.
    """
    known = [digest.value for digest in roots.digests()]
    query = select(t.statement.c.id, t.statement.c.bundle, t.statement.c.signer, t.statement.c.root)
    due = query.where(t.statement.c.root.is_not(None), t.statement.c.root.not_in(known))
    for row in connection.execute(due).all():
        raw = _read(store, row.bundle)
        if row.root == "" and row.signer is not None:
            dated_facts.record(connection, row.id, Bundle.parse(raw), row.signer, roots)
            continue
        values: dict[str, Any] = columns(connection, prove(raw, roots))
        connection.execute(update(t.statement).where(t.statement.c.id == row.id).values(values))
    connection.execute(update(t.state).values(roots=fingerprint(roots)))


def _read(store: Store, bundle: str) -> bytes:
    try:
        return get_bytes(store, Digest("sha256", bundle), LIMITS.small_object_bytes)
    except (BlobMissing, Damaged) as error:
        raise LedgerBroken(
            f"a bundle is not there or damaged ({bundle[:12]}); run `stemma audit`"
        ) from error
