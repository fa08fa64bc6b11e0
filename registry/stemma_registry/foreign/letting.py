"""Letting things in: approvals of an artifact for a stage, admissions of what has no provenance.

Each is a signed statement in the ledger, and never there twice: it has a nonce.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.evidence import MAKING
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import admission, approval
from stemma_attestations.predicates.admission import Admission
from stemma_attestations.predicates.approval import Approval
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached
from stemma_registry.foreign.attest import signed_event
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, record
from stemma_registry.registry import snapshot as take
from stemma_registry.signing import Signer

MAX_ADMITTED = 10_000  # of one statement: every gate that meets one of them reads it whole


@dataclass(frozen=True)
class Subject:
    """What was let in."""

    digest: Digest
    name: NameVersion | None


@dataclass(frozen=True)
class Let:
    """What was said about which subjects, and the ledger entry that says so."""

    subjects: tuple[Subject, ...]
    statement: Digest
    entry: int
    warnings: tuple[str, ...]


def approve(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    text: str,
    approval_of: Approval,
) -> Let:
    """Approve the bytes that a reference names, under its NAME:VERSION, for a stage.

    Raises NotFound, Refused for what has no name, LedgerBroken, Unavailable.
    """
    now = approval_of.issued
    with take(registry, trust, now) as view:
        found = resolve(view, text)
        gate.load_manifest(registry, view, found)  # an artifact, not a file or a commit
        descriptor, name = attached.subject_of(view, found)
        if name is None:
            raise Refused(f"{text} has no name, and an approval is for a NAME:VERSION")
        warnings = _unheard(trust, signer, approval.TYPE, [name], now)
        if _made(view, found, signer):
            warnings.append(f"{described(signer)} made {name}: nobody approves what he made")
    predicate = approval.build(approval_of, secrets.token_hex(16))
    statement = Statement.build([descriptor], approval.TYPE, predicate)
    entry = _append(registry, trust, signer, statement, now)
    return Let((Subject(found.digest, name),), statement.digest, entry, tuple(warnings))


def admit(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    texts: Sequence[str],
    admission_of: Admission,
) -> Let:
    """Let in what the references name, in one statement.

    A bare digest may be of anything that the registry knows as an input. Raises NotFound,
    Refused, LedgerBroken, Unavailable.
    """
    now = admission_of.issued
    if not texts or len(texts) > MAX_ADMITTED:
        raise Refused(f"{len(texts)} references; one admission is of 1 to {MAX_ADMITTED}")
    described_by: dict[tuple[Digest, NameVersion | None], ResourceDescriptor] = {}
    with take(registry, trust, now) as view:
        for text in texts:
            found = resolve(view, text)
            if found.digest.algorithm != "sha256":
                raise Refused(f"{text} is no bytes; what has no provenance is admitted, not code")
            descriptor, name = attached.subject_of(view, found)
            described_by[found.digest, name] = descriptor
    names = [name for _, name in described_by]
    predicate = admission.build(admission_of, secrets.token_hex(16))
    statement = Statement.build(list(described_by.values()), admission.TYPE, predicate)
    warnings = _unheard(trust, signer, admission.TYPE, names, now)
    entry = _append(registry, trust, signer, statement, now)
    subjects = tuple(Subject(digest, name) for digest, name in described_by)
    return Let(subjects, statement.digest, entry, tuple(warnings))


def _append(
    registry: Registry, trust: TrustRoot, signer: Signer, statement: Statement, now: datetime
) -> int:
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = signed_event(uploads, signer, statement)
    entry = record(registry, trust, signer, now, lambda: [event], uploads)
    if entry is None:  # record appends whatever a decision returns
        raise Refused("nothing was appended")
    return entry


def _unheard(
    trust: TrustRoot,
    signer: Signer,
    kind: str,
    names: Sequence[NameVersion | None],
    now: datetime,
) -> list[str]:
    """The warning that it would not count, where the trust root does not let the signer."""
    deaf = [n for n in names if not trust.lets(signer, kind, n.name if n else None, now)]
    if not deaf:
        return []
    shown = ", ".join(str(name or "what has no name") for name in dict.fromkeys(deaf[:5]))
    more = f" and {len(deaf) - 5} more" if len(deaf) > 5 else ""
    return [f"the trust root does not let {described(signer)} say this about {shown}{more}"]


def _made(view: Snapshot, found: Resolved, signer: Signer) -> bool:
    """Whether somebody whom the signer is says that he made it."""
    trust = view.trust.introducing(signer.certified)
    who = {entry.principal for entry in trust.entries(signer.id)}
    return any(
        fact.signer is not None
        and (trust.is_same(fact.signer, signer) or who & _people(trust, fact.signer))
        for fact in query.facts_about(view.connection, found.node)
        if fact.predicate_type in MAKING
    )


def _people(trust: TrustRoot, signer_id: str) -> set[str]:
    return {entry.principal for entry in trust.entries(signer_id)}
