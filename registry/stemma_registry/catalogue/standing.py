"""How far a catalogue is projected: the one row of `state`, read once by whoever goes on there."""

from __future__ import annotations

import secrets
from typing import NamedTuple

from sqlalchemy import Connection

from stemma_attestations.digest import Digest
from stemma_attestations.merkle import Frontier
from stemma_registry.catalogue import bulk
from stemma_registry.ledger.log import Head

_READ = "SELECT n, entry, peaks, roots, made, bare FROM state"
# `made` is of the first time, and `bare` is said by `bare`.
_SAVE = (
    "INSERT INTO state (id, n, entry, peaks, before, roots, made, bare) "
    "VALUES (1, :n, :entry, :peaks, :before, :roots, :made, FALSE) "
    "ON CONFLICT (id) DO UPDATE SET n = excluded.n, entry = excluded.entry, "
    "peaks = excluded.peaks, before = excluded.before, roots = excluded.roots"
)
Mark = tuple[int, bytes | None]  # nobody projected anything while it is the same


class Standing(NamedTuple):
    """The row; `roots` are the trusted roots that all of it was held against (`Held.names`).

    `bare`: an index is still to be made (see `bare`).
    """

    n: int
    entry: str
    peaks: bytes
    roots: str
    made: bytes | None
    bare: bool

    @property
    def head(self) -> Head:
        """The ledger up to there."""
        peaks = [self.peaks[i : i + 32] for i in range(0, len(self.peaks), 32)]
        return Head(self.n, Digest.parse(self.entry), Frontier(self.n + 1, peaks))

    @property
    def mark(self) -> Mark:
        """Which moment of which catalogue that is."""
        return self.n, self.made


def read(connection: Connection) -> Standing | None:
    """Where it stands; None where nothing is projected."""
    for n, entry, peaks, roots, made, bare in bulk.ask(connection, _READ):
        return Standing(n, entry, peaks, roots.hex(), made, bool(bare))
    return None


def save(
    connection: Connection, before: Standing | None, head: Head, peaks: list[bytes], roots: str
) -> Mark:
    """Write down how far it came; `peaks` are those without the last entry."""
    made = secrets.token_bytes(16) if before is None else before.made
    bulk.run(
        connection,
        _SAVE,
        n=head.n,
        entry=str(head.entry),
        peaks=b"".join(head.tree.peaks),
        before=b"".join(peaks),
        roots=bytes.fromhex(roots),
        made=made,
    )
    return head.n, made
