"""What cannot be told on this machine, because a trusted root that is asked for is not at hand.

A quarantine must not lapse with the root that its signer is listed under, nor an
edge that one flows along. So where a statement might count under a root that is
missing, damaged or cannot be read, nothing can be decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Connection, exists, select

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.listed import Signer
from stemma_attestations.trust import TrustRoot
from stemma_attestations.trusted_root import TrustedRoot
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.keyless_facts import read_identity

_WHY = "the Sigstore trusted root {} is not on this machine, or damaged: {}"


def doubt(connection: Connection, trust: TrustRoot, held: Held) -> str | None:
    """Why nothing can be decided; None where every statement is worth what it should be.

    The facts of the catalogue are those of `held`.
    """
    for digest in _missing(trust.roots, held):
        if _might_speak(connection, trust, digest):
            return _WHY.format(digest.short, "what identities under it have stopped is not known")
    for digest in _missing(trust.time, held):
        if _might_be_older(connection, trust):
            return _WHY.format(digest.short, "whether a revoked key had signed before is not known")
    return None


def _missing(wanted: Iterable[Digest], held: Held) -> list[Digest]:
    return [digest for digest in wanted if not _readable(held.roots.get(digest))]


@lru_cache(maxsize=32)
def _readable(raw: bytes | None) -> bool:
    """Whether it is there, and this version understands it."""
    try:
        return raw is not None and TrustedRoot.parse(raw) is not None
    except Malformed:
        return False


def _might_speak(connection: Connection, trust: TrustRoot, root: Digest) -> bool:
    """Whether there is a keyless bundle that this root may verify.

    One that no root verifies, or one of an identity that is listed under it, and may say
    there what it may say under no root that is here.
    """
    unproven = select(1).where(t.statement.c.root == "", t.statement.c.signer.is_(None)).limit(1)
    if connection.execute(unproven).first() is not None:
        return True
    entries = [s for s in trust.signers if s.root == root and s.identity is not None]
    spoke = exists().where(t.statement.c.signer == t.identity.c.id)
    documents = connection.execute(select(t.identity.c.document).where(spoke)).scalars()
    return any(_would_gain(trust, read_identity(text), entries) for text in documents)


def _would_gain(trust: TrustRoot, who: Certified, entries: Sequence[Signer]) -> bool:
    known = trust.introducing(who).entries(who.id)
    heard = [entry.grants for entry in known if entry.revoked is None]
    return any(
        entry.grants not in heard
        for entry in entries
        if entry.identity is not None and entry.identity.matches(who.identity)
    )


def _might_be_older(connection: Connection, trust: TrustRoot) -> bool:
    """Whether a key has said something that counts if it is older than is proven here."""
    keys = {signer.key.id for signer in trust.signers if signer.key and signer.revoked}
    if not keys:
        return False
    said = select(t.statement.c.signer, *TIMES).where(
        t.statement.c.root == "", t.statement.c.signer.in_(sorted(keys))
    )
    return any(trust.might_matter(row.signer, times_of(row)) for row in connection.execute(said))
