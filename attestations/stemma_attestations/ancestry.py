"""What the policy asks of everything upstream (step 8)."""

from __future__ import annotations

from stemma_attestations import sources
from stemma_attestations.errors import NotVerified, Undecided
from stemma_attestations.policy import AncestorRule
from stemma_attestations.reasons import Reason
from stemma_attestations.request import Ancestor, Request, Vouching
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
        nobody = Reason("nobody walked the lineage", "lineage-unread")
        return Step.failed(8, title, Undecided, nobody)
    wrong: dict[str, Reason] = {}
    for rule in rules:
        for ancestor in request.ancestors:
            reason = _refusal(request, ancestor, rule)
            if reason is not None:
                wrong.setdefault(reason.text, reason)
    if wrong:
        found = list(wrong.values())
        left = len(found) - MAX_REASONS
        more = [Reason(f"and {left} more", "ancestors-more")] if left > 0 else []
        return Step.failed(8, title, NotVerified, *found[:MAX_REASONS], *more)
    labels = {ancestor.label for ancestor in request.ancestors if not ancestor.code}
    count = "1 ancestor" if len(labels) == 1 else f"{len(labels)} ancestors"
    return Step.passed(8, title, count)


def _refusal(request: Request, ancestor: Ancestor, rule: AncestorRule) -> Reason | None:
    """Why an ancestor does not do, or None where it does: one good statement suffices."""
    asked = Assurance(rule.assurance)
    beyond = rule.depth is not None and ancestor.depth > rule.depth
    if ancestor.code or beyond or ancestor.edges is not asked:
        return None
    if ancestor.admitted and rule.admitted:
        return None
    enough = [one for one in ancestor.provenance if _RANK.get(one.assurance, 0) >= _RANK[asked]]
    whole = [one for one in enough if not one.gaps]
    behind = {one: _sources(request, rule, one) for one in whole}
    if any(not lines for lines in behind.values()):
        return None
    also = "".join(f"; {line}" for line in ancestor.refused) if rule.admitted else ""
    if whole:
        return _against(ancestor, "ancestor-source", "; ".join(behind[whole[0]]) + also, whole[0])
    if enough:
        gaps = "; ".join(enough[0].gaps) + also
        return _against(ancestor, "ancestor-incomplete", gaps, enough[0])
    if ancestor.provenance:
        best = max(ancestor.provenance, key=lambda one: _RANK.get(one.assurance, 0))
        weak = f"its provenance is {best.assurance}, not {asked}{also}"
        return _against(ancestor, "ancestor-not-believed", weak, best)
    none = f"has no provenance here{also or ', and nobody admitted it'}"
    return _against(ancestor, "ancestor-unknown", none)


def _sources(request: Request, rule: AncestorRule, one: Vouching) -> list[str]:
    """What is not there about the commits of an ancestor; what was imported has none."""
    if rule.source is None:
        return []
    return [line for commit in one.commits for line in sources.wrong(request, rule.source, commit)]


def _against(ancestor: Ancestor, code: str, why: str, vouching: Vouching | None = None) -> Reason:
    return Reason(
        f"{ancestor.label}: {why}",
        code,
        ancestor.label,
        vouching.bundle if vouching else None,
        vouching.signer if vouching else None,
        vouching.key_id if vouching else None,
        () if ancestor.edge is None else (ancestor.edge,),
    )


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
