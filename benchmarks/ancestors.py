"""`python -m benchmarks.ancestors [COUNT]`: the gate with COUNT ancestors (2,000).

Three shapes, from one seed: a chain; a mix, where every model has up to four parents; and
merges of 65. Every ancestor is an artifact of its own with the three statements of a push
(provenance, lineage, ML-BOM), signed with one ECDSA key, in a registry on disk. They go into
the ledger 200 an entry, as a server groups pushes.

What is timed is one call of the gate on the directory, under the policy `starter` without its
bound on the age of the status (a feed costs the same whatever is upstream). *First* is with
nothing remembered of any signature; *again* is the same call after it. The floors are what
cannot be left out: as many verifications of one ECDSA signature by `cryptography` as there
are statements that the first call has to verify, and one recursive query in raw sqlite3 that
reads the statements of everything upstream.
"""

from __future__ import annotations

import json
import random
import sqlite3
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.measure import wall
from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import lineage, mlbom, provenance
from stemma_attestations.predicates.provenance import GitSource, Input
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import TrustRoot
from stemma_registry import gate, policy_source, signing
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.config import Home
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import append
from stemma_registry.registry import Registry, initialise, open_registry, snapshot
from stemma_registry.trust import file as trust_file

COUNT, MERGED, GROUP, AGAIN, FIRST = 2_000, 65, 200, 7, 3
UP = """
WITH RECURSIVE up(id) AS (
  SELECT ? UNION SELECT input_id FROM edge JOIN up ON edge.output_id = up.id
) SELECT statement.bundle, statement.signer, subject.name FROM up
  JOIN subject ON subject.node_id = up.id JOIN statement ON statement.id = subject.statement_id
"""
Parents = list[list[int]]


def chain(count: int) -> Parents:
    """Each made from the one before."""
    return [[i - 1] if i else [] for i in range(count + 1)]


def mix(count: int) -> Parents:
    """Each made from the one before and up to three of the fifty before that."""
    rng = random.Random(count)  # noqa: S311 - a seed, not a secret
    found: Parents = []
    for i in range(count + 1):
        further = rng.sample(range(max(0, i - 50), i), min(i, rng.randrange(4)))
        found.append(sorted({i - 1, *further} if i else ()))
    return found


def merges(count: int) -> Parents:
    """Merges of 65: the merge before, and 64 that have no parents."""
    found: Parents = []
    last: list[int] = []
    while len(found) <= count:
        room = min(MERGED - 1, count - len(found))
        leaves = list(range(len(found), len(found) + room))
        found += [[] for _ in leaves]
        found.append([*last, *leaves])
        last = [len(found) - 1]
    return found


SHAPES: dict[str, Callable[[int], Parents]] = {"chain": chain, "mix": mix, "merges": merges}


@dataclass(frozen=True)
class Built:
    """A registry on disk, and for each shape the directory of the last model."""

    location: Path
    home: Home
    trust: TrustRoot
    last: dict[str, tuple[str, Path]]


@dataclass(frozen=True)
class Maker:
    """Makes artifacts and what a push says of them, without the directories."""

    registry: Registry
    signer: signing.Signer
    now: str

    def event(self, name: str, parents: Sequence[tuple[str, Digest]]) -> tuple[Digest, Event]:
        """An artifact of one file that holds the name."""
        data = name.encode()
        manifest = Manifest.of([Entry("w", len(data), Digest.of(data))])
        made = manifest.digest
        relation = "merged-from" if len(parents) > 1 else "fine-tuned-from"
        source = GitSource("1" * 40, "2" * 40)
        inputs = [Input(relation, digest, parent) for parent, digest in parents]
        built = provenance.build(
            build="merge" if len(parents) > 1 else "fine-tune",
            kind="model",
            inputs=inputs,
            parameters={"lr": "0.1"},
            source=source,
            builder="urn:bench",
            started=self.now,
            finished=self.now,
        )
        bom = mlbom.build(
            name=NameVersion.parse(name),
            kind="model",
            manifest=manifest,
            inputs=[mlbom.Material(i.relation, i.name, (i.digest,), "model") for i in inputs],
            parameters={},
            packages=(),
            created=self.now,
            tool_version="0",
        )
        commit = Input("built-from", Digest("gitCommit", source.commit))
        edges = lineage.build(made, [*inputs, commit])
        said = ((provenance.TYPE, built), (lineage.TYPE, edges), (mlbom.TYPE, bom))
        subject = ResourceDescriptor(name=name, digests=(made,))
        bundles = [self.signer.sign(Statement.build([subject], *one)) for one in said]
        store = self.registry.store
        put_bytes(store, data)
        return made, Event(
            PUSH,
            artifacts=(put_bytes(store, manifest.raw),),
            bundles=tuple(put_bytes(store, bundle.raw) for bundle in bundles),
            keys=tuple(put_bytes(store, key) for key in self.signer.keys),
        )


def build(folder: Path, count: int) -> Built:
    """Everything that is judged afterwards."""
    home = Home(folder / "home")
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(home.key, pem, public)
    trust = trust_file.add(home.trust, "bench", public)
    signer = signing.load_signer(f"key:{home.key}", lambda: None)
    location = folder / "registry"
    registry = initialise(str(location), home)
    last = {}
    for shape, parents in SHAPES.items():
        maker = Maker(registry, signer, format_time(datetime.now(UTC)))
        for events in _grouped(_events(maker, shape, parents(count))):
            append(
                registry.store,
                registry.catalogue.catch_up(),
                lambda events=events: events,
                registry.catalogue.catch_up,
            )
        name = f"{shape}/m{count}:1"
        (folder / shape).mkdir()
        (folder / shape / "w").write_text(name)
        last[shape] = name, folder / shape
    registry.catalogue.catch_up()
    registry.close()
    return Built(location, home, trust, last)


def _events(maker: Maker, shape: str, parents: Parents) -> Iterator[Event]:
    made: list[tuple[str, Digest]] = []
    for number, above in enumerate(parents):
        name = f"{shape}/m{number}:1"
        digest, event = maker.event(name, [made[one] for one in above])
        made.append((name, digest))
        yield event


def _grouped(events: Iterator[Event]) -> Iterator[list[Event]]:
    group: list[Event] = []
    for event in events:
        group.append(event)
        if len(group) == GROUP:
            yield group
            group = []
    if group:
        yield group
