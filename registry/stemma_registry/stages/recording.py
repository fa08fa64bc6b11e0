"""Verdicts in the ledger: signed verification summaries."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.trust import TrustRoot, described
from stemma_attestations.verdict import Verdict
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.errors import Refused
from stemma_registry.foreign.attest import signed_event
from stemma_registry.registry import Registry, record
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Recorded:
    """Which statement says it, and the ledger entry that it is in."""

    statement: Digest
    entry: int
    warnings: tuple[str, ...]


def record_verdict(
    registry: Registry, trust: TrustRoot, signer: Signer, verdict: Verdict, now: datetime
) -> Recorded:
    """Sign a verdict, a yes or a no, and append it.

    Raises NotVerified for one without an artifact, LedgerBroken, Unavailable.
    """
    statement = gate.summary(verdict)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = signed_event(uploads, signer, statement)
    entry = record(registry, trust, signer, now, lambda: [event], uploads)
    if entry is None:  # record appends whatever a decision returns
        raise Refused("nothing was appended")
    name = verdict.name.name if verdict.name else None
    warnings = []
    if not trust.lets(signer, vsa.TYPE, name, now):
        who = described(signer)
        warnings.append(f"the trust root does not let {who} judge {verdict.name or 'this'}")
    return Recorded(statement.digest, entry, tuple(warnings))
