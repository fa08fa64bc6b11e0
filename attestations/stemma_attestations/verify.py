"""The numbered recipe: from bytes, bundles, trust root, policy and status to a verdict.

Pure: whoever calls it reads the files, knows the time and has walked the
lineage. Every step runs that can, so that a verdict names all that is wrong.
The numbers are those of the design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stemma_attestations import (
    accepted,
    ancestry,
    evidence,
    locked,
    rego_rules,
    requirements,
    shared_tensors,
)
from stemma_attestations.errors import BytesDiffer, NotVerified, Quarantined, Undecided
from stemma_attestations.observed import deviations
from stemma_attestations.policy import Recheck, Suspects
from stemma_attestations.reasons import Reason
from stemma_attestations.request import Request, Stop
from stemma_attestations.times import format_duration, format_time
from stemma_attestations.verdict import Step, Verdict


def verify(request: Request) -> Verdict:
    """Run the recipe.

    Returns the verdict if every step passed. Raises the most severe of
    BytesDiffer, SignatureRefused, Quarantined, NotVerified, else Undecided;
    the error carries the verdict with all steps.
    """
    signed, signatures = accepted.signatures(request)
    good, signers = accepted.signers(request, signed)
    resolved = Step.passed(1, "reference resolved", *request.resolution)
    proved = (resolved, _bytes(request), signatures, signers)
    steps = (
        *proved[:2],
        *locked.bytes_steps(request),
        *proved[2:],
        *locked.signer_steps(request, good),
        *policy_steps(request, good, signed, proved),
    )
    verdict = Verdict(
        resource=request.resource,
        artifact=request.expected.digest,
        name=request.name,
        steps=steps,
        trust_root=request.trust.digest,
        policy=request.policy,
        entry=request.status.entry,
        time=request.now,
        accepted=tuple(sorted(item.bundle for item in good)),
        stage=request.stage,
        age=request.status.age,
        rules=request.rules,
        signers=locked.signers(request, good),
        let_pass=request.stale_ok if _broken_glass(request) else None,
        warnings=(
            *_broken_glass(request),
            *(_suspicion(stop) for stop in request.status.suspects),
            *request.notes,
        ),
    )
    return verdict.require()


def policy_steps(
    request: Request,
    good: Sequence[accepted.Signed],
    signed: Sequence[accepted.Signed],
    proved: Sequence[Step] = (),
) -> tuple[Step, ...]:
    """What the policy asks for, of statements that are believed: steps 5 to 10.

    `signed` are all whose signatures verify, `proved` the steps before these.
    """
    steps = (
        requirements.provenance_step(request, good),
        requirements.bom_step(request, good),
        evidence.step(request, good, signed),
        *request.further,
        ancestry.step(request),
        _status(request),
    )
    allowed = rego_rules.held(request, _allowed(request), (*proved, *steps), good, signed)
    return (*steps, allowed)


def _bytes(request: Request) -> Step:
    title = "every byte is in the manifest and nothing else is there"
    found = deviations(request.expected, request.observed)
    if found:
        wrong = [Reason(f"{path}: {what}", "bytes-differ", path) for path, what in found]
        return Step.failed(2, title, BytesDiffer, *wrong)
    count = len(request.expected.entries)
    files = "1 file" if count == 1 else f"{count} files"
    seen = request.observed
    if not seen.unread:
        return Step.passed(2, title, f"{files}, {request.expected.size} bytes hashed")
    unread = f"{seen.unread} of {count} files not read again"
    if request.policy.recheck is not Recheck.STAT or seen.since is None:
        why = f"{unread}, and {request.policy.name} asks for it"
        return Step.failed(2, title, Undecided, Reason(why, "bytes-unread"))
    since = f"{unread} since {format_time(seen.since)}: they look unchanged, and"
    lets = f"{request.policy.name} lets that do (recheck: stat)"
    return Step.passed(2, title, f"{files}, {request.expected.size} bytes", f"{since} {lets}")


def _status(request: Request) -> Step:
    title, status = "nothing upstream is quarantined", request.status
    if status.stops:
        return Step.failed(9, title, Quarantined, *map(_stopped, status.stops))
    tensors = shared_tensors.refusal(request)
    if tensors is not None and tensors[0] is Quarantined:
        return Step.failed(9, title, Quarantined, *tensors[1])
    if status.undecided is not None:
        return Step.failed(9, title, Undecided, status.undecided)
    if tensors is not None:
        return Step.failed(9, title, tensors[0], *tensors[1])
    entry = f"as of ledger entry {status.entry}"
    if status.stale is not None:
        stale = Reason(status.stale, "stale")
        if request.stale_ok is None:
            return Step.failed(9, title, Undecided, stale)
        if not request.policy.stale_ok:
            refused = f"and {request.policy.name} permits no stale status"
            return Step.failed(9, title, Undecided, stale, Reason(refused, "stale"))
        return Step.passed(9, title, entry, *_broken_glass(request))
    age = "" if status.age is None else f", at most {format_duration(status.age)} old"
    return Step.passed(9, title, entry + age)


def _broken_glass(request: Request) -> tuple[str, ...]:
    """What is said, loudly, where somebody let an old status do."""
    if request.status.stale is None or request.stale_ok is None or not request.policy.stale_ok:
        return ()
    return (f"STALE: {request.status.stale}", f"let pass because: {request.stale_ok}")


def _allowed(request: Request) -> Step:
    title = "the policy allows it"
    policy, rules = request.policy, request.rules
    if request.stage is not None and request.stage not in policy.stages:
        known = ", ".join(policy.stages)
        why = f"{policy.name} has no stage {request.stage} ({known})"
        return Step.failed(10, title, NotVerified, Reason(why, "stage-unknown", request.stage))
    if not rules:
        where = f" at stage {request.stage}" if request.stage else ""
        what = request.name.name if request.name else "what has no name"
        why = f"no rule of the policy {policy.name} is about {what}{where}"
        return Step.failed(10, title, NotVerified, Reason(why, "rule-missing", what))
    if policy.on_suspect is Suspects.DENY and request.status.suspects:
        suspects = [
            replace(_stopped(stop), text=_suspicion(stop), code="suspect", further=())
            for stop in request.status.suspects
        ]
        return Step.failed(10, title, NotVerified, *suspects)
    labels = "; ".join(rule.label for rule in rules if rule.label)
    return Step.passed(10, title, policy.name + (f": {labels}" if labels else ""))


def explain(stop: Stop) -> tuple[str, ...]:
    """A quarantine and its path, a line each."""
    return (f"{stop.target} is quarantined by {stop.by}: {stop.reason}", *stop.path)


def _stopped(stop: Stop) -> Reason:
    first, *path = explain(stop)
    return Reason(
        first,
        "quarantined",
        stop.target,
        stop.bundle,
        stop.by,
        stop.key_id,
        stop.edges,
        tuple(path),
    )


def _suspicion(stop: Stop) -> str:
    return (
        f"suspect, on a word that is not believed: {stop.target} is quarantined by {stop.by}: "
        f"{stop.reason}" + "".join(f"; {hop.strip()}" for hop in stop.path)
    )
