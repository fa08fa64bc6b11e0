"""What would be clean with something good in place of what is bad."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from stemma_attestations.errors import Malformed
from stemma_attestations.trust import Assurance
from stemma_registry.errors import Refused
from stemma_registry.incident.reach import Reach, reach
from stemma_registry.lineage import status
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class Replacement:
    """`good` in place of `bad`; `problem` is why that does not help."""

    bad: str
    good: str
    problem: str | None


def quarantined_groups(view: Snapshot) -> dict[str, set[int]]:
    """The targets of all that stops something and is believed, by its statement."""
    groups: dict[str, set[int]] = {}
    for row in status.stopping(view):
        if status.quarantine_worth(view, row, None) is Assurance.ATTESTED:
            groups.setdefault(row.statement, set()).add(row.node_id)
    return groups


def replaced(
    view: Snapshot, found: Reach, replace: Sequence[str]
) -> tuple[tuple[Replacement, ...], Reach]:
    """The replacements, and what everything bad reaches once what they replace is gone."""
    bad = set(found.starts).union(*quarantined_groups(view).values())
    swaps, gone = [], set[int]()
    for text in replace:
        one, given, other = text.partition("=")
        if not given:
            raise Malformed(f"--replace {text!r:.80}: write BAD=GOOD")
        old, new = resolve(view, one), resolve(view, other)
        if old.node not in bad and old.node not in found.affected:
            raise Refused(f"{old.label} is not bad, and did not come from what is")
        problem = _problem(view, found, new)
        if problem is None:
            gone.add(old.node)
        swaps.append(Replacement(old.label, new.label, problem))
    return tuple(swaps), reach(view, bad, gone) if replace else found


def _problem(view: Snapshot, found: Reach, good: Resolved) -> str | None:
    """Why something is no replacement."""
    if good.node in found.starts or good.node in found.affected:
        return f"{good.label} came from what is bad itself"
    seen = status.view(view, good.node, good.name)
    if seen.stops:
        return f"{good.label} is stopped: {seen.stops[0].reason}"
    return seen.undecided
