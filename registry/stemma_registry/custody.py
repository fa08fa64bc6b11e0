"""Custody: quarantine with preview, and release.

Both are signed statements in the ledger. Quarantine is state: it holds for all
descendants, also for those that arrive later, until it is released.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from stemma_attestations import releasing
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest
from stemma_attestations.named import Named
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.releasing import Voice
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import Dated, format_time
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.catalogue.rows import Fact, PartRow, StatusRow, VersionRow
from stemma_registry.errors import NotFound, Refused
from stemma_registry.ledger.entry import STATUS, Event
from stemma_registry.lineage import deployments, status
from stemma_registry.lineage.deployments import Deployments
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.reference import Resolved, best_version, resolve, whole_digest
from stemma_registry.registry import Registry, Snapshot, record, snapshot
from stemma_registry.signing import Signer

# What stands for the statement that is not signed yet, while its effect is looked at.
_DRAFT = Digest("sha256", "0" * 64)


@dataclass(frozen=True)
class Target:
    """What a quarantine stops: an artifact or commit, or a blob (then `path` says which file)."""

    digest: Digest
    name: NameVersion | None
    path: str | None = None

    @property
    def label(self) -> str:
        """For people."""
        if self.path is not None:
            return f"{self.path} ({self.digest.short})"
        return str(self.name) if self.name else self.digest.short


@dataclass(frozen=True)
class Affected:
    """A name that the quarantine would reach. `path` explains how, a line a hop.

    `blocked` is false where it is reached only on a word that is not believed.
    """

    version: VersionRow
    digest: Digest
    blocked: bool
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


@dataclass(frozen=True)
class Released:
    """Which quarantine (the digest of its statement) was lifted, and the entry that says so."""

    quarantine: Digest
    entry: int


def preview(
    view: Snapshot,
    text: str,
    signer: Signer,
    include: Sequence[str] = (),
    artifact_only: bool = False,
) -> Preview:
    """What quarantining a reference (or a whole unknown digest) would do.

    An artifact takes its *exclusive* blobs along: those that no artifact
    outside the blast radius contains. Shared ones (a licence, a tokenizer) are
    listed, and taken only where `include` names their paths. Raises NotFound,
    BadDigest, Refused.
    """
    view = replace(view, trust=view.trust.introducing(signer.certified))
    first, node = _target(view, text)
    targets, shared = [first], list[Shared]()
    if node is not None and not artifact_only:
        files = query.parts(view.connection, [node])
        extra, shared = _exclusive(view, first, node, files, signer, include)
        targets += extra
        unknown = set(include) - {row.path for row in files}
        if unknown:
            raise Refused(f"--include {min(unknown)!r:.80}: {first.label} has no such file")
    warnings = []
    if not all(_may_stop(view, signer, target) for target in targets):
        warnings.append(
            f"the trust root does not let {described(signer)} stop {first.label}: "
            "this quarantine would be shown, and stop nothing"
        )
    affected = _affected(view, _draft(view, targets, signer))
    reached = {item.version.artifact_id for item in affected if item.blocked}
    runs = deployments.load(view, Wanted()).of(reached)
    return Preview(tuple(targets), tuple(shared), tuple(affected), tuple(warnings), runs)


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
        [_descriptor(target) for target in targets],
        predicate.TYPE,
        predicate.build_quarantine(_reason(reason), format_time(now), secrets.token_hex(16)),
    )
    return _append(registry, trust, signer, statement, now)


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
        rows = _quarantines_of(view, text, signer)
        digests = query.digests(view.connection, [row.node_id for row in rows])
    for row in rows:
        if not trust.lets(signer, predicate.TYPE, row.fact.name, now):
            raise Refused(
                f"the trust root does not let {described(signer)} release "
                f"{row.fact.about or 'what has no name'}"
            )
    lifted = sha256(rows[0].statement)
    statement = Statement.build(
        [_descriptor(_target_of(row, digests[row.node_id])) for row in rows],
        predicate.TYPE,
        predicate.build_release(_reason(reason), format_time(now), [lifted]),
    )
    _, entry = _append(registry, trust, signer, statement, now)
    return Released(lifted, entry)


def _append(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    statement: Statement,
    now: datetime,
) -> tuple[Digest, int]:
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


def _reason(text: str) -> str:
    if not text.strip():
        raise Refused("a reason is required, for whoever reads this at three in the morning")
    return text.strip()


def _descriptor(target: Target) -> ResourceDescriptor:
    return ResourceDescriptor(
        name=str(target.name) if target.name else None,
        digests=(target.digest,),
        annotations={"path": target.path} if target.path is not None else {},
    )


def _target(view: Snapshot, text: str) -> tuple[Target, int | None]:
    """The target of a reference, and its node if the registry knows it."""
    try:
        found = resolve(view, text)
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
        for item in _affected(view, _draft(view, [first], signer))
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
        rows.append(StatusRow(node, "", predicate.QUARANTINE, "", "", target.path, fact))
    return rows


def _affected(view: Snapshot, draft: Sequence[StatusRow]) -> list[Affected]:
    """Every name that the draft reaches: looked for downward, decided upward as the gate does."""
    found: set[int] = set()
    for row in draft:
        found |= trace(view, row.node_id, Direction.DOWN).nodes.keys()
    quarantines = status.load(view, draft)
    digests = query.digests(view.connection, found)
    affected: dict[tuple[NameVersion, int], Affected] = {}
    for node, versions in query.versions_of(view.connection, found).items():
        for version in versions:
            key = (version.name, node)
            if key in affected:
                continue
            state: status.State = (node, version.name.name)
            stops, _ = status.reach(view, state, quarantines)
            blocked = bool(stops)
            if not blocked:
                stops, _ = status.reach(view, state, quarantines, pessimistic=True)
            path = stops[0].path if stops else ()
            affected[key] = Affected(version, digests[node], blocked, path)
    return sorted(affected.values(), key=lambda item: (not item.blocked, item.version.name))


def _may_stop(view: Snapshot, signer: Signer, target: Target) -> bool:
    name = target.name.name if target.name else None
    return view.trust.lets(signer, predicate.TYPE, name, view.now)


def _quarantines_of(view: Snapshot, text: str, signer: Signer) -> list[StatusRow]:
    """The rows of the one quarantine that `text` names. Raises NotFound, Refused."""
    rows = [row for row in status.in_force(view) if not _is_released(view, row, signer)]
    named = {r.statement for r in rows if _names(text, r.statement)}
    label = text
    if len(named) != 1:
        target, node = _target(view, text)
        label = target.label
        named = {r.statement for r in rows if r.node_id == node}
    if not named:
        raise NotFound(f"{label} is not quarantined itself (see `stemma log`)")
    if len(named) > 1:
        listed = " ".join(f"sha256:{statement[:12]}" for statement in sorted(named))
        raise Refused(f"{label} is under several quarantines; release one of: {listed}")
    return [row for row in rows if row.statement in named]


def _is_released(view: Snapshot, row: StatusRow, signer: Signer) -> bool:
    """Whether it is lifted for all the names that the signer could release it for."""
    who = signer.certified
    own = Voice(signer.id, (Dated(view.now, who.root),) if who else ())
    trust = view.trust.introducing(who)
    return any(
        releasing.adds_nothing(trust, own, status.voice(fact), view.now) for fact in row.lifts
    )


def _names(text: str, statement: str) -> bool:
    """Whether `text` is a statement's digest, or at least twelve digits of it."""
    prefix = text.removeprefix("sha256:")
    return text.startswith("sha256:") and len(prefix) >= 12 and statement.startswith(prefix)


def _target_of(row: StatusRow, digest: Digest) -> Target:
    """The target that a row of a quarantine is about."""
    name = NameVersion(row.fact.name, row.fact.version or "") if row.fact.name else None
    return Target(digest, name, row.path)
