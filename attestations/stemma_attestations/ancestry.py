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
    rules = dict.fromkeys(r.ancestors for r in request.rules if r.ancestors is not None)
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
    labels = {ancestor.label for ancestor in request.ancestors if not ancestor.code}
    count = "1 ancestor" if len(labels) == 1 else f"{len(labels)} ancestors"
    return Step.passed(8, title, count)


def _refusal(ancestor: Ancestor, rule: AncestorRule) -> str | None:
    """Why an ancestor does not do, or None where it does: one good statement suffices."""
    asked = Assurance(rule.assurance)
    beyond = rule.depth is not None and ancestor.depth > rule.depth
    if ancestor.code or beyond or ancestor.edges is not asked:
        return None
    if ancestor.admitted and rule.admitted:
        return None
    enough = [one for one in ancestor.provenance if _RANK.get(one.assurance, 0) >= _RANK[asked]]
    if any(not one.gaps for one in enough):
        return None
    also = "".join(f"; {line}" for line in ancestor.refused) if rule.admitted else ""
    if enough:
        return "; ".join(enough[0].gaps) + also
    if ancestor.provenance:
        best = max((one.assurance for one in ancestor.provenance), key=lambda a: _RANK.get(a, 0))
        return f"its provenance is {best}, not {asked}{also}"
    return f"has no provenance here{also or ', and nobody admitted it'}"


def standing(ancestor: Ancestor) -> str:
    """One word for a report: attested, admitted, signed, claimed, incomplete or unknown."""
    whole = {one.assurance for one in ancestor.provenance if not one.gaps}
    if Assurance.ATTESTED in whole:
        return str(Assurance.ATTESTED)
    if ancestor.admitted:
        return "admitted"
    for worth in (Assurance.SIGNED, Assurance.CLAIMED):
        if worth in whole:
            return str(worth)
    return "incomplete" if ancestor.provenance else "unknown"
