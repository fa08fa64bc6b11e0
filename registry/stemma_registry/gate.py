"""Before serving: gather what the recipe needs, run it, write the verdict down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stemma_attestations import __version__
from stemma_attestations.digest import Digest
from stemma_attestations.errors import (
    BadManifest,
    NotVerified,
    Quarantined,
    Undecided,
)
from stemma_attestations.lock import Member
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.policy import BUILTIN, Policy, Recheck, Rule
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.request import Request
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance
from stemma_attestations.verdict import Verdict
from stemma_attestations.verify import explain, verify
from stemma_registry import directory
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.errors import BadTree, BlobMissing, Damaged, NotFound
from stemma_registry.freshness import Freshness
from stemma_registry.gathering import Gathered
from stemma_registry.lineage import ancestry, erased, status
from stemma_registry.lineage.erased import Tombstone
from stemma_registry.lineage.remembered import Remembered
from stemma_registry.rechecking import Checked
from stemma_registry.reference import Resolved, best_version, labels, resolve, worth
from stemma_registry.registry import Registry, Snapshot

if TYPE_CHECKING:
    from stemma_registry.foreign.layout import Condition

VERIFIER = "urn:stemma:verifier:v0.1"


@dataclass(frozen=True)
class Terms:
    """What a verdict is asked to hold the artifact to, beside the trust root."""

    policy: Policy = BUILTIN
    stage: str | None = None
    condition: Condition | None = None
    max_age: timedelta | None = None  # of the status; else what the policy says
    stale_ok: str | None = None  # why an older one will do, if the policy lets it
    freshness: Freshness | None = None  # how old it is, where that is known already
    locked: Member | None = None  # what a lock says that it is
    rehash: bool = True  # else files that were read before need not be, if the policy lets it


TERMS = Terms()


@dataclass(frozen=True)
class Subject:
    """What is to be judged: the artifact, what was found, and how it was resolved."""

    resource: str
    found: Resolved
    manifest: Manifest
    observed: Observed
    resolution: tuple[str, ...]
    notes: tuple[str, ...] = ()


def verify_reference(
    registry: Registry,
    view: Snapshot,
    text: str,
    progress: Progress | None = None,
    terms: Terms = TERMS,
) -> Verdict:
    """Judge what a reference names, reading every stored byte; with a layout, by that too.

    NAME#STAGE is judged for that stage, unless the terms name one. Returns the verdict, or
    raises the most severe NotVerified with the verdict in it. Raises NotFound where nothing
    has that name.
    """
    found = resolve(view, text)
    manifest = load_manifest(registry, view, found)
    stones = erased.inside(view, manifest, found.name.name if found.name else None)
    observed = _stored(registry, manifest, stones, progress)
    if found.stage is not None and terms.stage is None:
        terms = replace(terms, stage=found.stage)  # who asks what is there means to serve it there
    how = found.label if found.stage is None else f"{text} is {found.label}"
    resolution = (how, str(manifest.digest))
    subject = Subject(text, found, manifest, observed, resolution)
    return judge(registry, view, subject, terms)


def verify_directory(
    registry: Registry,
    view: Snapshot,
    root: Path,
    expected: NameVersion | None,
    progress: Progress | None = None,
    terms: Terms = TERMS,
) -> Verdict:
    """Judge a directory against NAME:VERSION, or as what its bytes are known as.

    Without an expectation an unknown directory is not verified, and the
    nearest known artifact is named.
    """
    may_recall = terms.policy.recheck is Recheck.STAT and not terms.rehash
    checked = Checked.of(registry.home, root, may_recall, view.now)
    observed = checked.observe(progress)
    if expected is not None:
        found = resolve(view, str(expected))
        manifest = load_manifest(registry, view, found)
        how = f"{root} is held against {expected}"
    else:
        found, manifest = recognise(view, root, observed)
        how = f"{root} has the bytes of {found.label}"
    checked.keep(manifest, observed)
    resolution = (how, str(manifest.digest), *_erased_files(view, found, manifest))
    subject = Subject(str(root), found, manifest, observed, resolution, checked.notes)
    return judge(registry, view, subject, terms)


def obtain(
    registry: Registry, view: Snapshot, text: str, allow_quarantined: bool
) -> tuple[Resolved, Manifest]:
    """What a reference names, to be materialised.

    Raises NotFound, Quarantined, Undecided, and BytesDiffer for what was erased.
    """
    found = resolve(view, text)
    manifest = load_manifest(registry, view, found)
    upstream = status.view(view, found.node, found.name)
    if not allow_quarantined:
        # Who believes nobody cannot tell a real stop from a forged one: any stop holds.
        for stop in upstream.stops or (() if view.trust.signers else upstream.suspects):
            raise Quarantined(f"{text}: {'; '.join(explain(stop))}")
        if upstream.undecided:
            raise Undecided(f"{text}: {upstream.undecided}")
    asked = found.name.name if found.name else None
    erased.refuse_pull(registry.store, view, manifest, asked)
    return found, manifest


def _erased_files(view: Snapshot, found: Resolved, manifest: Manifest) -> list[str]:
    """What was erased from the registry, of an artifact that is elsewhere."""
    stones = erased.inside(view, manifest, found.name.name if found.name else None)
    return [
        f"{entry.path}: {stones[entry.sha256].text} (in the registry)"
        for entry in manifest.entries
        if entry.sha256 in stones
    ]


def load_manifest(registry: Registry, view: Snapshot, found: Resolved) -> Manifest:
    """The manifest of an artifact.

    Raises NotFound for a node that is no artifact, Undecided for a manifest
    that is lost or damaged.
    """
    try:
        raw = get_bytes(registry.store, found.digest, LIMITS.manifest_bytes)
        return Manifest.parse(raw)
    except BlobMissing as error:
        if query.artifacts(view.connection, [found.node]):
            raise Undecided(f"the manifest of {found.label} is lost from the store") from error
        raise NotFound(f"{found.label} is known only by its digest, not stored here") from error
    except BadManifest as error:
        raise NotFound(f"{found.label} is not an artifact (a file, a commit?)") from error
    except Damaged as error:
        raise Undecided(f"the manifest of {found.label} is damaged in the store") from error


def predicate(verdict: Verdict) -> dict[str, Any]:
    """The verdict as a SLSA verification summary (the predicate)."""
    return vsa.build(
        verifier_id=VERIFIER,
        verifier_version={"stemma": __version__},
        time_verified=format_time(verdict.time),
        resource_uri=_resource_uri(verdict),
        policy=ResourceDescriptor(
            uri=f"urn:stemma:policy:{verdict.policy.name}",
            digests=(verdict.policy.digest,),
            annotations={
                "trustRoot": str(verdict.trust_root),
                **({"stage": verdict.stage} if verdict.stage else {}),
                **verdict.policy.source,
            },
        ),
        input_attestations=list(verdict.accepted),
        passed=verdict.passed,
        steps=[step.to_json() for step in verdict.steps],
    )


def summary(verdict: Verdict) -> Statement:
    """The verdict as an in-toto statement. Raises NotVerified where it has no subject."""
    if verdict.artifact is None:
        raise NotVerified(f"{verdict.resource}: there is no artifact to make a statement about")
    name = str(verdict.name) if verdict.name else None
    subject = ResourceDescriptor(name=name, digests=(verdict.artifact,))
    return Statement.build([subject], vsa.TYPE, predicate(verdict))


def judge(registry: Registry, view: Snapshot, subject: Subject, terms: Terms) -> Verdict:
    """Run the recipe. Returns the verdict, or raises NotVerified with the verdict in it."""
    found, condition = subject.found, terms.condition
    names = _believed_names(view, found.node) if found.name is None else ()
    gathered = Gathered(registry, view, found.node, subject.manifest, terms.freshness)
    for name in names:
        # No name is left out by not being said: each is asked for as if it were.
        verify(_request(gathered, subject, terms, name))
    request = _request(gathered, subject, terms, found.name, names)
    if condition is None:
        return verify(request)
    from stemma_registry.foreign import layout  # lazily: few verdicts need it

    if condition.run_inspections:
        try:
            verify(request)
        except NotVerified:  # commands do not run on what is stopped, or is something else
            condition = replace(condition, run_inspections=False)
    step = layout.check(registry, view, found, subject.manifest, condition)
    return verify(replace(request, further=(step,)))


def _request(
    gathered: Gathered,
    subject: Subject,
    terms: Terms,
    name: NameVersion | None,
    also: Sequence[NameVersion] = (),
) -> Request:
    """Everything that the verdict about one name depends on, or about none but `also` these."""
    view = gathered.view
    request = Request(
        resource=subject.resource,
        name=name,
        resolution=subject.resolution,
        expected=subject.manifest,
        observed=subject.observed,
        evidence=gathered.evidence,
        trust=view.trust,
        status=status.view(view, gathered.node, name),
        now=view.now,
        policy=terms.policy,
        stage=terms.stage,
        stale_ok=terms.stale_ok,
        locked=terms.locked,
        roots=gathered.roots,
        also_named=tuple(dict.fromkeys(one.name for one in also)),
        notes=subject.notes,
    )
    limit = age_limit(terms, request.rules)
    if limit is not None:
        request = replace(request, status=gathered.aged(request.status, limit))
    if any(rule.files is not None for rule in request.rules):
        request = replace(request, files=gathered.files)
    if any(rule.rego is not None for rule in request.rules):
        request = replace(request, evaluator=gathered.evaluator)
    if any(rule.tensors is not None for rule in request.rules):
        request = replace(request, tensors=gathered.tensors(name.name if name else None))
    asked = dict.fromkeys(r.ancestors for r in request.rules if r.ancestors is not None)
    if asked:
        walked = gathered.ancestors(name.name if name else None, asked)
        request = replace(request, ancestors=walked, notes=(*subject.notes, *gathered.notes))
    if any(rule.source is not None for rule in request.rules):
        request = replace(request, sources=gathered.sources(request.ancestors or ()))
    return request


def age_limit(terms: Terms, rules: Iterable[Rule]) -> timedelta | None:
    """How old the status may be: what is asked, the policy, and the rules that hold."""
    asked = (terms.max_age, terms.policy.max_age, *(rule.max_age for rule in rules))
    return min((limit for limit in asked if limit is not None), default=None)


def _believed_names(view: Snapshot, node: int) -> tuple[NameVersion, ...]:
    """What believed statements call an artifact. Raises Undecided where those are too many."""
    rows = query.versions_of(view.connection, [node]).get(node, [])
    believed = (row for row in rows if worth(view, row) is Assurance.ATTESTED)
    names = tuple(dict.fromkeys(row.name for row in believed))
    if len(names) > LIMITS.names:
        raise Undecided(f"these bytes have {len(names)} names: say which one is meant")
    return names


def coverage(registry: Registry, view: Snapshot, verdict: Verdict) -> dict[str, int]:
    """How much of what is upstream of what was judged is vouched for, and how.

    Over the edges that the gate believes. Raises Undecided.
    """
    node = query.node_id(view.connection, verdict.artifact) if verdict.artifact else None
    if node is None:
        return ancestry.coverage(())
    roots = registry.trusted_roots.present(view.trust.all_roots)
    start = (node, verdict.name.name if verdict.name else None)
    memory = Remembered.of(registry.home, view.trust, roots)
    found = ancestry.ancestors(view, registry.store, roots, start, memory=memory)
    return ancestry.coverage(found)


def _stored(
    registry: Registry,
    manifest: Manifest,
    stones: Mapping[Digest, Tombstone],
    progress: Progress | None,
) -> Observed:
    """What the store holds of an artifact, every byte of it hashed."""
    if progress is not None:
        progress.expect(manifest.size)

    def read(entry: Entry) -> Entry | tuple[str, str]:
        size, stone = 0, stones.get(entry.sha256)
        if stone is not None and stone.believed:
            return entry.path, stone.text  # also where the bytes are still there
        try:
            for chunk in registry.store.chunks(entry.sha256):
                size += len(chunk)
                if progress is not None:
                    progress(len(chunk))
        except BlobMissing:
            return entry.path, stone.missing if stone else "missing from the store"
        except Damaged:
            return entry.path, "damaged in the store"
        return Entry(entry.path, size, entry.sha256)

    largest_first = sorted(manifest.entries, key=lambda entry: -entry.size)
    found = list(directory.in_parallel(read, largest_first, LIMITS.transfers))
    entries = sorted((f for f in found if isinstance(f, Entry)), key=lambda entry: entry.path)
    return Observed(tuple(entries), tuple(sorted(f for f in found if not isinstance(f, Entry))))


def recognise(view: Snapshot, root: Path, observed: Observed) -> tuple[Resolved, Manifest]:
    """The artifact whose bytes these are. Raises NotVerified, naming the nearest."""
    try:
        manifest = directory.manifest_of(root, observed)
    except BadTree as error:
        raise NotVerified(f"{error}{_nearest(view, observed)}") from error
    node = query.node_id(view.connection, manifest.digest)
    if node is None or not query.artifacts(view.connection, [node]):
        raise NotVerified(f"{root}: unknown bytes{_nearest(view, observed)}; say --as NAME:VERSION")
    rows = query.versions_of(view.connection, [node]).get(node, [])
    best = best_version(view, rows)
    name = best.name if best and len(_believed_names(view, node)) < 2 else None
    return Resolved(node, manifest.digest, name, labels(view, {node})[node]), manifest


def _nearest(view: Snapshot, observed: Observed) -> str:
    """The artifact that shares most files with what was found."""
    blobs = {}
    for entry in observed.entries:
        node = query.node_id(view.connection, entry.sha256)
        if node is not None:
            blobs[node] = entry
    shared: dict[int, set[int]] = {}
    for part in query.containers(view.connection, blobs):
        shared.setdefault(part.artifact_id, set()).add(part.blob_id)
    if not shared:
        return ", and no file of it is known"
    nearest = max(sorted(shared), key=lambda artifact: len(shared[artifact]))
    label = labels(view, {nearest})[nearest]
    count = len(shared[nearest])
    return f"; the nearest is {label} ({count} {'file' if count == 1 else 'files'} in common)"


def _resource_uri(verdict: Verdict) -> str:
    artifact = verdict.artifact or Digest.of(b"")
    if verdict.name is None:
        return f"urn:stemma:artifact:{artifact}"
    return f"urn:stemma:artifact:{verdict.name}@{artifact}"
