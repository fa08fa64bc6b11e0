"""For the gate: what is quarantined and shares tensors with an artifact, undeclared.

Tables only say where to look: what the artifact holds, and what the other one does, is read
from their bytes. A quarantine stops by way of shared tensors what it would stop by way of the
same bytes under another name: its signer must be believed about the name that is judged, and
so must whoever declared what the two have to do with each other.
"""

from __future__ import annotations

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest, Undecided
from stemma_attestations.manifest import Manifest
from stemma_attestations.request import Sharer, TensorView
from stemma_attestations.trust import Assurance
from stemma_attestations.verify import explain
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query, tensors
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.lineage import status
from stemma_registry.lineage.hops import State
from stemma_registry.reference import labels
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.tensors import making
from stemma_registry.tensors.declared import Kin
from stemma_registry.tensors.sharing import sharers


def quarantined_sharers(
    registry: Registry, view: Snapshot, state: State, manifest: Manifest
) -> TensorView:
    """What the gate needs to know of the artifact at `state`, by its bytes in the store."""
    try:
        made = making.from_store(registry.store, manifest)
    except (BlobMissing, Damaged) as error:
        return TensorView(undecided=str(error))
    telling = made.table.telling if made.table is not None else {}
    try:
        found = _sharers(registry, view, state, telling) if telling else []
    except Undecided as error:
        return TensorView(undecided=str(error))
    return TensorView(tuple(found), "; ".join(made.notes) or None)


def _sharers(
    registry: Registry, view: Snapshot, state: State, telling: dict[Digest, int]
) -> list[Sharer]:
    connection = view.connection
    quarantines = status.load(view, status.stopping(view))
    starts = {*quarantines.targets, *quarantines.inside}
    ids = tensors.present(connection, telling) if starts else {}
    if not ids:
        return []
    reached = tensors.below(connection, starts, LIMITS.ancestors)
    if len(reached) >= LIMITS.ancestors:
        raise Undecided(f"more than {LIMITS.ancestors} descendants of what is quarantined")
    kin, found = Kin(view, registry.store, state), []
    for row, _ in sharers(view, ids, state[0], believed=True):
        other: State = (row.artifact_id, state[1])
        if row.artifact_id not in reached:
            continue
        stops, undecided = status.reach(view, other, quarantines)
        if undecided is not None:
            raise Undecided(undecided)
        if not stops:
            continue
        shared = _confirmed(registry, view, row.artifact_id, telling)
        if shared is None:  # its bytes are gone: then the word for it counts
            said = tensors.rows_of(connection, [row.id])
            shared = {digest for n, (digest, _) in ids.items() if n in said}
        common = {n for n, (digest, _) in ids.items() if digest in shared}
        if common and kin.of(other, common, Assurance.ATTESTED) is None:
            label = labels(view, {row.artifact_id})[row.artifact_id]
            share = sum(telling[digest] for digest in shared) / sum(telling.values())
            lines = [line for stop in stops for line in explain(stop)]
            found.append(Sharer(label, share, tuple(lines)))
    return sorted(found, key=lambda one: (-one.share, one.label))


def _confirmed(
    registry: Registry, view: Snapshot, node: int, telling: dict[Digest, int]
) -> set[Digest] | None:
    """Which of the tensors another artifact holds, by its bytes; None where they are gone."""
    digest = query.digests(view.connection, [node])[node]
    try:
        raw = get_bytes(registry.store, digest, LIMITS.manifest_bytes)
        table = making.from_store(registry.store, Manifest.parse(raw)).table
    except (BlobMissing, Damaged, BadManifest):
        return None
    return set(table.telling) & set(telling) if table is not None else set()
