"""`urn:stemma:approval:v0.1`: somebody lets exactly these bytes into a stage.

The subject is the artifact, by its digest, under its name. See docs/formats/approval.md.
An approval may end; what is approved by nobody any more is not approved.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:approval:v0.1"


@dataclass(frozen=True)
class Approval:
    """One; `until` is when it ends."""

    stage: str
    reason: str
    issued: datetime
    until: datetime | None = None


def build(approval: Approval, nonce: str) -> dict[str, Any]:
    """The predicate. `nonce` is any unique text: no two approvals are the same statement."""
    predicate = {
        "stage": approval.stage,
        "reason": approval.reason,
        "issuedAt": format_time(approval.issued),
        "nonce": nonce,
    }
    if approval.until is not None:
        predicate["until"] = format_time(approval.until)
    return predicate


def parse(predicate: Mapping[str, Any]) -> Approval:
    """Read the predicate. Raises BadStatement."""
    stage, reason = text(predicate, "stage"), text(predicate, "reason")
    issued, until = text(predicate, "issuedAt"), text(predicate, "until")
    if not stage or not reason or not issued:
        raise BadStatement("an approval has a stage, a reason and issuedAt")
    try:
        end = parse_time(until) if until is not None else None
        return Approval(stage, reason, parse_time(issued), end)
    except Malformed as error:
        raise BadStatement(f"approval: {error}") from error
