"""`urn:stemma:stage:v0.1`: what is at a stage from now on. See docs/formats/stage.md.

The one subject is the artifact, by its digest, under its NAME:VERSION: the stage is one of
that NAME. `previous` is the statement that it supersedes (None for the first at this stage),
`verdict` the verification summary that it rests on; both are the SHA-256 of a statement's own
bytes, whatever bundle it is in.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadStatement, Malformed
from stemma_attestations.names import NameVersion, is_stage, subject_name
from stemma_attestations.statement import Statement, text
from stemma_attestations.times import format_time, parse_time

TYPE = "urn:stemma:stage:v0.1"
PROMOTE, ROLLBACK = "promote", "rollback"


@dataclass(frozen=True)
class Move:
    """One; `action` is `promote` or `rollback`."""

    stage: str
    action: str
    reason: str | None
    issued: datetime
    previous: Digest | None
    verdict: Digest


@dataclass(frozen=True)
class Moved:
    """What a whole statement says: which bytes, under which name, are moved how."""

    name: NameVersion
    artifact: Digest
    move: Move


def build(move: Move, nonce: str) -> dict[str, Any]:
    """The predicate. `nonce` is any unique text: no two moves are the same statement."""
    return {
        "stage": move.stage,
        "action": move.action,
        "reason": move.reason,
        "issuedAt": format_time(move.issued),
        "previous": None if move.previous is None else str(move.previous),
        "verdict": str(move.verdict),
        "nonce": nonce,
    }


def parse(statement: Statement) -> Moved:
    """Read a statement. Raises BadStatement."""
    if len(statement.subjects) != 1:
        raise BadStatement("a stage statement has one subject")
    subject, predicate = statement.subjects[0], statement.predicate
    name, artifact = subject_name(subject.name), subject.digest("sha256")
    if name is None or artifact is None:
        raise BadStatement("the subject of a stage statement is NAME:VERSION with its sha256")
    stage, action, reason = (text(predicate, field) for field in ("stage", "action", "reason"))
    issued, verdict = text(predicate, "issuedAt"), text(predicate, "verdict")
    if stage is None or not is_stage(stage):
        raise BadStatement("a stage is a word of a-z, 0-9 and -")
    if not issued or not verdict or "previous" not in predicate:
        raise BadStatement("a stage statement has issuedAt, previous and verdict")
    if action not in (PROMOTE, ROLLBACK):
        raise BadStatement("the action of a stage statement is promote or rollback")
    previous = text(predicate, "previous")
    try:
        move = Move(
            stage,
            action,
            reason,
            parse_time(issued),
            None if previous is None else _sha256(previous),
            _sha256(verdict),
        )
    except Malformed as error:
        raise BadStatement(f"stage statement: {error}") from error
    return Moved(name, artifact, move)


def _sha256(written: str) -> Digest:
    digest = Digest.parse(written)
    if digest.algorithm != "sha256":
        raise BadDigest(f"statements are named by SHA-256, not {digest.algorithm}")
    return digest
