"""What the policy asks of everything upstream (step 8)."""

from __future__ import annotations

from stemma_attestations.errors import NotVerified, Undecided
from stemma_attestations.policy import AncestorRule
from stemma_attestations.request import Ancestor, Request
from stemma_attestations.trust import Assurance
from stemma_attestations.verdict import Step

_RANK = {Assurance.ATTESTED: 3, Assurance.SIGNED: 2, Assurance.CLAIMED: 1}
MAX_REASONS = 50


def step(request: Request) -> Step:
    """Step 8."""
    title = "every ancestor is vouched for"
    rules = [rule.ancestors for rule in request.rules if rule.ancestors is not None]
    if not rules:
        return Step.passed(8, title, "not asked for by the policy")
    if request.ancestors is None:
        return Step.failed(8, title, Undecided, "nobody walked the lineage")
    wrong = dict.fromkeys(
        f"{ancestor.label}: {reason}"
        for rule in rules
        for ancestor in request.ancestors
        if (reason := _refusal(ancestor, rule))
    )
    if wrong:
        lines = list(wrong)
        more = [f"and {len(lines) - MAX_REASONS} more"] if len(lines) > MAX_REASONS else []
        return Step.failed(8, title, NotVerified, *lines[:MAX_REASONS], *more)
    count = sum(not ancestor.code for ancestor in request.ancestors)
    return Step.passed(8, title, f"{count} ancestors")


def _refusal(ancestor: Ancestor, rule: AncestorRule) -> str | None:
    """Why an ancestor does not do, or None where it does."""
    if ancestor.code or (rule.depth is not None and ancestor.depth > rule.depth):
        return None
    if ancestor.provenance is None:
        return None if rule.external == "any" else "has no provenance here, and nobody admitted it"
    if _RANK.get(ancestor.provenance, 0) < _RANK[Assurance(rule.assurance)]:
        return f"its provenance is {ancestor.provenance}, not {rule.assurance}"
    return "; ".join(ancestor.gaps) or None
