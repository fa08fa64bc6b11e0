"""Retiring a name: NAME, or NAME:VERSION, means nothing any more, whatever bytes it is given.

After a quarantine and an erasure nobody gives the name to other bytes and is believed.
"""

from __future__ import annotations

from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion, check_name
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Retired
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.catalogue import acts, query
from stemma_registry.catalogue.rows import VersionRow
from stemma_registry.errors import Refused
from stemma_registry.lineage import retired
from stemma_registry.measures import signing
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.signing import Signer


def named(text: str) -> Retired:
    """NAME or NAME:VERSION. Raises BadName."""
    if ":" not in text:
        return Retired(check_name(text))
    name = NameVersion.parse(text)
    return Retired(name.name, name.version)


def bound(view: Snapshot, of: Retired) -> list[VersionRow]:
    """What has the name now, each version once."""
    rows = query.versions_named(view.connection, of.name)
    return list({str(row.name): row for row in rows if of.is_about(row.name)}.values())


def retire(
    registry: Registry, trust: TrustRoot, signer: Signer, of: Retired, reason: str, now: datetime
) -> tuple[Digest, int]:
    """Retire a name; the digest of the statement, and the ledger entry.

    Raises Refused where that would change nothing, LedgerBroken, Unavailable.
    """
    if not trust.lets(signer, predicate.TYPE, of.name, now):
        raise Refused(f"the trust root does not let {described(signer)} retire {of.label}")
    return signing.stop_matching(registry, trust, signer, of, reason, now)


def refuse(view: Snapshot, name: NameVersion) -> None:
    """Raise Refused for a name that is retired."""
    for stop in retired.stops(view, name, acts.heard(view.connection, view.trust)):
        raise Refused(f"{name}: {stop.target} is {stop.reason} (by {stop.by})")
