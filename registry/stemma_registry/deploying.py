"""Leaving deployment records: one signed statement for what runs together."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import deployment
from stemma_attestations.predicates.deployment import STOPPED, Deployment
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_duration, parse_time
from stemma_attestations.trust import TrustRoot, described
from stemma_attestations.verdict import Verdict
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import deployed, query
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached
from stemma_registry.foreign.attest import signed_event
from stemma_registry.reference import Resolved
from stemma_registry.registry import Registry, Snapshot, record, snapshot
from stemma_registry.signing import Signer

DEFAULT_LIFE = timedelta(hours=24)
MIN_LIFE = timedelta(minutes=1)


@dataclass(frozen=True)
class Subject:
    """What runs, and under which name."""

    digest: Digest
    name: NameVersion


@dataclass(frozen=True)
class Left:
    """A record that was left: its statement, and the ledger entry that brought it."""

    said: Deployment
    subjects: tuple[Subject, ...]
    statement: Digest
    entry: int
    warnings: tuple[str, ...]


def new_instance() -> str:
    """What tells a run from all others."""
    return secrets.token_hex(16)


def check_life(life: timedelta) -> timedelta:
    """How long a record may count, within bounds. Raises Malformed."""
    if not MIN_LIFE <= life <= deployment.MAX_LIFE:
        raise Malformed(
            f"a record counts for {format_duration(MIN_LIFE)} to "
            f"{format_duration(deployment.MAX_LIFE)}, not {format_duration(life)}"
        )
    return life


def subjects_of(view: Snapshot, verdicts: Sequence[Verdict]) -> tuple[Subject, ...]:
    """What was judged, each under the name it was judged by, or the best it is known by.

    Raises Refused for what has no name.
    """
    found: dict[Subject, None] = {}
    for verdict in verdicts:
        digest, name = verdict.artifact, verdict.name
        node = query.node_id(view.connection, digest) if digest is not None else None
        if digest is None or node is None:
            raise Refused(f"{verdict.resource}: the registry does not know it")
        if name is None:
            _, name = attached.subject_of(view, Resolved(node, digest, None, ""))
        if name is None:
            raise Refused(f"{verdict.resource} has no name, and a record is of a NAME:VERSION")
        found[Subject(digest, name)] = None
    return tuple(found)


def leave(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    subjects: Sequence[Subject],
    said: Deployment,
) -> Left:
    """Sign and append a record. Raises BadStatement, SignatureRefused, LedgerBroken, Unavailable.

    The same record twice is two entries: a record is of a moment.
    """
    descriptors = [ResourceDescriptor(name=str(s.name), digests=(s.digest,)) for s in subjects]
    predicate = deployment.build(said, secrets.token_hex(16))
    statement = Statement.build(descriptors, deployment.TYPE, predicate)
    deployment.check(statement)
    now = said.issued
    with snapshot(registry, trust, now) as view:
        warnings = _warnings(view, signer, subjects, said)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = signed_event(uploads, signer, statement)
    entry = record(registry, trust, signer, now, lambda: [event], uploads)
    if entry is None:  # record appends whatever a decision returns
        raise Refused("nothing was appended")
    return Left(said, tuple(subjects), statement.digest, entry, warnings)


def _warnings(
    view: Snapshot, signer: Signer, subjects: Sequence[Subject], said: Deployment
) -> tuple[str, ...]:
    trust = view.trust.introducing(signer.certified)
    deaf = [
        str(s.name)
        for s in subjects
        if not trust.lets(signer, deployment.TYPE, s.name.name, view.now)
    ]
    found = []
    if deaf:
        found.append(
            f"the trust root does not let {described(signer)} say where {', '.join(deaf[:5])} "
            "runs: the record is shown, and counts for nothing"
        )
    newest = deployed.newest_entry(view.connection)
    behind = parse_time(newest) - said.issued if newest else timedelta(0)
    if behind.total_seconds() > LIMITS.feed_skew_seconds and said.state != STOPPED:
        found.append(
            f"this machine's clock is {format_duration(behind)} behind the ledger's newest "
            "entry, and the record counts by it"
        )
    return tuple(found)
