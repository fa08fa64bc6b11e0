"""Read what a policy asks about commits. Every mistake is told with its line."""

from __future__ import annotations

from stemma_attestations.placed import Placed
from stemma_attestations.policy import SourceRule

LEVELS = tuple(f"SLSA_SOURCE_LEVEL_{number}" for number in range(1, 5))
_OF_LEVEL = ("verified_by", "repository")
FIELDS = ("signed_by", "tagged_by", "level", *_OF_LEVEL)


def parse(at: Placed) -> SourceRule:
    """`{signed_by, tagged_by, level, verified_by, repository}`. Raises BadPolicy."""
    fields = at.fields(FIELDS)
    for name in _OF_LEVEL:
        if name in fields and "level" not in fields:
            fields[name].fail("is asked of a `level` only")
    rule = SourceRule(
        signed=_people(fields["signed_by"]) if "signed_by" in fields else (),
        tagged=_people(fields["tagged_by"]) if "tagged_by" in fields else (),
        level=LEVELS.index(fields["level"].choice(*LEVELS)) + 1 if "level" in fields else 0,
        verified_by=fields["verified_by"].texts() if "verified_by" in fields else (),
        repository=fields["repository"].text() if "repository" in fields else None,
    )
    if not (rule.signed or rule.tagged or rule.level):
        at.fail("it asks for nothing: one of signed_by, tagged_by and level is expected")
    return rule


def _people(at: Placed) -> tuple[str, ...]:
    """A list of principals, or `any`: whoever the trust root lets."""
    if at.value == "any":
        return ("any",)
    found = at.texts()
    if "any" in found:
        at.fail("`any` stands alone, not in a list")
    return found
