"""What there is: an artifact in words, its evidence, and the history of the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import attachment, mlbom, provenance
from stemma_attestations.predicates.criterion import Distrusted, Packaged, Recorded, Retired
from stemma_attestations.request import Stop, Waived
from stemma_attestations.statement import Statement
from stemma_attestations.trust import Assurance
from stemma_registry import aliased, gate
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import acts, aliases, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.rows import ArtifactRow, Fact, VersionRow
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound
from stemma_registry.lineage import marks, radius, retired, status, waivers
from stemma_registry.lineage.erased import Tombstone, inside, tombstones
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.trace import Direction, Trace, trace
from stemma_registry.reference import Resolved, best_version, resolve, worth
from stemma_registry.registry import Registry, Snapshot

if TYPE_CHECKING:
    from stemma_registry.foreign.attached import Seen

_DONE = {
    Distrusted: "distrust",
    Retired: "retire",
    Packaged: "quarantine",
    Recorded: "quarantine",
}


@dataclass(frozen=True)
class Described:
    """A node and what is known about it. `manifest` is None for what is not stored here.

    `erased` are its files (or itself, a file) whose bytes were erased, or are said to be.
    """

    found: Resolved
    manifest: Manifest | None
    versions: tuple[tuple[VersionRow, Assurance, str], ...]
    provenance: provenance.Provenance | None
    made_from: Trace
    contained_in: tuple[tuple[str, str], ...]
    stops: tuple[Stop, ...]
    waived: tuple[Waived, ...]
    erased: tuple[tuple[str, Tombstone], ...]


@dataclass(frozen=True)
class Attestation:
    """A statement about a node, what it is worth, and its bundle."""

    fact: Fact
    assurance: Assurance
    signer: str
    bundle: Bundle | None


@dataclass(frozen=True)
class Listed:
    """One version in a list. `marks` say what stops it, in words, or that it is let pass."""

    version: VersionRow
    digest: Digest
    artifact: ArtifactRow
    assurance: Assurance
    signer: str
    quarantined: bool
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Happening:
    """One statement in the history: a push, an act of custody, a waiver, a promotion.

    `about` is what it names first, and `files` how many files it names besides.
    """

    n: int
    time: str
    what: str
    about: str
    files: int
    signer: str
    reason: str
    bundle: Digest


def describe(registry: Registry, view: Snapshot, text: str) -> Described:
    """Everything worth showing about a reference, or an alias. Raises NotFound, BadDigest."""
    found = aliased.resolve(view, registry.store, text)
    rows = query.versions_of(view.connection, [found.node]).get(found.node, [])
    is_artifact = bool(query.artifacts(view.connection, [found.node]))
    parts = query.containers(view.connection, [found.node])
    owners = query.versions_of(view.connection, [part.artifact_id for part in parts])
    manifest = gate.load_manifest(registry, view, found) if is_artifact else None
    contained = []
    for part in parts:
        best = best_version(view, owners.get(part.artifact_id, []))
        contained.append((str(best.name) if best else "an artifact without a name", part.path))
    seen = status.view(view, found.node, found.name)
    return Described(
        found=found,
        manifest=manifest,
        versions=tuple(
            (row, worth(view, row), signer_label(view, row.fact.signer)) for row in rows
        ),
        provenance=_provenance(registry, view, found),
        made_from=trace(view, found.node, Direction.UP, depth=1),
        contained_in=tuple(sorted(set(contained))),
        stops=seen.stops,
        waived=seen.waived,
        erased=_erased(view, found, manifest),
    )


def _erased(
    view: Snapshot, found: Resolved, manifest: Manifest | None
) -> tuple[tuple[str, Tombstone], ...]:
    if manifest is None:
        stone = tombstones(view).get(found.digest)
        return (("its bytes", stone),) if stone else ()
    stones = inside(view, manifest, found.name.name if found.name else None)
    files = ((entry.path, stones.get(entry.sha256)) for entry in manifest.entries)
    return tuple((path, stone) for path, stone in files if stone is not None)


def attestations(registry: Registry, view: Snapshot, text: str) -> list[Attestation]:
    """Every statement about a reference, in ledger order. Raises NotFound.

    But for model signatures that are attached to it: what is attached says more of them.
    """
    found = aliased.resolve(view, registry.store, text)
    facts = {f.bundle: f for f in reversed(query.facts_about(view.connection, found.node))}
    if any(fact.predicate_type in aliases.TYPES for fact in facts.values()):
        from stemma_registry.foreign.attached import noted  # lazily, as below

        notes = noted(registry, view, found.node)
        items = [item for note in notes for item in note.attachment.items]
        shown = {digest for item in items for digest in (item.digest, *item.bundles)}
        facts = {
            digest: fact
            for digest, fact in facts.items()
            if digest not in shown or fact.predicate_type not in aliases.TYPES
        }
    return [_attestation(registry, view, facts[digest]) for digest in reversed(facts)]


def attached(registry: Registry, view: Snapshot, text: str) -> list[Seen]:
    """What is attached to a reference and is no statement about it. Raises NotFound."""
    found = aliased.resolve(view, registry.store, text)
    facts = query.facts_about(view.connection, found.node)
    if not any(fact.predicate_type == attachment.TYPE for fact in facts):
        return []
    from stemma_registry.foreign.attached import seen  # lazily: it reads formats that few have

    return seen(registry, view, found, gate.load_manifest(registry, view, found))


def bom(registry: Registry, view: Snapshot, text: str) -> dict[str, Any]:
    """The ML-BOM of a reference, by the most believed signer, newest first. Raises NotFound."""
    statement = _best_statement(registry, view, resolve(view, text), mlbom.TYPE)
    if statement is None:
        raise NotFound(f"{text} has no BOM")
    document: dict[str, Any] = json.loads(json.dumps(statement.predicate))
    return document


def listing(view: Snapshot, kind: str | None = None) -> list[Listed]:
    """Every NAME:VERSION once, by name, with its best binding."""
    best: dict[str, VersionRow] = {}
    for row in query.all_versions(view.connection, kind):
        known = best.get(str(row.name))
        best[str(row.name)] = best_version(view, [known, row]) or row if known else row
    ids = [row.artifact_id for row in best.values()]
    digests = query.digests(view.connection, ids)
    artifacts = query.artifacts(view.connection, ids)
    states = {(row.artifact_id, row.name.name) for row in best.values()}
    stopped = radius.stops(view, states, status.load(view, status.stopping(view)))
    criteria = acts.criteria(view.connection)
    found = []
    for row in best.values():
        state = row.artifact_id, row.name.name
        stops, waived = waivers.let_pass(view, *state, stopped.get(state, ()))
        stops += retired.stopping(view, row.name, criteria)
        found.append(
            Listed(
                row,
                digests[row.artifact_id],
                artifacts[row.artifact_id],
                worth(view, row),
                signer_label(view, row.fact.signer),
                bool(stops),
                tuple(sorted({one.mark for one in stops} | ({marks.WAIVED} if waived else set()))),
            )
        )
    return found


def history(view: Snapshot, text: str | None = None, limit: int | None = None) -> list[Happening]:
    """What happened, newest first; with a reference, only what was said about it."""
    columns = (
        t.statement.c.n,
        t.statement.c.time,
        t.statement.c.bundle,
        t.statement.c.signer,
        t.subject.c.name,
        t.subject.c.version,
        t.subject.c.path,
        t.subject.c.node_id,
        t.status.c.action,
        t.status.c.reason,
        t.version.c.kind,
        t.stage.c.stage,
        t.stage.c.action.label("moved"),
        t.stage.c.reason.label("because"),
        t.waiver.c.reason.label("waived"),
    )
    wanted = (
        select(*columns)
        .select_from(t.statement)
        .join(t.subject, t.subject.c.statement_id == t.statement.c.id)
        .outerjoin(t.status, t.status.c.statement_id == t.statement.c.id)
        .outerjoin(t.version, t.version.c.statement_id == t.statement.c.id)
        .outerjoin(t.stage, t.stage.c.statement_id == t.statement.c.id)
        .outerjoin(t.waiver, t.waiver.c.statement_id == t.statement.c.id)
        .where(
            t.status.c.action.is_not(None)
            | t.version.c.kind.is_not(None)
            | t.stage.c.action.is_not(None)
            | t.waiver.c.reason.is_not(None)
        )
        .order_by(t.statement.c.n.desc(), t.statement.c.id.desc(), t.subject.c.position)
    )
    if text is not None:
        wanted = wanted.where(t.subject.c.node_id == resolve(view, text).node)
    rows = view.connection.execute(wanted).all()
    digests = query.digests(view.connection, {row.node_id for row in rows})
    statements: dict[str, list[Any]] = {}
    for row in rows:
        statements.setdefault(row.bundle, []).append(row)
    stopped = {row.fact.bundle.value: row for row in acts.criteria(view.connection)}
    found = [
        _happening(view, rows, digests, stopped.get(bundle)) for bundle, rows in statements.items()
    ]
    return found[:limit]


def _happening(
    view: Snapshot,
    rows: Sequence[Any],
    digests: Mapping[int, Digest],
    stopped: CriterionRow | None,
) -> Happening:
    row = rows[0]
    about = f"{row.name}:{row.version}" if row.name else digests[row.node_id].short
    what = row.action
    if stopped is not None:
        what = _DONE[type(stopped.of)]
        about = stopped.of.label
    moved = f"{row.moved} {row.stage}" if row.moved else None
    if row.waived is not None:
        moved = "waive"
    return Happening(
        n=row.n,
        time=row.time,
        what=what or moved or f"push {row.kind}",
        about=f"{about} {row.path}" if row.path else about,
        files=len(rows) - 1,
        signer=signer_label(view, row.signer),
        reason=row.reason or row.because or row.waived or "",
        bundle=Digest("sha256", row.bundle),
    )


def _attestation(registry: Registry, view: Snapshot, fact: Fact) -> Attestation:
    raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
    try:
        bundle = Bundle.parse(raw)
    except BadBundle:
        bundle = None
    return Attestation(fact, _assurance(view, fact), signer_label(view, fact.signer), bundle)


def _assurance(view: Snapshot, fact: Fact) -> Assurance:
    return view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)


def _provenance(
    registry: Registry, view: Snapshot, found: Resolved
) -> provenance.Provenance | None:
    statement = _best_statement(registry, view, found, provenance.TYPE)
    try:
        return provenance.parse(statement.predicate) if statement else None
    except BadStatement:
        return None


def _best_statement(
    registry: Registry, view: Snapshot, found: Resolved, predicate_type: str
) -> Statement | None:
    """The most believed statement of a type about a node, the newest of those."""
    facts: Sequence[Fact] = [
        fact
        for fact in query.facts_about(view.connection, found.node)
        if fact.predicate_type == predicate_type
        and (found.name is None or fact.about == str(found.name))
    ]
    order = list(Assurance)
    for fact in sorted(facts, key=lambda f: (order.index(_assurance(view, f)), -f.n)):
        try:
            raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
            return Bundle.parse(raw).statement()
        except (BadBundle, BadStatement):
            continue
    return None
