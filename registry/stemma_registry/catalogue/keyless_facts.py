"""Keyless bundles in the catalogue: verified once, under the trusted roots of this machine.

Which root verifies a bundle, whom it names and since when it exists are facts;
whether that root and that identity are believed is asked of a trust root later.
When the machine gets another trusted root, or loses one, the bundles that this
may change are verified again (`again`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement, SignatureRefused
from stemma_registry.catalogue import tables as t
from stemma_registry.errors import Damaged, LedgerBroken, NotFound

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Roots(Protocol):
    """The trusted roots of this machine."""

    def digests(self) -> Iterable[Digest]:
        """Which there are, in order."""
        ...

    def read(self, digest: Digest) -> bytes:
        """One of them. Raises NotFound, Damaged."""
        ...


class NoRoots:
    """Of a machine that has none."""

    def digests(self) -> Iterable[Digest]:
        """Nothing."""
        return ()

    def read(self, digest: Digest) -> bytes:
        """Raises NotFound."""
        raise NotFound(f"no trusted root {digest.short}")


@dataclass(frozen=True)
class Proven:
    """Who signed a bundle, and since when it provably exists."""

    certified: Certified
    signed: datetime


def prove(raw: bytes, roots: Roots) -> Proven | None:
    """Verify a keyless bundle under the first trusted root that does; None where none does."""
    from stemma_attestations import keyless  # what it stands on takes a second to import

    for digest in roots.digests():
        try:
            found = keyless.verify(raw, roots.read(digest), pin=digest)
        except (SignatureRefused, NotFound, Damaged):
            continue
        return Proven(Certified(digest, found.identity), found.times[0])
    return None


def columns(connection: Connection, proven: Proven | None) -> dict[str, object]:
    """The columns of a statement that say so; the identity gets its row."""
    if proven is not None:
        who = proven.certified
        values = {"id": who.id, "document": who.encode().decode()}
        connection.execute(insert(t.identity).values(values).on_conflict_do_nothing())
    return columns_of(proven)


def columns_of(proven: Proven | None) -> dict[str, object]:
    """The same, where nothing is written."""
    if proven is None:
        return {"signer": None, "root": "", "signed": None}
    who = proven.certified
    return {"signer": who.id, "root": who.root.value, "signed": micros_of(proven.signed)}


def micros_of(time: datetime) -> int:
    """How a time is kept: microseconds of Unix time."""
    return (time - _EPOCH) // _MICROSECOND


def time_of(micros: int) -> datetime:
    """The inverse."""
    return _EPOCH + micros * _MICROSECOND


def certified(connection: Connection, signer_id: str) -> Certified | None:
    """The identity that an id stands for, if one with that id was seen."""
    query = select(t.identity.c.document).where(t.identity.c.id == signer_id)
    document = connection.execute(query).scalar()
    try:
        return None if document is None else Certified.parse(document.encode())
    except BadStatement as error:
        raise LedgerBroken("the catalogue is damaged; run `stemma rebuild`") from error


def fingerprint(roots: Roots) -> str:
    """Of a set of trusted roots: hex, another for another set."""
    return Digest.of("\n".join(digest.value for digest in roots.digests()).encode()).value
