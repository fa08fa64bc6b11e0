"""Lifting: a release of a quarantine, or of what is stopped by a criterion.

Where the trust root has a threshold for status statements, as many distinct principals
have to release one before it is lifted: each signs a release of his own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import releasing
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.releasing import Voice
from stemma_attestations.statement import Statement
from stemma_attestations.times import Dated, format_time
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import custody
from stemma_registry.catalogue import query, statuses
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.custody import Target
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage import status
from stemma_registry.measures import criteria
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Released:
    """Which quarantine (the digest of its statement) was released, and the entry that says so.

    `waits` is how many more principals have to release it too, before it is lifted.
    """

    quarantine: Digest
    entry: int
    waits: int = 0


def release(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    text: str,
    reason: str,
    now: datetime,
) -> Released:
    """Lift the quarantine of a reference, or the one whose own digest `text` is.

    A release lifts what it names and nothing else: with several quarantines on
    one reference, one has to be named. Raises NotFound, Refused, Unavailable.
    """
    with snapshot(registry, trust, now) as view:
        rule = criteria.named(view, text, signer)
        if rule is not None:
            subjects, lifted = [criteria.descriptor(rule)], rule.digest
            about, waits = (
                criteria.refusal(view, rule, signer),
                criteria.missing(view, rule, signer),
            )
        else:
            rows = _quarantines_of(view, text, signer)
            digests = query.digests(view.connection, [row.node_id for row in rows])
            subjects = [custody.descriptor(_target_of(row, digests[row.node_id])) for row in rows]
            lifted, about = sha256(rows[0].statement), _refusal(view, rows, signer)
            waits = _missing(view, rows, signer)
    if about is not None:
        raise Refused(f"the trust root does not let {described(signer)} release {about}")
    statement = Statement.build(
        subjects,
        predicate.TYPE,
        predicate.build_release(custody.worded(reason), format_time(now), [lifted]),
    )
    _, entry = custody.append(registry, trust, signer, statement, now)
    return Released(lifted, entry, waits)


def _refusal(view: Snapshot, rows: Sequence[StatusRow], signer: Signer) -> str | None:
    """What of it the signer may not release; None where he may release all."""
    for row in rows:
        if not view.trust.lets(signer, predicate.TYPE, row.fact.name, view.now):
            return row.fact.about or "what has no name"
    return None


def _missing(view: Snapshot, rows: Sequence[StatusRow], signer: Signer) -> int:
    """How many more principals have to release it, when this one has."""
    trust = view.trust.introducing(signer.certified)
    needed = max(trust.needed(predicate.TYPE, row.fact.name) for row in rows)
    voices = [status.voice(fact) for fact in rows[0].lifts]
    return max(0, needed - releasing.principals(trust, [*voices, own(view, signer)]))


def own(view: Snapshot, signer: Signer) -> Voice:
    """The voice of somebody who is about to sign."""
    who = signer.certified
    return Voice(signer.id, (Dated(view.now, who.root),) if who else ())


def _quarantines_of(view: Snapshot, text: str, signer: Signer) -> list[StatusRow]:
    """The rows of the one quarantine that `text` names. Raises NotFound, Refused."""
    standing = status.in_force(view)
    rows = [row for row in standing if not _is_released(view, row, signer)]
    named = {r.statement for r in rows if _names(text, r.statement)}
    if not named and any(_names(text, row.statement) for row in standing):
        raise NotFound(criteria.BY_ANOTHER.format(described(signer)))
    if not named and any(_names(text, row.statement) for row in _quarantines(view)):
        raise NotFound(f"{text} is released already")
    label = text
    if len(named) != 1:
        target, node = custody.target_of(view, text)
        label = target.label
        named = {r.statement for r in rows if r.node_id == node}
    if not named:
        others = [f"sha256:{one[:12]}" for one in criteria.naming(view, node)]
        if others:
            raise Refused(f"{label} is stopped with what has the same: release {' '.join(others)}")
        raise NotFound(
            f"{label} is not quarantined itself (`stemma verify` says by what it is stopped)"
        )
    if len(named) > 1:
        listed = " ".join(f"sha256:{statement[:12]}" for statement in sorted(named))
        raise Refused(f"{label} is under several quarantines; release one of: {listed}")
    return [row for row in rows if row.statement in named]


def _quarantines(view: Snapshot) -> list[StatusRow]:
    return statuses.statuses(view.connection, predicate.QUARANTINE)


def _is_released(view: Snapshot, row: StatusRow, signer: Signer) -> bool:
    """Whether a release by this signer would lift nothing that is not lifted already."""
    trust, me = view.trust.introducing(signer.certified), own(view, signer)
    voices = [status.voice(fact) for fact in row.lifts]
    return releasing.is_spent(trust, me, voices, view.now)


def _names(text: str, statement: str) -> bool:
    """Whether `text` is a statement's digest, or at least twelve digits of it."""
    prefix = text.removeprefix("sha256:")
    return text.startswith("sha256:") and len(prefix) >= 12 and statement.startswith(prefix)


def _target_of(row: StatusRow, digest: Digest) -> Target:
    """The target that a row of a quarantine is about."""
    name = NameVersion(row.fact.name, row.fact.version or "") if row.fact.name else None
    return Target(digest, name, row.path)
