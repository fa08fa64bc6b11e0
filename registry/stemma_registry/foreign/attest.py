"""Saying something about an artifact: one signed statement with a predicate of the user's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations import json_strict
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadJSON, BadStatement
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import (
    admission,
    approval,
    attachment,
    checkpoint,
    dataset,
    deployment,
    dossier,
    git_layout,
    git_signature,
    imported,
    lineage,
    provenance,
    record_index,
    snapshot,
    stage,
    status,
    tags,
    tensors,
    waiver,
)
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import gate
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.foreign import attached
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, record, settle
from stemma_registry.registry import snapshot as take
from stemma_registry.signing import Signer

MAX_TYPE = 2_048
# Predicate types that are Stemma's own to make -> the command that makes them.
OWN: Mapping[str, str] = {
    provenance.TYPE: "`stemma push`, or `stemma attach` for another builder's",
    lineage.TYPE: "`stemma push` with --input",
    dataset.TYPE: "`stemma push --kind dataset`",
    tensors.TYPE: "`stemma push`, or `stemma tensors --build`",
    status.TYPE: "`stemma quarantine`, `stemma release` or `stemma erase`",
    checkpoint.TYPE: "any command that writes; each leaves one",
    snapshot.TYPE: "`stemma snapshot`",
    attachment.TYPE: "`stemma attach`",
    imported.TYPE: "`stemma import`",
    approval.TYPE: "`stemma approve`",
    admission.TYPE: "`stemma admit`",
    waiver.TYPE: "`stemma waive`",
    deployment.TYPE: "`stemma exec --report` or `stemma verify --report`",
    stage.TYPE: "`stemma promote` or `stemma rollback`",
    dossier.TYPE: "`stemma dossier`",
    git_layout.TYPE: "`stemma add` or `stemma import git`",
    git_signature.TYPE: "`stemma import commits`",
    tags.TYPE: "`stemma tags sync`",
    record_index.TYPE: "`stemma push --kind dataset`, or `stemma index`",
}
_RESERVED = "urn:stemma:"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+\Z")


@dataclass(frozen=True)
class Attested:
    """What was said: `entry` is None where all of it was there."""

    artifact: Digest
    name: NameVersion | None
    statement: Digest
    entry: int | None
    warnings: tuple[str, ...]


def attest(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    said: tuple[str, str, bytes],
    now: datetime,
    expected: Digest | None = None,
) -> Attested:
    """Sign (REF, predicate type, predicate as JSON) as a statement, and append it.

    The same statement by the same signer is there only once. Raises NotFound, Refused,
    BadStatement, LedgerBroken, Unavailable; Refused too where REF is not `expected`.
    """
    text, predicate_type, raw = said
    check_type(predicate_type)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    with take(registry, trust, now) as view:
        found = resolve(view, text)
        if expected not in (None, found.digest):
            raise Refused(f"{text} is {found.digest.short} by now, not {expected}")
        gate.load_manifest(registry, view, found)  # an artifact, not a file or a commit
        subject, name = attached.subject_of(view, found)
    statement = _statement(subject, predicate_type, raw)

    def is_said() -> bool:
        with take(registry, trust, now) as view:
            return _is_said(registry, view, found, statement, signer)

    entry = None
    if not is_said():
        event = signed_event(uploads, signer, statement)
        entry = record(registry, trust, signer, now, lambda: [] if is_said() else [event], uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    warnings = []
    if not trust.lets(signer, predicate_type, name.name if name else None, now):
        who = described(signer)
        warnings.append(f"the trust root does not let {who} say this about {name or text}")
    return Attested(found.digest, name, statement.digest, entry, tuple(warnings))


def signed_event(uploads: Uploads, signer: Signer, statement: Statement) -> Event:
    """A statement that is signed now, to be appended."""
    return Event(
        PUSH,
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )


def check_type(predicate_type: str) -> None:
    """Raise Refused for a type with a command of its own, BadStatement for what is no URI."""
    own = OWN.get(predicate_type)
    if own is not None or predicate_type.startswith(_RESERVED):
        how = f": it is made by {own}" if own else ""
        raise Refused(f"{predicate_type} is a predicate type of Stemma's own{how}")
    if not _URI.match(predicate_type) or len(predicate_type) > MAX_TYPE:
        raise BadStatement(f"{predicate_type!r:.80} is not a URI (--type https://...)")


def _statement(subject: ResourceDescriptor, predicate_type: str, raw: bytes) -> Statement:
    try:
        predicate = json_strict.load_object(raw)
    except BadJSON as error:
        raise BadStatement(f"the predicate: {error}") from error
    return Statement.build([subject], predicate_type, predicate)


def _is_said(
    registry: Registry, view: Snapshot, found: Resolved, statement: Statement, signer: Signer
) -> bool:
    for fact in query.facts_about(view.connection, found.node):
        same = view.trust.is_same(fact.signer, signer)
        if fact.predicate_type != statement.predicate_type or not same:
            continue
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        try:
            if Bundle.parse(raw).envelope.payload == statement.raw:
                return True
        except BadBundle:
            continue
    return False
