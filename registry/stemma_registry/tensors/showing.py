"""The tensors of one artifact, and what holds one tensor."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadTable, Undecided
from stemma_attestations.relations import CONTAINS
from stemma_attestations.tensor_table import Table
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import tensors
from stemma_registry.catalogue.tensors import TableRow
from stemma_registry.errors import BlobMissing, Damaged, NotFound
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.trace import (
    ANY,
    Only,
    Trace,
    TraceEdge,
    TraceNode,
    from_held,
)
from stemma_registry.lineage.words import Word
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.tensors import making
from stemma_registry.tensors.making import best_first, worth

SCHEME = "tensor:"
_HELD = -1  # no node has this number


@dataclass(frozen=True)
class Shown:
    """A table of an artifact's tensors, what it is worth, and who says it."""

    found: Resolved
    table: Table
    assurance: Assurance
    signer: str


def show(registry: Registry, view: Snapshot, text: str) -> Shown:
    """The best table of a reference. Raises NotFound, Undecided where it is lost or damaged."""
    found = resolve(view, text)
    rows = best_first(view, tensors.tables(view.connection, artifacts=[found.node]))
    if not rows:
        raise NotFound(
            f"nothing is known of tensors of {found.label} (`stemma tensors --build` reads it)"
        )
    table = _load(registry.store, rows[0])
    return Shown(found, table, worth(view, rows[0]), signer_label(view, rows[0].fact.signer))


def _load(store: Store, row: TableRow) -> Table:
    try:
        return making.load(store, row)
    except (BadTable, BlobMissing, Damaged) as error:
        raise Undecided(f"table of tensors {row.digest.short}: {error}") from error


def trace(view: Snapshot, text: str, only: Only = ANY, limit: int | None = None) -> Trace:
    """Every artifact that holds `tensor:sha256:HEX`, and everything downstream of them.

    An edge from the tensor to what holds it rests on the statements of the tables. `only` and
    `limit` are as of `lineage.trace`. Raises
    BadDigest, NotFound.
    """
    digest = Digest.parse(text.removeprefix(SCHEME))
    ids = tensors.with_digest(view.connection, digest)
    shared = tensors.sharing(view.connection, ids)
    words: dict[int, dict[Digest, Word]] = {}
    for row in best_first(
        view, tensors.tables(view.connection, ids=[one.table_id for one in shared])
    ):
        word = Word(worth(view, row), signer_label(view, row.fact.signer), row.fact)
        words.setdefault(row.artifact_id, {}).setdefault(row.fact.bundle, word)
    if not words:
        raise NotFound(
            f"no table lists {digest.short} (constant tensors and those below 1 KiB are in none)"
        )
    held = TraceNode(_HELD, digest, f"tensor {digest.short}", "tensor", (), 0, False)
    edges = [
        TraceEdge(_HELD, artifact, CONTAINS, tuple(said.values()))
        for artifact, said in words.items()
    ]
    return from_held(view, held, edges, only, limit)
