"""`urn:stemma:approval:v0.1`: somebody lets exactly these bytes into a stage.

The subject is the artifact, by its digest, under its name. See docs/formats/approval.md.
`until` says when it ends, null for never; it has to be said, so that no approval lasts
longer for want of a field.
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
    return {
        "stage": approval.stage,
        "reason": approval.reason,
        "issuedAt": format_time(approval.issued),
        "until": None if approval.until is None else format_time(approval.until),
        "nonce": nonce,
    }


def parse(predicate: Mapping[str, Any]) -> Approval:
    """Read the predicate. Raises BadStatement."""
    stage, reason = text(predicate, "stage"), text(predicate, "reason")
    issued = text(predicate, "issuedAt")
    if not stage or not reason or not issued or "until" not in predicate:
        raise BadStatement("an approval has a stage, a reason, issuedAt and until")
    until = None if predicate["until"] is None else text(predicate, "until")
    try:
        end = parse_time(until) if until is not None else None
        return Approval(stage, reason, parse_time(issued), end)
    except Malformed as error:
        raise BadStatement(f"approval: {error}") from error


def parse_or_none(predicate: Mapping[str, Any]) -> Approval | None:
    """The same, None for what is no approval."""
    try:
        return parse(predicate)
    except BadStatement:
        return None
