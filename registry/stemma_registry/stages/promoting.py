"""Promoting a version to a stage, and rolling a stage back.

Both judge by the gate, and append the signed verdict together with the signed statement that
says what is there now. Between the verdict and the append the ledger may grow: at its place in
the ledger each is decided again, as far as somebody else's entry could change the answer.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.names import NameVersion
from stemma_attestations.policy import Policy, Suspects
from stemma_attestations.predicates import stage as predicate
from stemma_attestations.predicates.stage import Move
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import described
from stemma_attestations.verdict import Verdict
from stemma_attestations.verify import explain
from stemma_registry import gate
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import query
from stemma_registry.catalogue.stages import StageRow
from stemma_registry.errors import NotFound, Overtaken, Refused
from stemma_registry.gate import Terms
from stemma_registry.ledger.entry import STAGE, Event
from stemma_registry.lineage import status
from stemma_registry.lineage.hops import signer_label
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot, record, settle
from stemma_registry.registry import snapshot as take
from stemma_registry.stages import holding
from stemma_registry.stages.desk import Desk


@dataclass(frozen=True)
class Skipped:
    """A version that a rollback passed over, and what the gate said of it."""

    name: NameVersion
    digest: Digest
    failure: Exception


@dataclass(frozen=True)
class Changed:
    """What is at the stage now. `entry` is None where it was there already.

    `statement` says so and `summary` is the verdict it rests on, by the SHA-256 of their
    bytes; `before` is what was there.
    """

    name: NameVersion
    digest: Digest
    stage: str
    entry: int | None
    statement: Digest
    summary: Digest
    verdict: Verdict
    before: StageRow | None
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class _Plan:
    """A yes for `name`, given while `before` was what is there."""

    name: NameVersion
    verdict: Verdict
    before: StageRow | None

    def is_met_by(self, there: StageRow) -> bool:
        """Whether that is what is planned."""
        return (there.name, there.digest) == (self.name, self.verdict.artifact)

    def unchanged(self, there: StageRow) -> Changed:
        """What comes of it where it is there already."""
        says, rests = sha256(there.statement), sha256(there.verdict)
        return Changed(
            self.name, there.digest, there.stage, None, says, rests, self.verdict, self.before
        )


def promote(desk: Desk, text: str, stage: str, terms: Terms, reason: str | None = None) -> Changed:
    """Put what a reference names at a stage of its name, if the gate says yes for that stage.

    Raises as the gate does; Overtaken where somebody else changed the stage meanwhile,
    NotFound, Refused, LedgerBroken, Unavailable.
    """
    terms = _at(terms, stage)
    with take(desk.registry, desk.trust, desk.now) as view:
        found = resolve(view, text)
        if found.name is None:
            raise Refused(f"{text} has no name, and a stage is of a NAME:VERSION")
        _check_signer(desk, found.name)
        before = holding.holder(view, found.name.name, stage)
        verdict = gate.verify_reference(desk.registry, view, text, desk.progress, terms)
    plan = _Plan(found.name, verdict, before)
    if before is not None and plan.is_met_by(before):
        return plan.unchanged(before)
    return _move(desk, plan, stage, terms.policy, predicate.PROMOTE, reason)


def rollback(desk: Desk, name: str, stage: str, terms: Terms, reason: str | None = None) -> Changed:
    """Put back the newest earlier version that the gate says yes to, now and for that stage.

    What a rollback leaves behind it is no choice of the next one. Raises as `promote`, and
    NotVerified (Undecided, where no refusal is definite) if nothing earlier verifies.
    """
    terms = _at(terms, stage)
    skipped = []
    with take(desk.registry, desk.trust, desk.now) as view:
        past = holding.history(view, name, stage)
        before = past.holder
        if before is None:
            raise NotFound(f"nothing is at {name}#{stage}")
        _check_signer(desk, before.name)
        if not past.earlier:
            raise NotFound(f"nothing to go back to: {before.name} is all that is left at {stage}")
        for row in past.earlier:
            try:
                verdict = _judge_again(desk, view, row, terms)
                break
            except (NotVerified, NotFound) as error:
                skipped.append(Skipped(row.name, row.digest, error))
        else:
            raise _nothing_verifies(before, skipped)
    plan = _Plan(row.name, verdict, before)
    done = _move(desk, plan, stage, terms.policy, predicate.ROLLBACK, reason)
    return replace(done, skipped=tuple(skipped))


def _at(terms: Terms, stage: str) -> Terms:
    """The terms of a stage, which the policy has to know. Raises NotVerified."""
    policy = terms.policy
    if stage not in policy.stages:
        known = ", ".join(policy.stages)
        raise NotVerified(f"{policy.name} has no stage {stage} ({known})")
    return replace(terms, stage=stage)


def _check_signer(desk: Desk, name: NameVersion) -> None:
    if not desk.trust.lets(desk.signer, predicate.TYPE, name.name, desk.now):
        raise Refused(
            f"the trust root does not let {described(desk.signer)} say what is at a stage of "
            f"{name.name} ({predicate.TYPE})"
        )


def _judge_again(desk: Desk, view: Snapshot, row: StageRow, terms: Terms) -> Verdict:
    """The gate's verdict on what was there. Raises as the gate does."""
    verdict = gate.verify_reference(desk.registry, view, str(row.name), desk.progress, terms)
    if verdict.artifact != row.digest:
        raise NotVerified(f"{row.name} is the name of other bytes by now")
    return verdict


def _nothing_verifies(before: StageRow, skipped: list[Skipped]) -> NotVerified:
    why = "; ".join(str(one.failure) for one in skipped)
    undecided = all(isinstance(one.failure, Undecided) for one in skipped)
    kind = Undecided if undecided else NotVerified
    return kind(f"{before.where} stays at {before.name}: nothing earlier verifies: {why}")


def _move(
    desk: Desk, plan: _Plan, stage: str, policy: Policy, action: str, reason: str | None
) -> Changed:
    """Sign and append the verdict and the statement about the stage, in one entry."""
    registry, signer, before, name = desk.registry, desk.signer, plan.before, plan.name
    if plan.verdict.artifact is None:
        raise NotVerified(f"{name}: there is no artifact to put at {stage}", plan.verdict)
    summary = gate.summary(plan.verdict)
    previous = None if before is None else sha256(before.statement)
    move = Move(stage, action, reason, desk.now, previous, summary.digest)
    subject = ResourceDescriptor(name=str(name), digests=(plan.verdict.artifact,))
    says = predicate.build(move, secrets.token_hex(16))
    statement = Statement.build([subject], predicate.TYPE, says)
    uploads = Uploads.begin(registry.store, registry.catalogue)
    event = Event(
        STAGE,
        bundles=tuple(uploads.put(signer.sign(one).raw) for one in (summary, statement)),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )

    met: list[StageRow] = []

    def decide() -> list[Event]:
        with take(registry, desk.trust, desk.now) as view:
            there = holding.holder(view, name.name, stage)
            if there is not None and plan.is_met_by(there):
                met.append(there)  # somebody else wanted the same, or appended this very one
                return []
            if (there and there.statement) != (before and before.statement):
                raise Overtaken(_overtaken(view, there, f"{name.name}#{stage}"))
            _check_standing(view, plan, policy)
        return [event]

    entry = record(registry, desk.trust, signer, desk.now, decide, uploads)
    if entry is None:
        settle(registry)  # that it is there is a promise, too
        return plan.unchanged(met[-1])
    return Changed(
        name,
        plan.verdict.artifact,
        stage,
        entry,
        statement.digest,
        summary.digest,
        plan.verdict,
        before,
    )


def _overtaken(view: Snapshot, there: StageRow | None, where: str) -> str:
    if there is None:
        return f"{where} was emptied meanwhile: nothing that is believed says what is there"
    who = signer_label(view, there.fact.signer)
    return (
        f"{who} came first: {where} is {there.name} since ledger entry {there.fact.n} "
        f"({there.action}); nothing was changed"
    )


def _check_standing(view: Snapshot, plan: _Plan, policy: Policy) -> None:
    """Ask the status step again. Raises Quarantined, Undecided, NotVerified."""
    verdict = plan.verdict
    node = query.node_id(view.connection, verdict.artifact) if verdict.artifact else None
    if node is None:
        raise Undecided(f"{plan.name}: the registry does not know it any more")
    upstream = status.view(view, node, plan.name)
    for stop in upstream.stops:
        raise Quarantined(f"{plan.name}: {'; '.join(map(str.strip, explain(stop)))}")
    if upstream.undecided:
        raise Undecided(f"{plan.name}: {upstream.undecided}")
    if upstream.suspects and policy.on_suspect is Suspects.DENY:
        raise NotVerified(f"{plan.name}: {upstream.suspects[0].target} is suspect by now")
