"""The way in: hash a directory once, sign what is said about it, store, append.

Nothing is visible before the ledger entry, and everything is after it. A push
that was cut off anywhere is pushed again: blobs that are there are found and
not written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from stemma_attestations import __version__
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion, subject_name
from stemma_attestations.policy import WITHOUT_COMMIT
from stemma_attestations.predicates import dataset, git_layout, lineage, mlbom, provenance
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.predicates.provenance import GitSource, Input
from stemma_attestations.relations import BUILD_OF, KINDS, RELATIONS
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance, TrustRoot, described
from stemma_registry import directory, environment, layouts
from stemma_registry.blobs.streams import Progress
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.directory import Tree
from stemma_registry.errors import NameTaken, NotFound, Refused, Uncommitted
from stemma_registry.gitrepo.capturing import Captured, capture
from stemma_registry.intake import Intake, Known, changed
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.lineage import erased, status
from stemma_registry.measures import retiring
from stemma_registry.reference import binding, resolve, whole_digest, worth
from stemma_registry.registry import Registry, Snapshot, record, settle, snapshot
from stemma_registry.signing import Signer
from stemma_registry.stat_cache import StatCache
from stemma_registry.tensors.making import NOTHING, Made, at_push
from stemma_registry.tensors.reading import Told

BUILDER = "urn:stemma:builder:push:v0.1"


class Outcome(StrEnum):
    """What a push did to the ledger."""

    CREATED = "created"  # a new name
    ADDED = "added"  # the same bytes with something new said about them
    UNCHANGED = "unchanged"  # all of it was there


@dataclass(frozen=True)
class Push:
    """What to publish, and what is said about it.

    `inputs` are (relation, reference) pairs, `build` is inferred from them
    where it is None. Git is captured around `working_directory`. Without
    `stat_cache` every byte is read, whatever `stat` says of its file; without `tensors`
    no digests are taken of the tensors in it. With `tree` only those files of the directory
    are; `known` ones belong to it that are not in it. With `source` that is the commit;
    `layout` is how the files are committed, where that is known and does not go without saying.
    """

    directory: Path
    name: NameVersion
    kind: str
    inputs: Sequence[tuple[str, str]]
    parameters: Mapping[str, str]
    working_directory: Path
    build: str | None = None
    stat_cache: bool = True
    tensors: bool = True
    require_clean: bool = False
    started: datetime | None = None
    tree: Tree | None = None
    known: Sequence[Known] = ()
    source: GitSource | None = None
    layout: Layout | None = None


@dataclass(frozen=True)
class Published:
    """The result: `entry` is None where nothing had to be appended."""

    artifact: Digest
    manifest: Manifest
    outcome: Outcome
    entry: int | None
    source: GitSource | None
    warnings: tuple[str, ...]


def publish(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    push: Push,
    now: datetime,
    progress: Progress | None = None,
) -> Published:
    """Publish a directory as NAME:VERSION.

    Raises BadTree, NameTaken, Uncommitted, NotFound (an input), Refused,
    Unavailable, LedgerBroken. Returns only when the push is durable.
    """
    _check(push)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    registry.store.sweep(LIMITS.stale_temporary_seconds)
    tree = push.tree or directory.scan(push.directory)
    captured = Captured(push.source)
    if push.source is None:
        captured = capture(push.working_directory, push.directory)
    if push.require_clean and (captured.source is None or captured.source.dirty):
        reason = captured.why_not or "tracked files differ from the commit"
        raise Uncommitted(f"--require-clean: {reason}")
    with snapshot(registry, trust, now) as view:
        inputs, warnings = _inputs(view, push.inputs)
        warnings += _advice(view, signer, push, captured.source, captured.why_not)
        # Bytes that were erased must not come back, even for a moment.
        look_first = binding(view, push.name) is not None or bool(erased.tombstones(view))
    cache = StatCache.of(registry.home, push.directory) if push.stat_cache else StatCache.off()
    heard: dict[Digest, Told] | None = {} if push.tensors else None
    intake = Intake(registry.store, tree, cache, progress, heard, push.known)
    intake.check()
    # The bytes of a new name are stored as they are read. Where the name is taken, it is
    # seen first whether they are the same: what is refused is not stored.
    manifest = intake.look() if look_first else intake.take_in()
    work = _Work(registry, trust, signer, push, manifest, inputs, captured.source, now, uploads)
    entry = None
    if work.outcome() is not Outcome.UNCHANGED:
        if look_first and (stored := intake.take_in()) != manifest:
            raise changed(manifest, stored)
        uploads.also(
            {e.sha256 for e in manifest.entries}, lambda lost: intake.again(manifest, lost)
        )
        if heard is not None and not work.only_layout:
            work.listen(heard)
            warnings += work.tensors.notes
        entry = work.append()
    if entry is None:
        settle(registry)  # `unchanged` is a promise, too
    return Published(
        manifest.digest, manifest, work.decided, entry, captured.source, tuple(warnings)
    )


@dataclass
class _Work:
    """One push between its parts: what is known, and how it was decided."""

    registry: Registry
    trust: TrustRoot
    signer: Signer
    push: Push
    manifest: Manifest
    inputs: list[Input]
    source: GitSource | None
    now: datetime
    uploads: Uploads
    decided: Outcome = Outcome.UNCHANGED
    tensors: Made = NOTHING
    only_layout: bool = False  # all but that was said before

    def listen(self, heard: Mapping[Digest, Told]) -> None:
        """Put together what was told of the files, and of those that were not read now."""
        with snapshot(self.registry, self.trust, self.now) as view:
            self.tensors = at_push(view, self.registry.store, self.signer, self.manifest, heard)

    def outcome(self) -> Outcome:
        """What this push would do now. Raises NameTaken, and Refused for what was erased."""
        with snapshot(self.registry, self.trust, self.now) as view:
            erased.refuse_push(view, self.manifest, self.push.name.name)
            self.decided = _outcome(
                view, self.push.name, self.manifest, self.signer, self._definition()
            )
            self.only_layout = self.decided is Outcome.UNCHANGED and self._is_new_layout(view)
        if self.only_layout:
            self.decided = Outcome.ADDED
        return self.decided

    def _is_new_layout(self, view: Snapshot) -> bool:
        layout, node = self.push.layout, query.node_id(view.connection, self.manifest.digest)
        if layout is None or not layout.fits or node is None:
            return False
        return not layouts.is_said(view, self.registry.store, node, layout, self.signer)

    def append(self) -> int | None:
        """Store what is said about the stored files, then the one entry that makes all visible."""
        bundles = [self.signer.sign(statement) for statement in self._statements()]
        event = self._event(bundles)
        return record(
            self.registry,
            self.trust,
            self.signer,
            self.now,
            lambda: [] if self.outcome() is Outcome.UNCHANGED else [event],
            self.uploads,
        )

    def _event(self, bundles: Sequence[Bundle]) -> Event:
        uploads, table = self.uploads, self.tensors.table
        further = (uploads.put(table.raw),) if table is not None else ()
        return Event(
            PUSH,
            artifacts=(uploads.put(self.manifest.raw),),
            bundles=tuple(uploads.put(bundle.raw) for bundle in bundles),
            keys=(*(uploads.put(key) for key in self.signer.keys), *further),
        )

    def _definition(self) -> str:
        """What was built from what: with who says it, that makes a repeated push the same."""
        return provenance.parse(self._provenance()).definition.value

    def _provenance(self) -> dict[str, Any]:
        push, finished = self.push, format_time(self.now)
        started = format_time(push.started) if push.started else finished
        return provenance.build(
            build=_build(push),
            kind=push.kind,
            inputs=self.inputs,
            parameters=push.parameters,
            source=self.source,
            builder=BUILDER,
            started=started,
            finished=finished,
        )

    def _statements(self) -> list[Statement]:
        push, artifact = self.push, self.manifest.digest
        subject = [ResourceDescriptor(name=str(push.name), digests=(artifact,))]
        laid = self._layout(subject)
        if self.only_layout:
            return laid
        edges = list(self.inputs)
        if self.source is not None:
            edges.append(Input("built-from", Digest("gitCommit", self.source.commit)))
        predicates = [
            (provenance.TYPE, self._provenance()),
            (lineage.TYPE, lineage.build(artifact, edges)),
            (mlbom.TYPE, self._bom()),
        ]
        if push.kind == "dataset":
            about = dataset.build(
                self.manifest,
                source=push.parameters.get("source"),
                licence=push.parameters.get("license"),
            )
            predicates.append((dataset.TYPE, about))
        said = [Statement.build(subject, kind, predicate) for kind, predicate in predicates]
        return [*said, *self.tensors.statement(subject[0]), *laid]

    def _layout(self, subject: Sequence[ResourceDescriptor]) -> list[Statement]:
        layout = self.push.layout
        if layout is None or not layout.fits:
            return []
        return [Statement.build(subject, git_layout.TYPE, git_layout.build(layout))]

    def _bom(self) -> dict[str, Any]:
        push = self.push
        kinds = self._input_kinds()
        return mlbom.build(
            name=push.name,
            kind=push.kind,
            manifest=self.manifest,
            inputs=[
                mlbom.Material(i.relation, i.name, (i.digest,), kinds.get(i.digest))
                for i in self.inputs
            ],
            parameters=push.parameters,
            packages=environment.packages(),
            created=format_time(self.now),
            build=_build(push),
            licence=push.parameters.get("license"),
            description=push.parameters.get("description"),
            tool_version=__version__,
        )

    def _input_kinds(self) -> dict[Digest, str]:
        with snapshot(self.registry, self.trust, self.now) as view:
            kinds = {}
            for item in self.inputs:
                name = subject_name(item.name)
                row = binding(view, name) if name else None
                if row is not None:
                    kinds[item.digest] = row.kind
        return kinds


def _check(push: Push) -> None:
    if push.kind not in KINDS:
        raise Refused(f"unknown kind {push.kind!r:.40} (one of {', '.join(KINDS)})")
    for relation, _ in push.inputs:
        if relation not in RELATIONS:
            raise Refused(
                f"unknown relation {relation!r:.40} (one of {', '.join(sorted(RELATIONS))})"
            )


def _build(push: Push) -> str:
    if push.build is not None:
        return push.build
    return next((BUILD_OF[r] for r, _ in push.inputs if r in BUILD_OF), "import")


def _inputs(view: Snapshot, pairs: Sequence[tuple[str, str]]) -> tuple[list[Input], list[str]]:
    """Inputs by digest, and a warning for each that is quarantined or unknown."""
    inputs, warnings = [], []
    for relation, text in pairs:
        try:
            found = resolve(view, text)
        except NotFound:
            digest = _external(text)
            warnings.append(f"input {text:.80} is not in the registry: kept as an external node")
            inputs.append(Input(relation, digest))
            continue
        inputs.append(Input(relation, found.digest, str(found.name) if found.name else None))
        if status.view(view, found.node, found.name).stops:
            warnings.append(f"input {found.label} is quarantined: `stemma verify` will refuse this")
    return inputs, warnings


def _external(text: str) -> Digest:
    """A whole digest that the registry need not know. Raises NotFound for anything else."""
    try:
        return whole_digest(text)
    except BadDigest:
        raise NotFound(f"no input {text:.80} (push it first, or name it by its digest)") from None


def _advice(
    view: Snapshot, signer: Signer, push: Push, source: GitSource | None, why_not: str
) -> list[str]:
    """What the gate will hold against this push, said while it can still be mended."""
    found = []
    name = push.name.name
    if not view.trust.lets(signer, provenance.TYPE, name, view.now):
        found.append(f"the trust root does not let {described(signer)} speak for {name}")
    if push.layout is not None and not push.layout.fits:
        found.append("which files are pointers is too long to say: not found by its Git tree")
    if _build(push) in WITHOUT_COMMIT:
        return found
    if source is None:
        found.append(f"no Git commit is recorded ({why_not}): `stemma verify` asks for one")
    elif source.dirty:
        found.append("the checkout has uncommitted changes: `stemma verify` will refuse this")
    return found


def _outcome(
    view: Snapshot, name: NameVersion, manifest: Manifest, signer: Signer, definition: str
) -> Outcome:
    """What a push would do in this state. Raises NameTaken, Refused for a retired name."""
    retiring.refuse(view, name)
    taken = binding(view, name)
    if taken is None:
        return Outcome.CREATED
    bound = query.digests(view.connection, [taken.artifact_id])[taken.artifact_id]
    if bound != manifest.digest:
        # A binding that nobody believes must not keep a name from those who own it.
        ours = view.trust.lets(signer, provenance.TYPE, name.name, view.now)
        if worth(view, taken) is Assurance.ATTESTED or not ours:
            raise NameTaken(
                f"{name} is bound to {bound.short} and names are immutable; "
                "push these bytes as another version"
            )
        return Outcome.CREATED
    for row in query.bindings(view.connection, name):
        same = row.artifact_id == taken.artifact_id and row.definition == definition
        if same and view.trust.is_same(row.fact.signer, signer):
            return Outcome.UNCHANGED
    return Outcome.ADDED
