"""Making a dossier: the gate says yes, and everything that it looked at is put together."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from stemma_attestations.errors import StemmaError
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import dossier as predicate
from stemma_attestations.predicates.dossier import Dossier, Role
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot, described
from stemma_attestations.verdict import Verdict
from stemma_registry import gate
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.dossier import container, proofs
from stemma_registry.dossier.evidence import Gathering
from stemma_registry.errors import NotFound, Refused
from stemma_registry.foreign import attached
from stemma_registry.gate import Terms
from stemma_registry.ledger import heads
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.registry import snapshot as take
from stemma_registry.signing import Signer
from stemma_registry.status import gather

DAYS = 7  # for which one is good, where nobody says


@dataclass(frozen=True)
class Wanted:
    """What is asked for: of which reference, for how long, under which policy (its bytes too)."""

    text: str
    lasts: timedelta
    terms: Terms
    policy: bytes


@dataclass(frozen=True)
class Made:
    """A dossier that was written, and the verdict that it was made on."""

    name: NameVersion
    said: Dossier
    verdict: Verdict
    size: int
    warnings: tuple[str, ...]


def make(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    wanted: Wanted,
    path: Path,
    now: datetime,
    progress: Progress | None = None,
) -> Made:
    """Write the dossier of what a reference names.

    Raises NotVerified, with the verdict in it, for what the gate refuses; NotFound, Refused,
    LedgerBroken, Unavailable.
    """
    if not timedelta() < wanted.lasts <= timedelta(days=LIMITS.dossier_days):
        raise Refused(f"a dossier is good for at most {LIMITS.dossier_days} days")
    warnings: list[str] = []
    with take(registry, trust, now) as view:
        verdict = gate.verify_reference(registry, view, wanted.text, progress, wanted.terms)
        found = resolve(view, wanted.text)
        subject, name = attached.subject_of(view, found)
        if name is None:
            raise Refused(f"{wanted.text} has no name, and a dossier is for a NAME:VERSION")
        gathered = Gathering(registry.store, registry.trusted_roots.present(view.trust.roots))
        asked = any(rule.source is not None for rule in wanted.terms.policy.rules)
        gathered.ancestry(view, found.node, asked)
        said = _finish(registry, view, gathered, wanted, verdict, warnings)
    statement = Statement.build([subject], predicate.TYPE, predicate.build(said))
    container.check_room(said.members, statement.raw)
    if not trust.lets(signer, predicate.TYPE, name.name, now):
        who = described(signer)
        warnings.append(f"the trust root does not let {who} say this about {name}")
    blobs = (gathered.blobs[member.digest] for member in said.members)
    size = container.write(path, signer.sign(statement).raw, blobs)
    return Made(name, said, verdict, size, tuple(warnings))


def _finish(
    registry: Registry,
    view: Snapshot,
    gathered: Gathering,
    wanted: Wanted,
    verdict: Verdict,
    warnings: list[str],
) -> Dossier:
    """Add what is not about the ancestry, and say what all of it is."""
    checkpoint = _checkpoint(registry, view, gathered)
    excerpt = proofs.excerpt(registry.store, view.n, gathered.numbers)
    gathered.keys_of(excerpt.entries.values())
    gathered.signed_objects(excerpt.entries.values())
    for entry in excerpt.entries.values():
        gathered.add(Role.ENTRY, entry.raw)
    gathered.add(Role.PROOFS, excerpt.proofs)
    if checkpoint is not None:
        gathered.add(Role.CHECKPOINT, checkpoint)
    raw = gather.trust_root(registry, view.trust)
    if raw is None:
        raise Refused("the bytes of the trust root are not at hand: publish it (`trust publish`)")
    gathered.add(Role.TRUST_ROOT, raw)
    for root in registry.trusted_roots.present(view.trust.all_roots).values():
        gathered.add(Role.TRUSTED_ROOT, root)
    policy = gathered.add(Role.POLICY, wanted.policy)
    if policy != verdict.policy.digest:
        raise Refused("the policy was changed while the dossier was made: try again")
    for rule in verdict.policy.rules:
        if rule.rego is not None and rule.rego.file and rule.rego.module is not None:
            gathered.add(Role.MODULE, rule.rego.module.encode())
    age = _feed(registry, view, gathered, warnings)
    return Dossier(
        issued=view.now,
        expires=view.now + wanted.lasts,
        n=view.n,
        entry=excerpt.head.digest,
        tree_root=excerpt.head.tree_root,
        trust_root=view.trust.digest,
        policy=policy,
        policy_name=verdict.policy.name,
        members=gathered.members,
        policy_source=verdict.policy.source,
        stage=wanted.terms.stage,
        age=age,
        boms=True,
    )


def _checkpoint(registry: Registry, view: Snapshot, gathered: Gathering) -> bytes | None:
    """The signed head beside the ledger, where it is believed; its entry comes along."""
    signed = heads.read_checkpoint(registry.store, view.trust)
    if signed is None or signed.n > view.n:
        return None
    try:
        raw = registry.store.read(heads.CHECKPOINT)
    except NotFound:
        return None
    gathered.numbers.add(signed.n)
    return raw


def _feed(
    registry: Registry, view: Snapshot, gathered: Gathering, warnings: list[str]
) -> int | None:
    """Add the status feed, where this machine has pinned one; how old it is."""
    from stemma_registry.dossier import feeds  # python-tuf takes a while

    try:
        carried = feeds.carry(registry, view)
    except NotFound:
        return None
    except StemmaError as error:
        warnings.append(f"the status feed is not in it: {error}")
        return None
    gathered.add(Role.FEED, carried.raw)
    return int(carried.age.total_seconds())
