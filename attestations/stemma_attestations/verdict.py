"""What the gate found: the numbered steps, and the one conclusion they allow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import (
    BytesDiffer,
    NotVerified,
    Quarantined,
    SignatureRefused,
    Undecided,
)
from stemma_attestations.lock import Signatory
from stemma_attestations.names import NameVersion
from stemma_attestations.policy import Policy, Rule
from stemma_attestations.reasons import Reason

# Most severe first: what a verdict with several failed steps is called after.
SEVERITY: Sequence[type[NotVerified]] = (BytesDiffer, SignatureRefused, Quarantined, NotVerified)
# The word for a reason that says no more than its line.
_CODES: Mapping[type[NotVerified], str] = {
    BytesDiffer: "bytes-differ",
    SignatureRefused: "signature-refused",
    Quarantined: "quarantined",
    Undecided: "undecided",
}


class Outcome(StrEnum):
    """How one step ended."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Step:
    """One numbered step of the recipe (design: the gate).

    `details` are lines for people: what was proved, or each reason against.
    `failure` is the error that a failed step amounts to, `reasons` say why for machines:
    at least one where it did not pass.
    """

    number: int
    title: str
    outcome: Outcome
    details: tuple[str, ...] = ()
    failure: type[NotVerified] | None = None
    reasons: tuple[Reason, ...] = ()

    @classmethod
    def passed(cls, number: int, title: str, *details: str) -> Step:
        """A step that was proved."""
        return cls(number, title, Outcome.PASSED, details)

    @classmethod
    def failed(
        cls, number: int, title: str, failure: type[NotVerified], *why: str | Reason
    ) -> Step:
        """A step that was refuted, or could not be decided where `failure` is Undecided."""
        outcome = Outcome.UNDECIDED if failure is Undecided else Outcome.FAILED
        code = next((_CODES[kind] for kind in failure.__mro__ if kind in _CODES), "not-verified")
        reasons = [Reason(one) if isinstance(one, str) else one for one in why or (title,)]
        lines = dict.fromkeys(line for one in reasons for line in one.lines)
        coded = tuple(one if one.code else replace(one, code=code) for one in reasons)
        return cls(number, title, outcome, tuple(lines), failure, tuple(dict.fromkeys(coded)))

    def to_json(self) -> dict[str, Any]:
        """As `--json` and the verification summary have it."""
        return {
            "number": self.number,
            "title": self.title,
            "outcome": str(self.outcome),
            "details": list(self.details),
            "reasons": [reason.to_json() for reason in self.reasons],
        }


@dataclass(frozen=True)
class Verdict:
    """The whole result, for one artifact under one trust root at one ledger entry.

    `entry` is the ledger entry the status was taken at, `age` how old that provably is
    (None where nobody asked), `rules` those of the policy that held, `accepted` the bundles
    whose statements counted, `signers` who vouches for it, `warnings` what is worth a look
    but decides nothing, `let_pass` why an old status did, where it had to.
    """

    resource: str
    artifact: Digest | None
    name: NameVersion | None
    steps: tuple[Step, ...]
    trust_root: Digest
    policy: Policy
    entry: int | None
    time: datetime
    accepted: tuple[Digest, ...] = ()
    warnings: tuple[str, ...] = ()
    stage: str | None = None
    age: timedelta | None = None
    rules: tuple[Rule, ...] = ()
    signers: tuple[Signatory, ...] = ()
    let_pass: str | None = None

    @property
    def passed(self) -> bool:
        """Whether every step passed."""
        return bool(self.steps) and all(s.outcome is Outcome.PASSED for s in self.steps)

    @property
    def failure(self) -> type[NotVerified] | None:
        """The most severe failure; `Undecided` only where nothing definitely failed."""
        found = {step.failure for step in self.steps if step.failure is not None}
        for failure in (*SEVERITY, Undecided):
            if failure in found:
                return failure
        return None if self.passed else NotVerified

    def require(self) -> Verdict:
        """Return the verdict if it passed, else raise its failure with the first reason."""
        failure = self.failure
        if failure is None:
            return self
        step = next(s for s in self.steps if s.failure is failure)
        reason = step.details[0] if step.details else step.title
        raise failure(f"{self.resource}: {reason}", self)
