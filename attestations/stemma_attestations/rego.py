"""What evaluating Rego comes to: a decision, and the signature of who makes it.

The evaluators are in `stemma_registry.rego`: nothing here runs anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stemma_attestations.policy import RegoRule
from stemma_attestations.verdict import Outcome


@dataclass(frozen=True)
class Decision:
    """What Rego says of one input document.

    Passed is a clear allow. Failed is any other answer: it says no, says nothing, or fails.
    Undecided is no answer at all. `lines` are for people.
    """

    outcome: Outcome
    lines: tuple[str, ...]


# Asks one rule about one input document (docs/formats/policy-input.md), JSON in UTF-8.
Evaluator = Callable[[RegoRule, bytes], Decision]
