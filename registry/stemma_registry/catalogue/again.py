"""Another set of trusted roots on this machine: what they prove is brought up to date.

What a root proves about a bundle never changes. So what a root that is gone has
proven is taken away, and a root that is new is asked about every bundle; the
others are not asked again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select, update

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.identity import Identity
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import bulk, dated_facts, keyless_facts
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.keyless_facts import Proven
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken

_HEX = 64


def noted(connection: Connection) -> str | None:
    """The roots that what is there was held against (`Held.names`); None where nothing is."""
    found = bulk.ask(connection, "SELECT roots FROM state")
    return found[0][0].hex() if found else None


def check_again(connection: Connection, store: Store, held: Held) -> None:
    """Hold what is there against the roots that there are now, if those are others.

    Keyless bundles, and every key bundle that says something about its time.
    """
    names = noted(connection)
    if names is None or names == held.names:
        return
    before = {names[start : start + _HEX] for start in range(0, len(names), _HEX)}
    new = {digest: raw for digest, raw in held.roots.items() if digest.value not in before}
    query = select(t.statement.c.id, t.statement.c.bundle, t.statement.c.signer, *dated_facts.TIMES)
    for row in connection.execute(query.where(t.statement.c.root.is_not(None))).all():
        proven = {d.root: d.time for d in dated_facts.times_of(row) if d.root in held.roots}
        dated_facts.forget(connection, row.id)
        raw = _read(store, row.bundle) if new else b""
        if row.root == "" and row.signer is not None:
            more = dated_facts.prove(Bundle.parse(raw), row.signer, new) if new else {}
            dated_facts.record(connection, row.id, {**proven, **more})
        else:
            _keyless(connection, row, Proven(_identity(connection, row), proven), raw, new)
    connection.execute(update(t.state).values(roots=held.names))


def _identity(connection: Connection, row: Any) -> Identity | None:
    who = keyless_facts.certified(connection, row.signer) if row.signer is not None else None
    return who.identity if who is not None else None


def _keyless(
    connection: Connection, row: Any, known: Proven, raw: bytes, new: Mapping[Digest, bytes]
) -> None:
    more = keyless_facts.prove(raw, new) if new else Proven()
    proven = Proven(known.identity or more.identity, {**known.times, **more.times})
    values: dict[str, Any] = keyless_facts.columns(connection, proven)
    connection.execute(update(t.statement).where(t.statement.c.id == row.id).values(values))
    keyless_facts.record(connection, row.id, proven)


def _read(store: Store, bundle: str) -> bytes:
    try:
        return get_bytes(store, Digest("sha256", bundle), LIMITS.manifest_bytes)
    except (BlobMissing, Damaged) as error:
        raise LedgerBroken(
            f"a bundle is not there or damaged ({bundle[:12]}); run `stemma audit`"
        ) from error
