"""What the policy asks about shared tensors (a part of step 9)."""

from __future__ import annotations

from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.reasons import Reason
from stemma_attestations.request import Request

MAX_REASONS = 50


def refusal(request: Request) -> tuple[type[NotVerified], list[Reason]] | None:
    """Why the artifact's tensors do not do, or None where they do or nothing is asked."""
    rules = [rule.tensors for rule in request.rules if rule.tensors is not None]
    if not rules:
        return None
    seen = request.tensors
    if seen is None:
        why = "nobody compared its tensors with those of what is quarantined"
        return Undecided, [Reason(why, "tensors-unknown")]
    least = min(rule.share for rule in rules)
    reasons = [
        Reason(
            f"{one.share:.1%} of its tensors are those of {one.label}, and nobody declared why",
            "tensors-shared",
            one.label,
            further=one.lines,
        )
        for one in seen.sharers
        if one.share >= least
    ]
    if reasons:
        more = len(reasons) - MAX_REASONS
        said = [Reason(f"and {more} more", "tensors-shared")] if more > 0 else []
        return Quarantined, [*reasons[:MAX_REASONS], *said]
    if seen.undecided is not None:
        return Undecided, [Reason(f"its tensors: {seen.undecided}", "tensors-unknown")]
    return None
