"""Taking policy, trust root and requests from a commit.

The commit is judged by the trust root that holds before it. All of it is read before anything
changes; the ledger's entry holds everything or nothing; then this home uses it. Whoever is cut
off anywhere does it again.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import SignatureRefused
from stemma_attestations.grants import distinct
from stemma_attestations.predicates import policy_sync as predicate
from stemma_attestations.predicates import status
from stemma_attestations.predicates.policy_sync import POLICY, PolicySync, Requested
from stemma_attestations.statement import Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import custody, files
from stemma_registry.care.uploads import Uploads
from stemma_registry.custody import Target
from stemma_registry.errors import NotFound, Overtaken, Refused, Unavailable
from stemma_registry.gitrepo import bulk
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import PUSH, STATUS, TRUST, Event
from stemma_registry.policysync import adopted, offered, recorded, voices
from stemma_registry.policysync.adopted import Adopted
from stemma_registry.policysync.offered import Offered, Request
from stemma_registry.policysync.place import Place
from stemma_registry.policysync.recorded import Last
from stemma_registry.policysync.voices import Heard
from stemma_registry.registry import Registry, Snapshot, record, snapshot
from stemma_registry.signing import Signer
from stemma_registry.trust import source as trust_source

ATTEMPTS = 5  # each is lost only to another sync that was recorded


@dataclass(frozen=True)
class New:
    """A request that becomes a quarantine, and what that stops."""

    request: Request
    targets: tuple[Target, ...]
    blocked: int


@dataclass
class Synced:
    """What came of it, or would. `entry` is None where the ledger has it already.

    `pinned`: the configuration says which trust root holds, so that the new one is pinned there
    by hand. `old` are requests that are quarantines already.
    """

    offered: Offered
    repository: str | None
    heard: list[Heard]
    new: list[New]
    old: list[Requested]
    entry: int | None = None
    quarantines: list[Requested] = field(default_factory=list)
    adopted: bool = False
    trust_changed: bool = False
    pinned: bool = False


@dataclass(frozen=True)
class Desk:
    """Where, by which trust root, and when. `signer` is asked for only to write."""

    registry: Registry
    trust: TrustRoot
    signer: Callable[[], Signer]
    now: datetime


def sync(desk: Desk, place: Place, path: str, dry_run: bool = False) -> Synced:
    """Take what a commit offers.

    Raises SignatureRefused where nobody who may has signed it, where it does not contain what
    was taken before, or where the key that syncs may not; NotFound, Malformed, Refused,
    LedgerBroken, Unavailable.
    """
    before = _trusted(desk)
    for _ in range(ATTEMPTS):
        try:
            return _once(desk, place, path, dry_run)
        except Overtaken:
            if _trusted(desk) != before:  # what is believed here is not what `desk` believes
                break
    raise Unavailable("the policy was synced by others meanwhile; sync again")


def _trusted(desk: Desk) -> Digest | None:
    here = adopted.read(desk.registry.home)
    return None if here is None else here.trust


def _once(desk: Desk, place: Place, path: str, dry_run: bool) -> Synced:
    """One attempt. Raises Overtaken where somebody else recorded a commit meanwhile, too."""
    path, here = path.strip("/"), adopted.read(desk.registry.home)
    with snapshot(desk.registry, desk.trust, desk.now) as view:
        last = recorded.last(desk.registry, view, place.repository, path)
        heard = list[Heard]()
        if not _is_settled(desk, place, path, here, last):
            roots = desk.registry.trusted_roots.present(desk.trust.roots)
            by = desk.trust, roots, place.repository, desk.now
            heard = voices.require(place.repo, place.commit, *by)
        found = offered.read(place.repo, place.commit, path)
        _check_rego(found)
        _check_trust(desk, place.repository, found.trust)
        _check_home(place, found, here)
        if last is not None:
            _contains(place.repo, last.says.commit, place.commit, "the ledger")
            _keeps(found, last.says.policy, last.says.trust)
        n, known = view.n, last is not None and last.says.commit == place.commit
        if last is not None and known:
            new, old = list[New](), list(last.says.requests)
        else:
            new, old = _plan(desk, view, found, last)
    done = Synced(found, place.repository, heard, new, old)
    done.pinned = trust_source.told(desk.registry.home) is not None
    done.trust_changed = found.trust is not None and found.trust.digest != desk.trust.digest
    if dry_run:
        return done
    if not known:
        _record(desk, place, done, last, n)
    _adopt(desk, done)
    return done


def _is_settled(
    desk: Desk, place: Place, path: str, here: Adopted | None, last: Last | None
) -> bool:
    """Whether all of this commit holds already: it may have locked out who had signed it."""
    return (
        here is not None
        and last is not None
        and (here.repository, here.path) == (place.repository, path)
        and here.commit == last.says.commit == place.commit
        and here.trust in (None, desk.trust.digest)
    )


def _check_rego(found: Offered) -> None:
    """A policy whose Rego cannot be run would decide nothing. Raises what the evaluator does."""
    if found.policy is not None and any(rule.rego is not None for rule in found.policy.rules):
        from stemma_registry.rego import evaluator  # lazily: few policies need it

        evaluator.check(found.policy)


def _check_trust(desk: Desk, repository: str | None, new: TrustRoot | None) -> None:
    """Refuse a trust root after which nobody could sign the next commit. Raises Refused."""
    if new is None:
        return
    able = [
        frozenset({signer.principal})
        for signer in new.signers
        # An identity signs with gitsign, and proves when.
        if signer.valid_at(desk.now, None if signer.key is not None else desk.now)
        and any(grant.covers(POLICY, repository) for grant in signer.grants)
    ]
    needed = new.needed(POLICY, repository)
    if distinct(able) < needed:
        raise Refused(
            f"by {offered.TRUST} nobody could sign the next commit of {repository or 'it'}: "
            f"{needed} must be let say {POLICY} about it, and {distinct(able)} are"
        )


def _check_home(place: Place, found: Offered, here: Adopted | None) -> None:
    """Hold a commit against what this home took last. Raises SignatureRefused, Refused."""
    if here is None:
        return
    if (here.repository, here.path) != (place.repository, found.path):
        raise Refused(
            f"this home follows {here.label}; remove its folder `synced` to follow another"
        )
    _contains(place.repo, here.commit, place.commit, "this home")
    _keeps(found, here.policy, here.trust)


def _contains(repo: Repository, old: str, new: str, who: str) -> None:
    """Raises SignatureRefused for a commit that goes back, or aside."""
    if old == new:
        return
    if old not in bulk.kinds(repo, [old]) or repo.between([old], [new]):
        raise SignatureRefused(
            f"commit {new[:12]} does not contain {old[:12]}, which {who} took before: "
            "the branch was rewound, or replaced; a policy goes back by a new commit"
        )


def _keeps(found: Offered, policy: Digest | None, trust: Digest | None) -> None:
    """Raises Refused where a file is gone that holds: by deleting it nothing is said."""
    gone = [
        name
        for name, before, now in (
            (offered.POLICY, policy, found.policy_raw),
            (offered.TRUST, trust, found.trust_raw),
        )
        if before is not None and now is None
    ]
    if gone:
        raise Refused(f"commit {found.commit[:12]} has no {gone[0]} any more; write what holds")


def _plan(
    desk: Desk, view: Snapshot, found: Offered, last: Last | None
) -> tuple[list[New], list[Requested]]:
    """Which requests are new, and what they stop. Raises SignatureRefused, NotFound."""
    signer = desk.signer()
    roots = [desk.trust, *([found.trust] if found.trust is not None else [])]
    before = {(one.path, one.digest): one for one in (last.says.requests if last else ())}
    new, old = [], []
    for request in found.requests:
        known = before.get((request.path, request.digest))
        if known is not None:
            old.append(known)
            continue
        seen = _previewed(view, signer, request)
        for target in seen.targets:
            _may(roots, signer, status.TYPE, target.name.name if target.name else None, desk.now)
        blocked = sum(item.blocked for item in seen.affected)
        new.append(New(request, seen.targets, blocked))
    return new, old


def _previewed(view: Snapshot, signer: Signer, request: Request) -> custody.Preview:
    try:
        return custody.preview(view, request.says.target, signer)
    except (NotFound, Refused) as error:
        raise type(error)(f"{request.path}: {error}") from error


def _may(
    roots: Sequence[TrustRoot], signer: Signer, kind: str, name: str | None, now: datetime
) -> None:
    """Whether the key that syncs may say it: now, and by the trust root that comes.

    Raises SignatureRefused.
    """
    for root in roots:
        if not root.lets(signer, kind, name, now):
            which = "the trust root" if root is roots[0] else f"the new {offered.TRUST}"
            raise SignatureRefused(
                f"{which} does not let {described(signer)}, which syncs, say {kind} "
                f"about {name or 'what has no name'}"
            )


def _record(desk: Desk, place: Place, done: Synced, last: Last | None, n: int) -> None:
    """One entry: quarantines, the files, and what they were taken from."""
    registry, signer, found = desk.registry, desk.signer(), done.offered
    roots = [desk.trust, *([found.trust] if found.trust is not None else [])]
    _may(roots, signer, predicate.TYPE, place.repository, desk.now)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    keys = tuple(uploads.put(key) for key in signer.keys)
    bundles = []
    for one in done.new:
        statement = _quarantine(desk, place.repository, found, one)
        bundles.append(uploads.put(signer.sign(statement).raw))
        made = Requested(one.request.path, one.request.digest, statement.digest)
        done.quarantines.append(made)
    said = _said(desk, place, done)
    bundle: Bundle = signer.sign(predicate.build(said))
    kept = (uploads.put(raw) for raw in (*found.blobs, *(one.raw for one in done.heard)))
    events = [Event(STATUS, bundles=tuple(bundles), keys=keys)] if bundles else []
    if found.trust_raw is not None:
        events.append(Event(TRUST, keys=(Digest.of(found.trust_raw),), critical=False))
    files_ = tuple(dict.fromkeys(kept))
    events.append(Event(PUSH, bundles=(uploads.put(bundle.raw),), keys=(*keys, *files_)))

    def decide() -> list[Event]:
        with snapshot(registry, desk.trust, desk.now) as view:
            if view.n != n:
                newest = recorded.last(registry, view, place.repository, found.path)
                if (newest and newest.bundle) != (last and last.bundle):
                    raise Overtaken("the policy was synced meanwhile")
        return events

    done.entry = record(registry, desk.trust, signer, desk.now, decide, uploads)


def _quarantine(desk: Desk, repository: str | None, found: Offered, one: New) -> Statement:
    says = one.request.says
    where = f"{repository}, " if repository else ""
    reason = (
        f"{says.reason} (requested by {says.requested_by}: "
        f"{where}commit {found.commit}, {one.request.path})"
    )
    return Statement.build(
        [custody.descriptor(target) for target in one.targets],
        status.TYPE,
        status.build_quarantine(reason, format_time(desk.now), secrets.token_hex(16)),
    )


def _said(desk: Desk, place: Place, done: Synced) -> PolicySync:
    found = done.offered
    return PolicySync(
        repository=place.repository,
        url=place.url,
        commit=found.commit,
        tree=found.tree,
        path=found.path,
        issued=desk.now,
        policy=_digest(found.policy_raw),
        trust=_digest(found.trust_raw),
        voices=tuple(one.voice for one in done.heard),
        requests=tuple(sorted((*done.old, *done.quarantines), key=lambda one: one.path)),
    )


def _digest(raw: bytes | None) -> Digest | None:
    return None if raw is None else Digest.of(raw)


def _adopt(desk: Desk, done: Synced) -> None:
    """Use it from here on. The trust root comes last: by the old one all of this is done again."""
    home, found = desk.registry.home, done.offered
    taken = Adopted(
        done.repository,
        found.commit,
        found.path,
        _digest(found.policy_raw),
        _digest(found.trust_raw),
    )
    blobs = [raw for raw in (found.policy_raw, found.trust_raw) if raw is not None]
    if adopted.read(home) != taken:
        adopted.write(home, taken, [*blobs, *found.modules.values()])
        done.adopted = True
    if found.trust_raw is not None and done.trust_changed and not done.pinned:
        files.replace(home.trust, "trust root", found.trust_raw)
