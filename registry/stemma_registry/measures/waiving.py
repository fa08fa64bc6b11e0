"""Waiving: one artifact may be served in spite of one quarantine, until a day."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from stemma_attestations import releasing
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import waiver as predicate
from stemma_attestations.predicates.waiver import Waiver
from stemma_attestations.releasing import Voice
from stemma_attestations.request import Stop
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.catalogue import acts
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage import status, waivers
from stemma_registry.measures import signing
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.signing import Signer

MIN_PREFIX = 12


@dataclass(frozen=True)
class Wish:
    """What is to be let pass: a reference, in spite of which quarantine, until when, and why.

    `quarantine` is the digest of its statement, or the beginning of that.
    """

    text: str
    quarantine: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class Done:
    """What was waived, by which statement in which entry.

    `waits` is how many more principals have to waive it too, before it counts.
    """

    name: NameVersion
    artifact: Digest
    quarantine: Digest
    statement: Digest
    entry: int
    waits: int


def waive(registry: Registry, trust: TrustRoot, signer: Signer, wish: Wish, now: datetime) -> Done:
    """Sign and append a waiver. Raises NotFound, Refused, LedgerBroken, Unavailable."""
    if wish.until <= now or wish.until > now + timedelta(days=LIMITS.waiver_days):
        raise Refused(f"a waiver ends within {LIMITS.waiver_days} days, and not before it begins")
    with snapshot(registry, trust, now) as view:
        found = resolve(view, wish.text)
        name = found.name
        if name is None:
            raise Refused(f"{wish.text} has no name, and a waiver is for a NAME:VERSION")
        quarantine = _stopping(view, found, name, wish)
        if not view.trust.lets(signer, predicate.TYPE, name.name, now):
            raise Refused(f"the trust root does not let {described(signer)} waive for {name}")
        waits = _missing(view, found, name, quarantine, signer)
    said = Waiver(quarantine, signing.reason(wish.reason), now, wish.until)
    subject = ResourceDescriptor(name=str(name), digests=(found.digest,))
    statement = Statement.build(
        [subject], predicate.TYPE, predicate.build(said, secrets.token_hex(16))
    )
    entry = signing.append(registry, trust, signer, statement, now)
    return Done(name, found.digest, quarantine, statement.digest, entry, waits)


def _stopping(view: Snapshot, found: Resolved, name: NameVersion, wish: Wish) -> Digest:
    """The quarantine that is meant, which must stop it from further up."""
    prefix = wish.quarantine.removeprefix("sha256:")
    if len(prefix) < MIN_PREFIX:
        raise Refused(f"--quarantine: write at least {MIN_PREFIX} hex digits of its digest")
    upstream = status.view(view, found.node, name)
    stops: list[Stop] = [*upstream.stops, *(one.stop for one in upstream.waived)]
    meant = [one for one in stops if one.statement and one.statement.value.startswith(prefix)]
    if not meant:
        listed = " ".join(one.statement.short for one in stops if one.statement)
        raise NotFound(
            f"no such quarantine stops {name}" + (f"; it is stopped by {listed}" if listed else "")
        )
    first = meant[0]
    if first.own:
        raise Refused(f"{name} is quarantined itself, not only what it came from: no waiver helps")
    if first.statement is None or len({one.statement for one in meant}) > 1:
        raise Refused(f"{wish.quarantine} is the beginning of more than one digest")
    return first.statement


def _missing(
    view: Snapshot, found: Resolved, name: NameVersion, quarantine: Digest, signer: Signer
) -> int:
    rows = [
        row
        for row in acts.waivers(view.connection, found.node)
        if row.quarantine == quarantine.value
        and waivers.is_in_force(view, row, name.name, view.now)
    ]
    voices = [Voice(row.fact.signer, row.fact.signed) for row in rows]
    trust = view.trust.introducing(signer.certified)
    count = releasing.principals(trust, [*voices, Voice(signer.id)])
    return max(0, view.trust.needed(predicate.TYPE, name.name) - count)
