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

import os
import platform
import random
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.measure import process
from stemma_attestations import policies
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
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, initialise, open_registry, snapshot
from stemma_registry.trust import file as trust_file

COUNT, MERGED, GROUP = 2_000, 65, 200
FIRST, AGAIN = 3, 15  # how often each is measured
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
    rng = random.Random(count)
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


# --- measuring


@dataclass(frozen=True)
class Taken:
    """Seconds by the clock on the wall, and of this process's CPU."""

    wall: float
    cpu: float


def taken(work: Callable[[], object]) -> Taken:
    """What a call takes."""
    before = time.perf_counter(), time.process_time()
    work()
    return Taken(time.perf_counter() - before[0], time.process_time() - before[1])


def line(what: str, found: Sequence[Taken], floor: Sequence[Taken]) -> str:
    """Medians of wall and CPU time, the lowest of each, and the ratio of the CPU medians.

    The machine is shared: CPU time says what the work costs, wall time what it was like.
    """
    wall, cpu = ([getattr(one, name) * 1000 for one in found] for name in ("wall", "cpu"))
    least = [one.cpu * 1000 for one in floor]
    return (
        f"{what:<22} {statistics.median(wall):>8.0f} {min(wall):>8.0f} "
        f"{statistics.median(cpu):>8.0f} {min(cpu):>8.0f} {statistics.median(least):>8.0f} "
        f"{statistics.median(cpu) / statistics.median(least):>7.2f} x"
    )


HEADER = f"{'MS':<22} {'WALL':>8} {'LOWEST':>8} {'CPU':>8} {'LOWEST':>8} {'FLOOR':>8} {'RATIO':>9}"


def verifications(count: int) -> Callable[[], object]:
    """So many verifications of an ECDSA P-256 signature over a kilobyte, and nothing else."""
    private, algorithm = ec.generate_private_key(ec.SECP256R1()), ec.ECDSA(hashes.SHA256())
    message = bytes(1000)
    signature, public = private.sign(message, algorithm), private.public_key()

    def run() -> None:
        for _ in range(count):
            public.verify(signature, message, algorithm)

    return run


def measure(built: Built, count: int) -> Iterator[str]:
    """A line for each shape and call."""
    registry = open_registry(str(built.location), built.home)
    policy = replace(policy_source.load("starter"), max_age=None)
    raw = sqlite3.connect(registry.catalogue.path)
    signatures = verifications(count)
    for shape, (name, root) in built.last.items():
        expected = NameVersion.parse(name)

        def judge(root: Path = root, expected: NameVersion = expected) -> None:
            with snapshot(registry, built.trust, datetime.now(UTC)) as view:
                terms = gate.Terms(policy)
                verdict = gate.verify_directory(registry, view, root, expected, None, terms)
            if verdict.steps[7].details != (f"{count} ancestors",):
                raise SystemExit(f"{expected}: {verdict.steps[7]}")

        with snapshot(registry, built.trust, datetime.now(UTC)) as view:
            node = resolve(view, name).node
        walk = [taken(lambda node=node: raw.execute(UP, (node,)).fetchall()) for _ in range(AGAIN)]
        first, checked = [], []
        for _ in range(FIRST):
            shutil.rmtree(built.home.verified, ignore_errors=True)
            first.append(taken(judge))
            checked.append(taken(signatures))
        yield line(f"{shape}, first", first, checked)
        yield line(f"{shape}, again", [taken(judge) for _ in range(AGAIN)], walk)
    registry.close()


def command(built: Built) -> str:
    """The whole command on the chain, Python's start included."""
    name, root = built.last["chain"]
    policy = built.home.path / "policy.yaml"
    policy.write_bytes(policies.STARTER.replace(b"max_age: 1h", b"# max_age: 1h"))
    os.environ["STEMMA_HOME"] = str(built.home.path)
    asked = ["-m", "stemma_cli.main", "--registry", str(built.location), "verify", str(root)]
    run = process([*asked, "--as", name, "--policy", str(policy)])
    start = process([*asked[:2], "--version"])
    both = [(run(), start()) for _ in range(3)]
    whole, bare = (statistics.median(one) for one in zip(*both, strict=True))
    return (
        f"stemma verify, chain, again: {whole:.2f} s by the wall (stemma --version: {bare:.2f} s)"
    )


def load() -> str:
    """How busy the machine is: what is measured here depends on it."""
    return f"load {os.getloadavg()[0]:.1f}"


def main() -> None:
    """Build the registry, measure, and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as folder:
        built = build(Path(folder), count)
        print(HEADER)
        for text in measure(built, count):
            print(text, flush=True)
        print(command(built))
    print(load())


if __name__ == "__main__":
    main()
