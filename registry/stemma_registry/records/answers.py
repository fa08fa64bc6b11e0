"""What is answered about records: where they are, and what came from there."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.trust import Assurance
from stemma_registry.lineage.trace import Trace


@dataclass(frozen=True)
class Match:
    """A record that was asked about, by its row, and rows of a file that have it.

    `count` is how often the index says it is there, `rows` are at most so many as are listed.
    `checked`: they were read in the file itself; else its bytes could not be had.
    """

    asked: int
    path: str
    shard: Digest
    rows: tuple[int, ...]
    count: int
    checked: bool
    assurance: Assurance
    signer: str


@dataclass(frozen=True)
class Dataset:
    """A dataset with records that were asked about, and what came from it."""

    digest: Digest
    label: str
    names: tuple[str, ...]
    matches: tuple[Match, ...]
    downstream: Trace


@dataclass(frozen=True)
class Unsearched:
    """A dataset, or files of it, that no believed index covers: nothing is known of those."""

    label: str
    digest: Digest
    reason: str


@dataclass(frozen=True)
class Answer:
    """`asked` counts different records; `unread` rows of the question that could not be read."""

    asked: int
    unread: int
    fields: tuple[str, ...] | None
    entry: int
    found: tuple[Dataset, ...]
    unsearched: tuple[Unsearched, ...]


@dataclass(frozen=True)
class NearMatch:
    """A record that was asked about, by its row, and a row that is nearly the same in `fields`.

    `similarity` is the Jaccard similarity of their shingles. `checked`: both were read; else the
    file could not be had, and it is estimated from how many bands they share.
    """

    asked: int
    path: str
    shard: Digest
    row: int
    similarity: float
    checked: bool
    fields: tuple[str, ...]
    assurance: Assurance
    signer: str


@dataclass(frozen=True)
class NearDataset:
    """A dataset with records that are nearly those, and what came from it."""

    digest: Digest
    label: str
    names: tuple[str, ...]
    matches: tuple[NearMatch, ...]
    downstream: Trace


@dataclass(frozen=True)
class Near:
    """What is similar by `threshold` at least; `unsearched` has no near index, or not of all."""

    threshold: float
    found: tuple[NearDataset, ...]
    unsearched: tuple[Unsearched, ...]
