"""`urn:stemma:snapshot:v0.1`: a signed copy of the catalogue. See docs/formats/snapshot.md.

The subject, named `catalogue`, is the ledger entry up to which it is projected,
by its SHA-256. Whoever signs one is believed about everything the catalogue says.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest, sha256
from stemma_attestations.errors import BadStatement, Malformed
from stemma_attestations.statement import ResourceDescriptor, Statement, text
from stemma_attestations.times import parse_time

TYPE = "urn:stemma:snapshot:v0.1"
SUBJECT = "catalogue"
COMPRESSION = "zstd"
MAX_CHUNKS = 20_000
MAX_CHUNK_BYTES = 64 * 1024 * 1024
_REVISION = re.compile(r"[0-9a-z]{1,32}\Z")


@dataclass(frozen=True)
class Chunk:
    """A piece of the file: the blob it is kept in, and its own size in bytes."""

    blob: Digest
    size: int


@dataclass(frozen=True)
class CatalogueSnapshot:
    """The catalogue as a file, projected up to entry `n` whose digest is `entry`.

    `tree_root` (hex) and `peaks` (hex) are the RFC 6962 root over the entries
    *before* entry n, and the roots of its perfect subtrees, largest first.
    `revision` is that of the schema. `chunks` are the file in order, each
    compressed with `COMPRESSION` on its own.
    """

    n: int
    entry: Digest
    tree_root: str
    peaks: tuple[str, ...]
    revision: str
    chunks: tuple[Chunk, ...]
    time: str

    @property
    def size(self) -> int:
        """Of the file, in bytes."""
        return sum(chunk.size for chunk in self.chunks)


def build(snapshot: CatalogueSnapshot) -> Statement:
    """The statement to sign. Raises BadStatement."""
    return Statement.build(
        [ResourceDescriptor(name=SUBJECT, digests=(snapshot.entry,))],
        TYPE,
        {
            "n": snapshot.n,
            "treeRoot": snapshot.tree_root,
            "peaks": list(snapshot.peaks),
            "revision": snapshot.revision,
            "compression": COMPRESSION,
            "chunks": [{"sha256": c.blob.value, "size": c.size} for c in snapshot.chunks],
            "time": snapshot.time,
        },
    )


def parse(statement: Statement) -> CatalogueSnapshot:
    """Read a snapshot statement. Raises BadStatement."""
    predicate: Mapping[str, Any] = statement.predicate
    subject = statement.subjects[0]
    entry = subject.digest("sha256")
    if statement.predicate_type != TYPE or subject.name != SUBJECT or entry is None:
        raise BadStatement("not a snapshot of a catalogue")
    root, time, revision = (text(predicate, key) for key in ("treeRoot", "time", "revision"))
    if root is None or time is None or revision is None or not _REVISION.match(revision):
        raise BadStatement("a snapshot has treeRoot, time and revision")
    if predicate.get("compression") != COMPRESSION:
        raise BadStatement("snapshot: an unknown compression")
    n = _natural(predicate.get("n"), 2**53 - 1)
    try:
        parse_time(time)
        sha256(root)
        peaks = tuple(sha256(peak).value for peak in _list(predicate, "peaks", 64))
        chunks = tuple(_chunk(item) for item in _list(predicate, "chunks", MAX_CHUNKS))
    except BadStatement:
        raise
    except Malformed as error:
        raise BadStatement(f"snapshot: {error}") from error
    if len(peaks) != n.bit_count() or not chunks:
        raise BadStatement("snapshot: the wrong number of peaks, or no chunks")
    return CatalogueSnapshot(n, entry, root, peaks, revision, chunks, time)


def _chunk(item: object) -> Chunk:
    if not isinstance(item, Mapping):
        raise BadStatement("snapshot: a chunk is an object")
    value = item.get("sha256")
    if not isinstance(value, str):
        raise BadStatement("snapshot: a chunk has sha256 and size")
    return Chunk(sha256(value), _natural(item.get("size"), MAX_CHUNK_BYTES))


def _natural(value: object, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise BadStatement("snapshot: a number is missing, or out of its range")
    return value


def _list(predicate: Mapping[str, Any], key: str, limit: int) -> list[Any]:
    value = predicate.get(key)
    if not isinstance(value, list) or len(value) > limit:
        raise BadStatement(f"snapshot: {key} is a list of at most {limit}")
    return value
