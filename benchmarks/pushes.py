"""`python -m benchmarks.pushes`: pushes projected one by one, beside what no catalogue is without.

Real pushes, three statements each, of which one lists the packages of this environment. What
the store gives is read beforehand. The floor takes the same bundles from a dictionary: it
parses them, verifies their signatures, and writes a row for each statement and edge into raw
SQLite, in one transaction for each push. It knows no policy, and believes all it reads.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import sqlite3
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from unittest.mock import patch

import orjson
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from stemma_attestations.names import NameVersion
from stemma_registry import signing
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue import catalogue
from stemma_registry.config import LIMITS, Home
from stemma_registry.ledger.log import read_entry
from stemma_registry.publish import Push, publish
from stemma_registry.registry import initialise
from stemma_registry.trust import file as trust_file

PUSHES = 200
RUNS = 3
_ES256 = ec.ECDSA(hashes.SHA256())
_TABLES = """
CREATE TABLE statement (id INTEGER PRIMARY KEY, bundle BLOB, kind TEXT, n INTEGER);
CREATE INDEX of_bundle ON statement (bundle);
CREATE TABLE edge (output BLOB, input BLOB, statement INTEGER, PRIMARY KEY (output, input,
 statement)) WITHOUT ROWID;
CREATE INDEX back ON edge (input, output);
CREATE TABLE state (id INTEGER PRIMARY KEY, n INTEGER);
INSERT INTO state VALUES (1, 0);
"""


def measure(folder: Path, say: Callable[[str], None]) -> None:
    """Push, project, and say how many a second: the best of `RUNS`, ours and the floor in turn."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        root = Path(name)
        store, public = _pushed(root)
        ours, floor = [], []
        for run in range(RUNS):
            ours.append(_projected(root / f"{run}.sqlite3", store))
            floor.append(_least(root / f"least-{run}.sqlite3", store, public))
    wall, cpu = (PUSHES / min(column) for column in zip(*ours, strict=True))
    least = PUSHES / min(floor)
    packages = sum(1 for _ in metadata.distributions())
    say(
        f"pushes one by one, {packages} packages each: {wall:,.0f}/s ({cpu:,.0f} a second of "
        f"CPU), floor {least:,.0f}/s, ratio {least / wall:.2f}"
    )


def _pushed(root: Path) -> tuple[MemoryStore, bytes]:
    """What a store has after the pushes, and the key that signed them."""
    home = Home(root / "home")
    pem, public = signing.new_key("ecdsa-p256", None)
    signing.write_key(home.key, pem, public)
    trust = trust_file.add(home.trust, "bench", public)
    signer = signing.load_signer(f"key:{home.key}", lambda: None)
    store, inputs = MemoryStore(), tuple[tuple[str, str], ...]()
    with contextlib.closing(initialise(str(root / "registry"), home)) as registry:
        for i in range(PUSHES):
            (root / f"d{i}").mkdir()
            (root / f"d{i}/weights").write_text(str(i))
            job = Push(root / f"d{i}", NameVersion.parse(f"m{i}:1"), "model", inputs, {}, root)
            publish(registry, trust, signer, job, datetime.now(UTC))
            inputs = (("fine-tuned-from", f"m{i}:1"),)
        for digest in registry.store.blobs():
            put_bytes(store, get_bytes(registry.store, digest, LIMITS.manifest_bytes))
        for key in registry.store.keys("ledger/"):
            store.create(key, registry.store.read(key))
    return store, public.pem.encode()


def _projected(path: Path, store: MemoryStore) -> tuple[float, float]:
    """Seconds by the wall, and of CPU."""
    with patch.object(catalogue, "LIMITS", replace(LIMITS, project_seconds=0.0)):
        fresh = catalogue.Catalogue.open(path, store)
        begin, cpu = time.perf_counter(), time.process_time()
        fresh.catch_up()
        took = time.perf_counter() - begin, time.process_time() - cpu
        fresh.close()
    return took


def _least(path: Path, store: MemoryStore, pem: bytes) -> float:
    key = serialization.load_pem_public_key(pem)
    assert isinstance(key, ec.EllipticCurvePublicKey)
    entries, n = [], 0
    while (entry := read_entry(store, n)) is not None:
        said = [digest for event in entry.events for digest in event.bundles]
        entries.append([get_bytes(store, one, LIMITS.manifest_bytes) for one in said])
        n += 1
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("PRAGMA journal_mode=WAL")
    raw.execute("PRAGMA synchronous=NORMAL")
    raw.executescript(_TABLES)
    begin = time.perf_counter()
    for n, bundles in enumerate(entries):
        raw.execute("BEGIN IMMEDIATE")
        for bundle in bundles:
            _write(raw, n, bundle, key)
        raw.execute("UPDATE state SET n = ?", (n,))
        raw.execute("COMMIT")
    took = time.perf_counter() - begin
    raw.close()
    return took


def _write(raw: sqlite3.Connection, n: int, bundle: bytes, key: ec.EllipticCurvePublicKey) -> None:
    envelope = orjson.loads(bundle)["dsseEnvelope"]
    payload, kind = base64.b64decode(envelope["payload"]), envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key.verify(base64.b64decode(envelope["signatures"][0]["sig"]), signed, _ES256)
    said = orjson.loads(payload)
    digest = hashlib.sha256(bundle).digest()
    if raw.execute("SELECT 1 FROM statement WHERE bundle = ?", (digest,)).fetchone():
        return
    row = raw.execute(
        "INSERT INTO statement (bundle, kind, n) VALUES (?, ?, ?)",
        (digest, said["predicateType"], n),
    ).lastrowid
    build = said["predicate"].get("buildDefinition", {})
    edges = [
        (bytes.fromhex(output["digest"]["sha256"]), bytes.fromhex(one["digest"]["sha256"]), row)
        for output in said["subject"]
        for one in build.get("resolvedDependencies", ())
    ]
    raw.executemany("INSERT OR IGNORE INTO edge VALUES (?, ?, ?)", edges)


def main() -> None:
    """Say it."""
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), print)


if __name__ == "__main__":
    main()
