"""A trust root's bytes, put where whoever pins their digest finds them.

That changes nobody's mind: which trust root holds is said by a pin on each machine. So
the entry needs no statement, and a reader that does not know it may pass it over.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.trust import TrustRoot
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue.collection import unreferenced
from stemma_registry.ledger.entry import TRUST, Event
from stemma_registry.registry import Registry, record, settle, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Published:
    """What to pin. `entry` is None where something refers to those bytes already."""

    digest: Digest
    entry: int | None


def publish(
    registry: Registry, trust: TrustRoot, signer: Signer, raw: bytes, now: datetime
) -> Published:
    """Put a trust root into the store, and an entry that keeps it there.

    Raises BadTrustRoot, LedgerBroken, Unavailable.
    """
    TrustRoot.parse(raw)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    digest = uploads.put(raw)
    event = Event(TRUST, keys=(digest,), critical=False)

    def is_there() -> bool:
        with snapshot(registry, trust, now) as view:
            return not unreferenced(view.connection, [digest])

    entry = None
    if not is_there():
        entry = record(registry, trust, signer, now, lambda: [] if is_there() else [event], uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    return Published(digest, entry)
