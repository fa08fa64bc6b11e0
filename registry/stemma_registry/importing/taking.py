"""One import is one ledger entry: the document as a blob, and a signed statement of its edges.

Whoever signs has seen the document. What it says stays a claim (docs/formats/import.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.documents.reading import Reading
from stemma_attestations.errors import BadBundle, BadName, BadStatement
from stemma_attestations.named import parse
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import imported
from stemma_attestations.predicates.imported import Claim
from stemma_attestations.relations import SAME_AS
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry import gate
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Document:
    """What is imported: its name for people, its bytes, which tool it is of, what was read."""

    name: str
    raw: bytes
    source: str
    reading: Reading


@dataclass(frozen=True)
class Taken:
    """What came of it: `entry` is None where all of it was there."""

    document: Digest
    statement: Digest
    claims: tuple[Claim, ...]
    notes: tuple[str, ...]
    entry: int | None


def artifact(registry: Registry, view: Snapshot, text: str) -> Resolved:
    """The artifact that a reference names. Raises NotFound, Refused for what is none."""
    found = resolve(view, text)
    gate.load_manifest(registry, view, found)
    return found


def same(
    registry: Registry, view: Snapshot, reading: Reading, pairs: Iterable[tuple[str, str]]
) -> None:
    """Claim that things of the document are artifacts here, by (name of the thing, REF) each.

    Raises Refused, NotFound.
    """
    for text, ref in pairs:
        try:
            thing = parse(text)
        except BadName as error:
            raise Refused(f"{text:.80} is no name of a thing: {error}") from error
        reading.claim(artifact(registry, view, ref).digest, SAME_AS, thing, "exact")


def take(
    registry: Registry, trust: TrustRoot, signer: Signer, document: Document, now: datetime
) -> Taken:
    """Keep a document and what it says. The same by the same signer is there only once.

    Raises Refused where it says nothing, BadStatement, LedgerBroken, Unavailable.
    """
    claims = tuple(document.reading.claims)
    if not claims:
        why = "; ".join(document.reading.notes[:3])
        raise Refused(
            f"{document.name}: nothing in it says what came from what{': ' + why if why else ''}"
        )
    uploads = Uploads.begin(registry.store, registry.catalogue)
    digest = Digest.of(document.raw)
    # A file may be called as an artifact is: the document is none.
    label = document.name if subject_name(document.name) is None else None
    subject = ResourceDescriptor(name=label, digests=(digest,))
    statement = Statement.build([subject], imported.TYPE, imported.build(document.source, claims))

    def is_there() -> bool:
        with snapshot(registry, trust, now) as view:
            return _is_said(registry, view, digest, statement, signer)

    entry = None
    if not is_there():
        blob = uploads.put(document.raw)
        event = Event(
            PUSH,
            bundles=tuple(dict.fromkeys([uploads.put(signer.sign(statement).raw), blob])),
            keys=tuple(uploads.put(key) for key in signer.keys),
        )
        entry = record(registry, trust, signer, now, lambda: [] if is_there() else [event], uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
    return Taken(digest, statement.digest, claims, tuple(document.reading.notes), entry)


def _is_said(
    registry: Registry, view: Snapshot, document: Digest, statement: Statement, signer: Signer
) -> bool:
    """Whether the signer said exactly these edges of the document before."""
    node = query.node_id(view.connection, document)
    for fact in query.facts_about(view.connection, node) if node is not None else ():
        if fact.predicate_type != imported.TYPE or not view.trust.is_same(fact.signer, signer):
            continue
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        try:
            before = Bundle.parse(raw).statement()
            if before.predicate == statement.predicate:
                return True
        except (BadBundle, BadStatement):
            continue
    return False
