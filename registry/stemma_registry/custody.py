"""Custody: quarantine with preview. How it is lifted is in `measures.lifting`.

Both are signed statements in the ledger. Quarantine is state: it holds for all
descendants, also for those that arrive later, until it is released.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadName
from stemma_attestations.named import Named, looks_named
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Dated, format_time
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import aliased
from stemma_registry.blobs.contract import Store
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import ahead, query
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.catalogue.rows import Fact, PartRow, StatusRow, VersionRow
from stemma_registry.errors import NotFound, Refused
from stemma_registry.ledger.entry import STATUS, Event
from stemma_registry.lineage import deployments, radius, status
from stemma_registry.lineage.deployments import Deployments
from stemma_registry.lineage.hops import State
from stemma_registry.measures import effects
from stemma_registry.measures.effects import Counts
from stemma_registry.reference import Resolved, best_version, resolve, whole_digest
from stemma_registry.registry import Registry, Snapshot, record
from stemma_registry.signing import Signer

# What stands for the statement that is not signed yet, while its effect is looked at.
_DRAFT = Digest("sha256", "0" * 64)
_INSTEAD = {
    "signer": "`stemma distrust` stops what rests on the word of a signer",
    "stage": "a stage is written NAME#STAGE",
    "tensor": "quarantine what `stemma trace` shows to hold it",
    "git": "a commit is quarantined by its whole id",
}


@dataclass(frozen=True)
class Target:
    """What a quarantine stops: an artifact or commit, or a blob (then `path` says which file)."""

    digest: Digest
    name: NameVersion | None
    path: str | None = None
    alias: str | None = None  # what the digest is, where it is another name of the artifact

    @property
    def label(self) -> str:
        """For people."""
        if self.alias is not None:
            return f"{self.alias} {self.digest.short}"
        if self.path is not None:
            return f"{self.path} ({self.digest.short})"
        return str(self.name) if self.name else self.digest.short


@dataclass(frozen=True)
class Affected:
    """A name that the quarantine would reach. `path` explains how, a line a hop.

    Where it is not `blocked`, it is `suspect` if a word that is not believed leads there; else
    it was only looked at by what is stopped (`evaluated-on`), and nothing of that is in it.
    """

    version: VersionRow
    digest: Digest
    blocked: bool
    suspect: bool
    path: tuple[str, ...]


@dataclass(frozen=True)
class Shared:
    """A file of the target that `others` artifacts outside the blast radius contain too."""

    path: str
    digest: Digest
    others: int
    example: str


@dataclass(frozen=True)
class Preview:
    """What a quarantine would stop, before anybody signs it, and where that is deployed."""

    targets: tuple[Target, ...]
    shared: tuple[Shared, ...]
    affected: tuple[Affected, ...]
    warnings: tuple[str, ...]
    deployed: Deployments
    counts: Counts


def preview(
    view: Snapshot,
    text: str,
    signer: Signer,
    include: Sequence[str] = (),
    artifact_only: bool = False,
    store: Store | None = None,
) -> Preview:
    """What quarantining a reference (or a whole unknown digest) would do.

    An artifact takes its *exclusive* blobs along: those that no artifact
    outside the blast radius contains. Shared ones (a licence, a tokenizer) are
    listed, and taken only where `include` names their paths. It also takes the
    aliases along by which statements speak of it; `store` is where the bytes are
    that some of them take. Raises NotFound, BadDigest, Refused.
    """
    view = replace(view, trust=view.trust.introducing(signer.certified))
    try:
        first, node = target_of(view, text)
    except (NotFound, BadName) as error:
        if (instead := _instead(text)) is None:
            raise
        raise type(error)(f"{error}; {instead}") from error
    targets, shared = [first], list[Shared]()
    if node is not None and not artifact_only:
        files = query.parts(view.connection, [node])
        extra, shared = _exclusive(view, first, node, files, signer, include)
        targets += extra
        unknown = set(include) - {row.path for row in files}
        if unknown:
            raise Refused(f"--include {min(unknown)!r:.80}: {first.label} has no such file")
    others, warnings = aliases(view, store, node, first) if node is not None else ([], [])
    found = previewed(view, [*targets, *others], shared, signer)
    return replace(found, warnings=(*warnings, *found.warnings))


def aliases(
    view: Snapshot, store: Store | None, node: int, first: Target
) -> tuple[list[Target], list[str]]:
    """By what else statements speak of an artifact, and what of that is not its own."""
    others = aliased.known(view, store, node)
    warnings = [
        f"{one.short} is the OMS root of {label} too, and what was made from it goes on"
        for one, label in others.shared.items()
    ]
    return [Target(one, first.name, alias=what) for one, what in others.own.items()], warnings


def previewed(
    view: Snapshot, targets: Sequence[Target], shared: Sequence[Shared], signer: Signer
) -> Preview:
    """What quarantining these would do; `view` knows the signer. The first says what of."""
    warnings = []
    if not all(_may_stop(view, signer, target) for target in targets):
        warnings.append(
            f"the trust root does not let {described(signer)} stop {targets[0].label}: "
            "this quarantine would be shown, and stop nothing"
        )
    affected = reached(view, _draft(view, targets, signer))
    blocked = [item.version for item in affected if item.blocked]
    runs = deployments.load(view, Wanted()).of({row.artifact_id for row in blocked})
    counts = effects.count(view, blocked)
    return Preview(tuple(targets), tuple(shared), tuple(affected), tuple(warnings), runs, counts)


def quarantine(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    targets: Sequence[Target],
    reason: str,
    now: datetime,
) -> tuple[Digest, int]:
    """Sign and append a quarantine of `targets`; its statement's digest and the entry.

    Raises LedgerBroken, Unavailable. When it returns, no gate that reaches the
    ledger serves a target or anything that descends from one.
    """
    statement = Statement.build(
        [descriptor(target) for target in targets],
        predicate.TYPE,
        predicate.build_quarantine(worded(reason), format_time(now), secrets.token_hex(16)),
    )
    return append(registry, trust, signer, statement, now)


def append(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    statement: Statement,
    now: datetime,
) -> tuple[Digest, int]:
    """Sign a status and append it; its digest, and the entry. Raises LedgerBroken, Unavailable."""
    bundle = signer.sign(statement)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = Event(
        STATUS,
        bundles=(uploads.put(bundle.raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )
    entry = record(registry, trust, signer, now, lambda: [event], uploads)
    if entry is None:  # record appends whatever a decision returns
        raise Refused("nothing was appended")
    return statement.digest, entry


def worded(text: str) -> str:
    """A reason that says something. Raises Refused."""
    if not text.strip():
        raise Refused("a reason is required, for whoever reads this at three in the morning")
    return text.strip()


def descriptor(target: Target) -> ResourceDescriptor:
    """A target as the subject of a statement."""
    return ResourceDescriptor(
        name=str(target.name) if target.name else None,
        digests=(target.digest,),
        annotations={"path": target.path} if target.path is not None else {},
    )


def target_of(view: Snapshot, text: str) -> tuple[Target, int | None]:
    """The target of a reference, and its node if the registry knows it."""
    try:
        found = aliased.by_root(view, text) or resolve(view, text)
    except NotFound:
        try:
            # Bytes known to be bad can be stopped before they arrive.
            return Target(whole_digest(text), None), None
        except BadDigest:
            pass
        raise
    if isinstance(found.digest, Named):
        raise Refused(
            f"{found.digest.short} is known by a name only, and a name stops no bytes: "
            "quarantine what `stemma trace` shows of it"
        )
    if found.digest.algorithm != "sha256" or found.name is not None:
        return Target(found.digest, found.name), found.node
    return _named(view, found), found.node


def _instead(text: str) -> str | None:
    """What to do with what cannot be quarantined, though it can be traced."""
    scheme = text.partition(":")[0]
    if scheme in _INSTEAD:
        return _INSTEAD[scheme]
    if looks_named(text):
        return "a name stops no bytes: quarantine what `stemma trace` shows of what it means"
    is_path = ":" not in text and Path(text).exists()
    return "of a path `stemma trace` says the digest, which can be quarantined" if is_path else None


def _named(view: Snapshot, found: Resolved) -> Target:
    """A target asked for by digest, under the best name it is known by."""
    rows = query.versions_of(view.connection, [found.node]).get(found.node, [])
    best = best_version(view, rows)
    if best is not None:
        return Target(found.digest, best.name)
    parts = query.containers(view.connection, [found.node])
    owners = query.versions_of(view.connection, [part.artifact_id for part in parts])
    for part in parts:
        best = best_version(view, owners.get(part.artifact_id, []))
        if best is not None:
            return Target(found.digest, best.name, part.path)
    return Target(found.digest, None)


def _exclusive(
    view: Snapshot,
    first: Target,
    node: int,
    files: Sequence[PartRow],
    signer: Signer,
    include: Sequence[str],
) -> tuple[list[Target], list[Shared]]:
    """Which files of an artifact go with it, and which are shared with bystanders."""
    radius = {node} | {
        item.version.artifact_id
        for item in reached(view, _draft(view, [first], signer))
        if item.blocked
    }
    users: dict[int, set[int]] = {}
    for part in query.containers(view.connection, [row.blob_id for row in files]):
        users.setdefault(part.blob_id, set()).add(part.artifact_id)
    digests = query.digests(view.connection, users)
    targets, shared = [], []
    for row in sorted(files, key=lambda part: part.path):
        digest = digests[row.blob_id]
        others = users[row.blob_id] - radius
        if not others or row.path in include:
            targets.append(Target(digest, first.name, row.path))
        else:
            example = _example(view, others)
            shared.append(Shared(row.path, digest, len(others), example))
    return targets, shared


def _example(view: Snapshot, artifacts: set[int]) -> str:
    versions = query.versions_of(view.connection, sorted(artifacts)[:1])
    rows = next(iter(versions.values()), [])
    best = best_version(view, rows)
    return str(best.name) if best else "an artifact without a name"


def _draft(view: Snapshot, targets: Sequence[Target], signer: Signer) -> list[StatusRow]:
    """The rows that a quarantine of `targets` would become."""
    rows = []
    for target in targets:
        node = query.node_id(view.connection, target.digest)
        if node is None:
            continue
        fact = Fact(
            _DRAFT,
            predicate.TYPE,
            signer.id,
            view.n,
            target.name.name if target.name else None,
            target.name.version if target.name else None,
            (Dated(view.now, signer.certified.root),) if signer.certified else (),
        )
        rows.append(StatusRow(node, _DRAFT.value, predicate.QUARANTINE, "", "", target.path, fact))
    return rows


def reached(view: Snapshot, draft: Sequence[StatusRow]) -> list[Affected]:
    """Every name that the draft reaches: looked for downward, decided upward as the gate does."""
    found = ahead.everything(view.connection, {row.node_id for row in draft})
    quarantines, versions = status.load(view, draft), query.versions_of(view.connection, found)
    states = {(node, row.name.name) for node, rows in versions.items() for row in rows}
    blocked = radius.ways(view, states, quarantines, found)
    others = radius.ways(view, states - blocked.keys(), quarantines, found, pessimistic=True)
    digests = query.digests(view.connection, versions)
    affected: dict[tuple[NameVersion, int], Affected] = {}
    for node, rows in versions.items():
        for version in rows:
            state: State = (node, version.name.name)
            way = blocked.get(state, others.get(state, ()))
            item = Affected(version, digests[node], state in blocked, state in others, way)
            affected.setdefault((version.name, node), item)
    return sorted(affected.values(), key=lambda item: (not item.blocked, item.version.name))


def _may_stop(view: Snapshot, signer: Signer, target: Target) -> bool:
    name = target.name.name if target.name else None
    return view.trust.lets(signer, predicate.TYPE, name, view.now)
