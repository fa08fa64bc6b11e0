"""What the catalogue answers: rows as plain values. Those that come in thousands are tuples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from stemma_attestations.digest import Digest
from stemma_attestations.marks import Mark
from stemma_attestations.names import NameVersion
from stemma_attestations.times import Times


class Fact(NamedTuple):
    """A signed statement about something; `signer` is None where no signature verified.

    `bundle` is the digest of the envelope it came in; `signed` is what proves
    since when it exists.
    """

    bundle: Digest
    predicate_type: str
    signer: str | None
    n: int
    name: str | None = None
    version: str | None = None
    signed: Times = ()

    @property
    def about(self) -> str | None:
        """NAME:VERSION, or None."""
        return f"{self.name}:{self.version}" if self.name else None


class EdgeRow(NamedTuple):
    """One statement's edge. `fact.name` is the name it gives the output."""

    input_id: int
    output_id: int
    relation: str
    input_name: str | None
    fact: Fact
    mark: Mark = Mark.EXACT


class VersionRow(NamedTuple):
    """One statement's binding of NAME:VERSION to an artifact."""

    name: NameVersion
    kind: str
    artifact_id: int
    definition: str
    fact: Fact


@dataclass(frozen=True)
class StatusRow:
    """One act of custody and one of its targets.

    `statement` is the digest of the statement's own bytes, hex. `lifts` are releases that
    are believed about its name, and may not be about another (see `lineage.status.in_force`).
    `evidence` is the statement by which a criterion meets the target: both have to be
    believed. `mark` says what stops, in a word.
    """

    node_id: int
    statement: str
    action: str
    reason: str
    issued: str
    path: str | None
    fact: Fact
    lifts: tuple[Fact, ...] = ()
    evidence: Fact | None = None
    mark: str = "quarantined"


@dataclass(frozen=True)
class ArtifactRow:
    """An artifact's size in bytes, number of files and the entry that brought it."""

    id: int
    size: int
    files: int
    n: int


class PartRow(NamedTuple):
    """A blob as a file of an artifact."""

    artifact_id: int
    blob_id: int
    path: str
