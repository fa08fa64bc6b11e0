"""`urn:stemma:admission:v0.1`: somebody lets in what has no provenance that would do.

The subjects are what is let in, by digest: an unsigned estate, a public base model, a
container image. See docs/formats/admission.md. `until` says when it ends, null for
never; it has to be said, so that nothing is let in longer for want of a field.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:admission:v0.1"


@dataclass(frozen=True)
class Admission:
    """One; `until` is when it ends."""

    reason: str
    issued: datetime
    until: datetime | None

    def ended(self, now: datetime) -> bool:
        """Whether it counts no longer."""
        return self.until is not None and self.until <= now


def build(admission: Admission, nonce: str) -> dict[str, Any]:
    """The predicate. `nonce` is any unique text: no two admissions are the same statement."""
    return {
        "reason": admission.reason,
        "issuedAt": format_time(admission.issued),
        "until": None if admission.until is None else format_time(admission.until),
        "nonce": nonce,
    }


def parse(predicate: Mapping[str, Any]) -> Admission:
    """Read the predicate. Raises BadStatement."""
    reason, issued = text(predicate, "reason"), text(predicate, "issuedAt")
    if not reason or not issued or "until" not in predicate:
        raise BadStatement("an admission has a reason, issuedAt and until")
    until = None if predicate["until"] is None else text(predicate, "until")
    try:
        end = parse_time(until) if until is not None else None
        return Admission(reason, parse_time(issued), end)
    except Malformed as error:
        raise BadStatement(f"admission: {error}") from error
