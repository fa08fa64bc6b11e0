"""What the ledger refers to, read anew: before bytes are deleted, the catalogue is not enough.

The catalogue is disposable, and may have been taken from somebody else. A row
that it lacks costs an answer everywhere else; where it is believed about what
nothing refers to, it would cost the bytes.
"""

from __future__ import annotations

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.manifest import Manifest
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, read_entry


def referred_to(store: Store, n: int, blobs: set[Digest]) -> set[Digest]:
    """Those of the blobs that an entry up to number `n` refers to.

    Raises LedgerBroken where anything is missing, damaged or out of order:
    what it refers to is then not known.
    """

    def look(number: int) -> tuple[LedgerEntry, set[Digest]]:
        entry = read_entry(store, number)
        if entry is None:
            raise LedgerBroken(f"ledger entry {number} is missing")
        return entry, blobs & _references(store, entry)

    head, found = Head(), set[Digest]()
    for _, (entry, references) in ahead(look, range(n + 1), LIMITS.transfers):
        head.advance(entry)
        found |= references
    return found


def _references(store: Store, entry: LedgerEntry) -> set[Digest]:
    found = {digest for event in entry.events for digest in event.digests}
    for artifact in [digest for event in entry.events for digest in event.artifacts]:
        try:
            manifest = Manifest.parse(get_bytes(store, artifact, LIMITS.manifest_bytes))
        except Malformed:
            continue  # it lists nothing
        except (BlobMissing, Damaged) as error:
            raise LedgerBroken(f"ledger entry {entry.n}: {error}; run `stemma audit`") from error
        found.update(item.sha256 for item in manifest.entries)
    return found
