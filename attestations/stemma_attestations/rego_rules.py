"""What the policy asks of Rego (the last part of step 10). It can only add a no."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stemma_attestations import policy_input
from stemma_attestations.accepted import Signed
from stemma_attestations.errors import NotVerified, StemmaError, Undecided
from stemma_attestations.guarding import guarded
from stemma_attestations.policy import RegoRule
from stemma_attestations.policy_rego import named
from stemma_attestations.rego import Decision
from stemma_attestations.request import Request
from stemma_attestations.verdict import Outcome, Step


def held(
    request: Request,
    allowed: Step,
    steps: Sequence[Step],
    good: Sequence[Signed],
    signed: Sequence[Signed],
) -> Step:
    """Step 10, of which `allowed` is what the policy's own rules come to.

    `steps` are those before it. Every Rego of every rule that holds has to allow.
    """
    rules = dict.fromkeys(rule.rego for rule in request.rules if rule.rego is not None)
    if not rules or allowed.outcome is not Outcome.PASSED:
        return allowed
    try:
        document = guarded(partial(policy_input.build, request, steps, good, signed), Undecided)
    except StemmaError as error:
        return _failed(allowed, Undecided, f"there is no input document for Rego: {error}")
    decisions = [_ask(request, rule, document) for rule in rules]
    against = [one for one in decisions if one.outcome is not Outcome.PASSED]
    if against:
        failed = any(one.outcome is Outcome.FAILED for one in against)
        lines = dict.fromkeys(line for one in against for line in one.lines)
        return _failed(allowed, NotVerified if failed else Undecided, *lines)
    lines = dict.fromkeys(line for one in decisions for line in one.lines)
    return Step.passed(allowed.number, allowed.title, *allowed.details, *lines)


def _failed(allowed: Step, failure: type[NotVerified], *lines: str) -> Step:
    return Step.failed(allowed.number, allowed.title, failure, *lines)


def _ask(request: Request, rule: RegoRule, document: bytes) -> Decision:
    """One decision; where the evaluator itself fails, none."""
    evaluator = request.evaluator
    if evaluator is None:
        return Decision(Outcome.UNDECIDED, (f"{named(rule)}: nobody here evaluates Rego",))
    try:
        return guarded(partial(evaluator, rule, document), Undecided)
    except StemmaError as error:
        return Decision(Outcome.UNDECIDED, (f"{named(rule)}: {error}",))
