"""Keyless bundles in the catalogue: verified once, under the trusted roots of this machine.

Which roots verify a bundle, whom it names and since when it exists are facts;
whether those roots and that identity are believed is asked of a trust root later.
The roots that verify a bundle are kept: the first in the statement's own row, the
others in `dated`. When the machine gets another trusted root, or loses one, this
is brought up to date (`again`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, insert, select

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, SignatureRefused
from stemma_attestations.identity import Identity
from stemma_registry.catalogue import dated_facts
from stemma_registry.catalogue import tables as t
from stemma_registry.errors import LedgerBroken


@dataclass(frozen=True)
class Proven:
    """Whom a bundle names, and since when it exists under each root that verifies it."""

    identity: Identity | None = None
    times: Mapping[Digest, datetime] = field(default_factory=dict)

    @property
    def roots(self) -> list[Digest]:
        """In order: what is kept does not hang on which root came first."""
        return sorted(self.times)

    @property
    def certified(self) -> Certified | None:
        """Who that is; None where no root verifies the bundle."""
        if self.identity is None or not self.times:
            return None
        first, *others = self.roots
        return Certified(first, self.identity, tuple(others))


def prove(raw: bytes, roots: Mapping[Digest, bytes]) -> Proven:
    """Verify a keyless bundle under every one of these roots."""
    from stemma_attestations import keyless  # what it stands on takes a second to import

    try:
        found = keyless.verify_each(raw, roots, roots)
    except SignatureRefused:
        return Proven()
    identity = next(iter(found.values())).identity
    return Proven(identity, {digest: said.times[0] for digest, said in found.items()})


def columns(connection: Connection, proven: Proven) -> dict[str, object]:
    """The columns of a statement that say so; the identity gets its row."""
    who = proven.certified
    if who is None:
        return {"signer": None, "root": "", "signed": None}
    known = select(t.identity.c.id).where(t.identity.c.id == who.id)
    if connection.execute(known).first() is None:
        values = {"id": who.id, "document": who.encode().decode()}
        connection.execute(insert(t.identity).values(values))
    signed = dated_facts.micros_of(proven.times[who.root])
    return {"signer": who.id, "root": who.root.value, "signed": signed}


def record(connection: Connection, row: int, proven: Proven) -> None:
    """Keep the roots that have no place in the statement's row."""
    others = {digest: proven.times[digest] for digest in proven.roots[1:]}
    dated_facts.record(connection, row, others)


def certified(connection: Connection, signer_id: str) -> Certified | None:
    """The identity that an id stands for, if one with that id was seen."""
    query = select(t.identity.c.document).where(t.identity.c.id == signer_id)
    document = connection.execute(query).scalar()
    return None if document is None else read_identity(document)


def identities(connection: Connection) -> list[Certified]:
    """All that were seen."""
    documents = connection.execute(select(t.identity.c.document).order_by(t.identity.c.id))
    return [read_identity(text) for text in documents.scalars()]


def read_identity(document: str) -> Certified:
    """A row of `identity`. Raises LedgerBroken."""
    try:
        return Certified.parse(document.encode())
    except BadStatement as error:
        raise LedgerBroken("the catalogue is damaged; run `stemma rebuild`") from error
