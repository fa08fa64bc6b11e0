"""Statements of any kind, signed by anybody, put into the ledger of a world."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import lineage, mlbom, status
from stemma_attestations.predicates.provenance import Input
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_registry.care.uploads import Uploads
from stemma_registry.foreign.attest import signed_event
from stemma_registry.reference import resolve
from stemma_registry.registry import record
from tests.world import World


def node(number: int) -> Digest:
    """A digest to stand for something."""
    return Digest.of(b"node %d" % number)


def say(world: World, *statements: Statement, by: str = "owner") -> int:
    """Sign and append them, in one entry; its number."""
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    events = [signed_event(uploads, world.signer(by), one) for one in statements]
    entry = record(
        world.registry, world.trust, world.signer(by), world.now, lambda: events, uploads
    )
    assert entry is not None
    return entry


def lineage_of(triples: Iterable[tuple[Digest, Digest, str]]) -> Statement:
    """Lineage: (input, output, relation)."""
    inputs: dict[Digest, list[Input]] = {}
    for source, output, relation in triples:
        inputs.setdefault(output, []).append(Input(relation, source))
    parts = [lineage.build(output, items)["edges"] for output, items in inputs.items()]
    subjects = [ResourceDescriptor(digests=(output,)) for output in inputs]
    return Statement.build(subjects, lineage.TYPE, {"edges": [e for part in parts for e in part]})


def edges(triples: Iterable[tuple[int, int, str]]) -> Statement:
    """The same over nodes that are numbers."""
    return lineage_of((node(a), node(b), relation) for a, b, relation in triples)


def quarantine(world: World, target: Digest) -> Statement:
    """A quarantine of anything."""
    said = status.build_quarantine("bad", format_time(world.now), target.value)
    return Statement.build([ResourceDescriptor(digests=(target,))], status.TYPE, said)


def bom(world: World, name: str, purls: Sequence[str], more: Mapping[str, Any] = {}) -> Statement:
    """A BOM of what is named, which lists these packages (and says `more`)."""
    with world.view() as view:
        digest = resolve(view, name).digest
    components = [{"type": "library", "name": "x", "purl": purl} for purl in purls]
    said = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components, **more}
    return Statement.build([ResourceDescriptor(name=name, digests=(digest,))], mlbom.TYPE, said)
