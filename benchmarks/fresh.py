"""`python -m benchmarks.fresh [ENTRIES]`: the first verdict of a machine that knows nothing yet.

A registry of ENTRIES ledger entries (a million) is made on a real S3 server,
with a signed snapshot of its catalogue and a tail of pushes behind that; then
`stemma verify` is run as a whole process with a home that holds a trust root
and nothing else.

The entries before the snapshot are synthetic: their chain, their tree roots and
their rows in the catalogue are what a push of one model makes, but what they
refer to was never stored, and only those that a fresh reader may ask for are put
in the bucket. What is verified, and the tail, are real signed pushes.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.merkle import Frontier
from stemma_attestations.names import NameVersion
from stemma_registry import signing
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import snapshots
from stemma_registry.config import Home
from stemma_registry.ledger.entry import FORMAT, LedgerEntry
from stemma_registry.ledger.log import Head, entry_key
from stemma_registry.publish import Push, publish
from stemma_registry.registry import Registry, initialise
from stemma_registry.trust import file as trust_file
from tests import seaweed
from tests.world import commit_all

TAIL, RUNS, BATCH = 5, 5, 5_000
TIME = "2026-11-21T12:00:00Z"
# Run in the process that is measured, in a run of its own: what goes over the wire.
COUNTING = """
import atexit, collections, json, sys
from botocore.httpsession import URLLib3Session
sent, count, size = URLLib3Session.send, collections.Counter(), 0
def send(self, request):
    global size
    answer = sent(self, request)
    count[request.method] += 1
    size += int(answer.headers.get("content-length") or 0)
    return answer
URLLib3Session.send = send
atexit.register(lambda: print(json.dumps({**count, "bytes": size}), file=sys.stderr))
from stemma_cli.main import main
main(sys.argv[1:])
"""


class Bulk:
    """Entries and rows of `count` pushes behind `head`, as fast as they can be made."""

    def __init__(self, head: Head, key: str, signer: str) -> None:
        self.head = head.copy()
        self.key, self.signer = key, bytes.fromhex(signer)
        self.before: list[bytes] = []
        self.rng = random.Random(1)

    def entries(self, count: int) -> Iterator[tuple[int, list[bytes], bytes]]:
        """Number, the digests of artifact, file and three bundles, and the raw entry."""
        n, previous, tree = self.head.n, str(self.head.entry), self.head.tree
        for _ in range(count):
            n += 1
            made = [self.rng.randbytes(32) for _ in range(5)]
            bundles = ",".join(f'"sha256:{digest.hex()}"' for digest in made[2:])
            raw = (
                f'{{"events":[{{"artifacts":["sha256:{made[0].hex()}"],"bundles":[{bundles}],'
                f'"critical":true,"keys":["sha256:{self.key}"],"type":"push"}}],'
                f'"format":"{FORMAT}","n":{n},"nonce":"{made[0].hex()[:32]}",'
                f'"previous":"{previous}","time":"{TIME}","tree_root":"{tree.root}"}}'
            ).encode()
            self.before = list(tree.peaks)
            tree.append(raw)
            previous = f"sha256:{hashlib.sha256(raw).hexdigest()}"
            yield n, made, raw
        self.head = Head(n, Digest.parse(previous), Frontier(tree.size, tree.peaks))


def fill(store: Store, database: Path, bulk: Bulk, count: int) -> None:
    """Make the rows of the entries, and put the last entry."""
    connection = sqlite3.connect(database, isolation_level=None)
    for pragma in (
        "journal_mode=OFF",
        "synchronous=OFF",
        "foreign_keys=OFF",
        "cache_size=-1000000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    indexes = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type='index' AND sql IS NOT NULL"
    ).fetchall()
    connection.execute("BEGIN")
    for name, _ in indexes:
        connection.execute(f'DROP INDEX "{name}"')
    commit, shared = 1_000_000_000, 1_000_000_001
    connection.execute("INSERT INTO node VALUES (?, 'g', ?)", (commit, bytes(range(20))))
    connection.execute("INSERT INTO node VALUES (?, 's', ?)", (shared, bytes(range(32))))
    rows: dict[str, list[tuple[object, ...]]] = {}
    raw = b""
    for n, made, entry in bulk.entries(count):
        raw = entry
        _rows(rows, n, made, bulk.signer, (commit, shared))
        if len(rows["artifact"]) == BATCH:
            _insert(connection, rows)
    _insert(connection, rows)
    for _, sql in indexes:
        connection.execute(sql)
    head = bulk.head
    LedgerEntry.parse(raw, head.n)
    connection.execute(
        "UPDATE state SET n = ?, entry = ?, peaks = ?, before = ?",
        (head.n, str(head.entry), b"".join(head.tree.peaks), b"".join(bulk.before)),
    )
    connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.close()
    store.create(entry_key(head.n), raw)


def _rows(
    rows: dict[str, list[tuple[object, ...]]],
    n: int,
    made: list[bytes],
    signer: bytes,
    nodes: tuple[int, int],
) -> None:
    """What the projector makes of a push of two files with one input and a commit."""

    def add(table: str, *row: object) -> None:
        rows.setdefault(table, []).append(row)

    artifact, blob, said = 10 * n, 10 * n + 1, 10 * n
    name = f"team-{n % 97}/model-{n % 1013}"
    add("node", artifact, "s", made[0])
    add("node", blob, "s", made[1])
    add("artifact", artifact, 1_000_000_000 + n, 2, n)
    add("manifest_entry", artifact, "config.json", nodes[1], 700)
    add("manifest_entry", artifact, "model.safetensors", blob, 1_000_000_000)
    for i, kind in enumerate("plb"):
        add("statement", said + i, made[2 + i], kind, signer, None, None, n, TIME)
        add("subject", said + i, 0, artifact, name, str(n), None)
    for statement in (said, said + 1):
        add("edge", nodes[0], artifact, "u", statement, None)
        if n > 10:
            add("edge", artifact - 100, artifact, "f", statement, name)
    add("version", n + 10, name, str(n), "model", made[3], artifact, said)


def _insert(connection: sqlite3.Connection, rows: dict[str, list[tuple[object, ...]]]) -> None:
    for table, values in rows.items():
        if values:
            marks = ",".join("?" * len(values[0]))
            connection.executemany(f'INSERT INTO "{table}" VALUES ({marks})', values)
        values.clear()


def build(folder: Path, location: str, entries: int) -> Path:
    """The registry; returns the trust root that fresh machines get."""
    home = Home(folder / "builder")
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(home.key, pem, public)
    trust = trust_file.add(home.trust, "builder", public)
    signer = signing.load_signer(f"key:{home.key}", lambda: None)
    registry = initialise(location, home)
    head = registry.catalogue.catch_up()
    registry.close()
    bulk = Bulk(head, public.id, public.id)
    step("entries and rows", lambda: fill(registry.store, registry.catalogue.path, bulk, entries))
    checkout = folder / "checkout"
    checkout.mkdir()
    (checkout / "train.py").write_text("print('training')\n")
    commit_all(checkout)

    def push(registry: Registry, name: str, *inputs: tuple[str, str]) -> None:
        root = folder / name.replace("/", "-")
        root.mkdir()
        (root / "w").write_text(name)
        job = Push(root, NameVersion.parse(name), "model", inputs, {}, checkout)
        publish(registry, trust, signer, job, datetime.now(UTC))

    push(registry, "acme/base:1")
    push(registry, "acme/model:1", ("fine-tuned-from", "acme/base:1"))
    step(
        "snapshot",
        lambda: snapshots.write(registry.catalogue, trust, signer, datetime.now(UTC)),
    )
    said = snapshots.read(registry.store, trust)
    assert said is not None
    packed = sum(registry.store.size(chunk.blob) or 0 for chunk in said.chunks)
    print(
        f"snapshot at entry {said.n}: {said.size / 1e6:.0f} MB, {said.size / said.n:.0f} bytes an "
        f"entry, {packed / 1e6:.0f} MB compressed in {len(said.chunks)} chunks"
    )
    for i in range(TAIL):
        push(registry, f"acme/tail:{i}")
    registry.close()
    return home.trust


def step(what: str, work: Callable[[], object]) -> None:
    """Say how long a part of the building took."""
    start = time.perf_counter()
    work()
    print(f"{what}: {time.perf_counter() - start:.1f} s", flush=True)


def verify(folder: Path, location: str, trust: Path, program: list[str]) -> tuple[float, str]:
    """Seconds of the whole process in a fresh home, and what it wrote to stderr."""
    with tempfile.TemporaryDirectory(dir=folder) as home:
        (Path(home) / "trust.yaml").write_bytes(trust.read_bytes())
        command = [sys.executable, *program, "--registry", location, "verify", "acme/model:1"]
        start = time.perf_counter()
        done = subprocess.run(
            command,
            env={**os.environ, "STEMMA_HOME": home},
            capture_output=True,
            text=True,
            check=False,
        )
        seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise SystemExit(f"not verified ({done.returncode}): {done.stdout} {done.stderr}")
    return seconds, done.stderr


def main(entries: int) -> None:
    """Build, and measure."""
    with tempfile.TemporaryDirectory(prefix="stemma-fresh-") as name:
        folder = Path(name)
        with seaweed.server(folder / "s3", volume_mb=1024) as server:
            os.environ.update(server.environment())
            location = f"s3://{server.bucket('fresh')}/registry"
            trust = build(folder, location, entries)
            seconds = [
                verify(folder, location, trust, ["-m", "stemma_cli.main"])[0] for _ in range(RUNS)
            ]
            wire = json.loads(verify(folder, location, trust, ["-c", COUNTING])[1])
    print(f"first verdict: {', '.join(f'{s:.2f}' for s in seconds)} s (each a fresh home)")
    print(f"requests: {wire}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000)
