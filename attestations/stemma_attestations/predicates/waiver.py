"""`urn:stemma:waiver:v0.1`: one descendant may be served in spite of one quarantine, for a time.

The subjects are what is let pass, by digest and NAME:VERSION. See docs/formats/waiver.md.
A waiver always ends; it names the quarantine by the SHA-256 of its statement.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:waiver:v0.1"


@dataclass(frozen=True)
class Waiver:
    """One; `quarantine` is the digest of the statement that it is in spite of."""

    quarantine: Digest
    reason: str
    issued: datetime
    until: datetime


def build(waiver: Waiver, nonce: str) -> dict[str, Any]:
    """The predicate. `nonce` is any unique text: no two waivers are the same statement."""
    return {
        "quarantine": {"sha256": waiver.quarantine.value},
        "reason": waiver.reason,
        "issuedAt": format_time(waiver.issued),
        "until": format_time(waiver.until),
        "nonce": nonce,
    }


def parse(predicate: Mapping[str, Any]) -> Waiver:
    """Read the predicate. Raises BadStatement."""
    reason, issued = text(predicate, "reason"), text(predicate, "issuedAt")
    until, of = text(predicate, "until"), predicate.get("quarantine")
    if not reason or not issued or not until:
        raise BadStatement("a waiver has a reason, issuedAt and until")
    if not isinstance(of, dict) or not isinstance(of.get("sha256"), str):
        raise BadStatement("a waiver names a quarantine by {sha256}")
    try:
        found = Waiver(sha256(of["sha256"]), reason, parse_time(issued), parse_time(until))
    except Malformed as error:
        raise BadStatement(f"waiver: {error}") from error
    if found.until <= found.issued:
        raise BadStatement("a waiver that ends before it begins")
    return found
