"""`urn:stemma:checkpoint:v0.1`: a signed head of the ledger. See docs/formats/ledger.md.

The subject, named `ledger`, is the head entry by its SHA-256.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import ResourceDescriptor, Statement, text
from stemma_attestations.times import parse_time

TYPE = "urn:stemma:checkpoint:v0.1"
SUBJECT = "ledger"


@dataclass(frozen=True)
class Checkpoint:
    """The ledger ended with entry `n` at `time`.

    `entry` is the SHA-256 of that entry, `tree_root` (hex) the RFC 6962 root
    over the entries *before* it, as the entry itself records.
    """

    n: int
    entry: Digest
    tree_root: str
    time: str


def build(checkpoint: Checkpoint) -> Statement:
    """The statement to sign. Raises BadStatement."""
    return Statement.build(
        [ResourceDescriptor(name=SUBJECT, digests=(checkpoint.entry,))],
        TYPE,
        {"n": checkpoint.n, "treeRoot": checkpoint.tree_root, "time": checkpoint.time},
    )


def parse(statement: Statement) -> Checkpoint:
    """Read a checkpoint statement. Raises BadStatement."""
    predicate: Mapping[str, Any] = statement.predicate
    n, root, time = predicate.get("n"), text(predicate, "treeRoot"), text(predicate, "time")
    subject = statement.subjects[0]
    entry = subject.digest("sha256")
    if statement.predicate_type != TYPE or subject.name != SUBJECT or entry is None:
        raise BadStatement("not a checkpoint of a ledger")
    if not isinstance(n, int) or isinstance(n, bool) or n < 0 or root is None or time is None:
        raise BadStatement("a checkpoint has n, treeRoot and time")
    try:
        parse_time(time)
        sha256(root)
    except Malformed as error:
        raise BadStatement(f"checkpoint: {error}") from error
    return Checkpoint(n, entry, root, time)
