"""`urn:stemma:status:v0.1`: quarantine, release, erasure. See docs/formats/status.md.

The subjects are the targets: artifacts, blobs (annotated with the path under
which they were found) or Git commits. A release names the quarantines it lifts
by the SHA-256 of their statements, and lifts no other. Not of their bundles:
those can be written again around the same signature, and a quarantine that was
lifted would be back on nobody's word. Each quarantine has a nonce, so that no
two are the same statement. An erasure is a tombstone: it says why the bytes of
its subjects (blobs) are gone, under every name that they were known by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadDigest, BadStatement, Malformed
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates.criterion import Criterion
from stemma_attestations.statement import text
from stemma_attestations.times import parse_time

TYPE = "urn:stemma:status:v0.1"
QUARANTINE = "quarantine"
RELEASE = "release"
ERASE = "erase"
MATCHING = "stop-matching"


@dataclass(frozen=True)
class Status:
    """One act of custody; `releases` are statement digests, of a release only.

    `criterion` is what a rule stops, and is there only of one that does.
    """

    action: str
    reason: str
    issued: str
    releases: tuple[Digest, ...]
    raw: Mapping[str, Any]
    criterion: Criterion | None = None


def build_quarantine(reason: str, issued: str, nonce: str) -> dict[str, Any]:
    """The predicate that stops its subjects. `issued` is RFC 3339, `nonce` any unique text."""
    return {"action": QUARANTINE, "reason": reason, "issuedAt": issued, "nonce": nonce}


def build_release(reason: str, issued: str, releases: Sequence[Digest]) -> dict[str, Any]:
    """The predicate that lifts the quarantines with these statement digests."""
    return {
        "action": RELEASE,
        "reason": reason,
        "issuedAt": issued,
        "releases": [{"sha256": digest.value} for digest in sorted(releases)],
    }


def build_erasure(reason: str, issued: str, nonce: str) -> dict[str, Any]:
    """The predicate that says why the bytes of its subjects are gone, for ever."""
    return {"action": ERASE, "reason": reason, "issuedAt": issued, "nonce": nonce}


def build_matching(of: Criterion, reason: str, issued: str, nonce: str) -> dict[str, Any]:
    """The predicate that stops what a criterion says; its subject is `criterion.subject(of)`."""
    return {
        "action": MATCHING,
        "criterion": of.document(),
        "reason": reason,
        "issuedAt": issued,
        "nonce": nonce,
    }


def parse(predicate: Mapping[str, Any]) -> Status:
    """Read a status predicate. Raises BadStatement for an action that is not known."""
    action = text(predicate, "action")
    if action not in (QUARANTINE, RELEASE, ERASE, MATCHING):
        raise BadStatement(f"unknown status action {action!r:.40}")
    reason, issued = text(predicate, "reason"), text(predicate, "issuedAt")
    if not reason or not issued:
        raise BadStatement("a status has a reason and issuedAt")
    try:
        parse_time(issued)
        releases = tuple(_statement(item) for item in predicate.get("releases", []))
    except (Malformed, TypeError) as error:
        raise BadStatement(f"status: {error}") from error
    if bool(releases) != (action == RELEASE):
        raise BadStatement("a release names what it lifts, and nothing else does")
    if ("criterion" in predicate) != (action == MATCHING):
        raise BadStatement("a criterion is of what is stopped by one, and of nothing else")
    of = criterion.parse(predicate["criterion"]) if action == MATCHING else None
    return Status(action, reason, issued, releases, predicate, of)


def _statement(obj: object) -> Digest:
    if not isinstance(obj, dict) or not isinstance(obj.get("sha256"), str):
        raise BadDigest("a release names statements by {sha256}")
    return sha256(obj["sha256"])
