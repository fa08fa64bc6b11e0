"""How a measure gets into the ledger: one signed statement, one entry."""

from __future__ import annotations

import secrets
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Criterion
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry.care.uploads import Uploads
from stemma_registry.errors import Refused
from stemma_registry.ledger.entry import STATUS, Event
from stemma_registry.registry import Registry, record
from stemma_registry.signing import Signer


def reason(text: str) -> str:
    """A reason that says something. Raises Refused."""
    if not text.strip():
        raise Refused("a reason is required, for whoever reads this at three in the morning")
    return text.strip()


def stop_matching(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    of: Criterion,
    because: str,
    now: datetime,
) -> tuple[Digest, int]:
    """Stop what a criterion says; the statement's digest and the ledger entry.

    Raises Refused, LedgerBroken, Unavailable.
    """
    said = predicate.build_matching(of, reason(because), format_time(now), secrets.token_hex(16))
    subject = ResourceDescriptor(digests=(criterion.subject(of),))
    statement = Statement.build([subject], predicate.TYPE, said)
    return statement.digest, append(registry, trust, signer, statement, now)


def append(
    registry: Registry, trust: TrustRoot, signer: Signer, statement: Statement, now: datetime
) -> int:
    """Sign a statement and append it; the ledger entry. Raises LedgerBroken, Unavailable."""
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = Event(
        STATUS,
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )
    entry = record(registry, trust, signer, now, lambda: [event], uploads)
    if entry is None:  # record appends whatever a decision returns
        raise Refused("nothing was appended")
    return entry
