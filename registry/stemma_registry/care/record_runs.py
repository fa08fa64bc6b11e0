"""Which blobs hold the record index of a file: they are erased with it."""

from __future__ import annotations

from collections.abc import Collection

from stemma_attestations.digest import Digest
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import collection, query, record_facts
from stemma_registry.records import attaching
from stemma_registry.registry import Registry, Snapshot


def runs_of(registry: Registry, view: Snapshot, blob: Digest) -> tuple[Digest, ...]:
    """The runs of a file, by every index that is believed for its dataset.

    Whoever signs an index must not be able to have other things erased by it: only
    contents of files that no artifact with a name has are taken for runs.
    """
    node = query.node_id(view.connection, blob)
    owners = {part.artifact_id for part in query.containers(view.connection, [node or 0])}
    facts = record_facts.by_node(view.connection)
    found: set[Digest] = set()
    for owner in owners & facts.keys():
        for fact in facts[owner]:
            if attaching.worth(view, fact) is not Assurance.ATTESTED:
                continue
            said = attaching.read(registry, fact)
            for shard in said.shards if said else ():
                if shard.blob == blob:
                    found |= {d for run in shard.runs for d in (run.filter, run.hashes)}
    return tuple(sorted(_nameless(view, found)))


def _nameless(view: Snapshot, blobs: Collection[Digest]) -> list[Digest]:
    kept = []
    for blob in blobs:
        node = query.node_id(view.connection, blob)
        if node is None or not collection.erasable(view.connection, blob):
            continue
        owners = {part.artifact_id for part in query.containers(view.connection, [node])}
        if not query.versions_of(view.connection, owners):
            kept.append(blob)
    return kept
