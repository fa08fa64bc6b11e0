"""A ledger that was lost, put back from an exported one, beside the blobs that are still there.

Entry 0 is put last: until then nobody takes the place for a registry, so nobody can write to half
a ledger, and a run that was cut off is simply run again. Nothing that is there is replaced.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

from stemma_attestations.trust import TrustRoot
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, LedgerBroken, StoreError
from stemma_registry.gitledger.reading import Commits, Found, signed_heads
from stemma_registry.gitledger.verifying import Report
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger import heads, segments
from stemma_registry.ledger.log import entry_key, read_entry
from stemma_registry.ledger.survey import last_number


@dataclass
class Restored:
    """`entries` were put, `blobs` are statements and keys that the store had lost as well."""

    entries: int = 0
    blobs: int = 0


def restore(
    store: Store,
    repository: Repository,
    trust: TrustRoot,
    verified: Report,
    progress: Progress | None = None,
) -> Restored:
    """Put back what `verified` is about.

    Raises AlreadyThere where there is a ledger, or the start of another; LedgerBroken where the
    repository is no longer what was verified; Unavailable.
    """
    if read_entry(store, 0) is not None:
        raise AlreadyThere(f"there is a ledger at {store.location}: nothing of it is replaced")
    if last_number(store) > verified.n:
        raise AlreadyThere(
            f"{store.location} has entries behind entry {verified.n}, where this repository ends: "
            "restore from a later export"
        )
    commits, done = Commits(repository), Restored()
    if len(commits) != verified.n + 1 or commits.id(verified.n) != verified.commit:
        raise LedgerBroken("the repository was changed while it was verified")
    for _, put in ahead(lambda each: _put(store, each), _backwards(commits), LIMITS.transfers):
        done.entries, done.blobs = done.entries + 1, done.blobs + put
        if progress is not None:
            progress(1)
    done.entries, done.blobs = done.entries + 1, done.blobs + _put(store, commits.read(0))
    with contextlib.suppress(StoreError, LedgerBroken):  # a help for readers, no more
        segments.write_missing(store, verified.n)
    _checkpoint(store, repository, trust)
    return done


def _backwards(commits: Commits) -> Iterator[Found]:
    """All but entry 0, the last first. They have the ids that were verified."""
    for n in range(len(commits) - 1, 0, -1):
        yield commits.read(n)


def _put(store: Store, found: Found) -> int:
    """An entry behind what it needs; how many blobs were put. Raises AlreadyThere."""
    put = 0
    for digest, data in found.blobs.items():
        if store.size(digest) != len(data):
            put_bytes(store, data)
            put += 1
    key = entry_key(found.entry.n)
    try:
        store.create(key, found.entry.raw)
    except AlreadyThere:
        if store.read(key) != found.entry.raw:
            raise AlreadyThere(
                f"{store.location} has another entry {found.entry.n}: it is of another ledger"
            ) from None
    return put


def _checkpoint(store: Store, repository: Repository, trust: TrustRoot) -> None:
    """The signed head, where it was lost too."""
    signed = signed_heads(repository, trust)
    if signed and heads.read_checkpoint(store, trust) is None:
        store.replace(heads.CHECKPOINT, signed[-1].raw)
