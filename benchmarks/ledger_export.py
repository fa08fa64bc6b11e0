"""The ledger as a Git repository: how fast it is exported, and how large it is.

    python -m benchmarks.ledger_export [--entries N] [--bom PACKAGES] [--folder FOLDER]

Every entry is a push with one artifact, signed provenance and lineage, and with `--bom` an ML-BOM
that lists so many packages, as real pushes have them. Signatures are random bytes: exporting
verifies none. Entries and statements are made as they are read, a segment at a time, so that a
million of them need no disk; what that takes by itself is measured first and taken off. Then one
entry is added and exported, again and again; then `git repack -adf` packs it.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import os
import random
import resource
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from stemma_attestations import canonical
from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.config import Home
from stemma_registry.errors import NotFound
from stemma_registry.gitledger.exporting import export
from stemma_registry.ledger.entry import INIT, PUSH, Event, LedgerEntry
from stemma_registry.ledger.log import Head, entry_key
from stemma_registry.ledger.segments import SIZE, build, segment_key
from stemma_registry.trust.file import NOBODY

KEY = b"a public key in DER would be of about this length: ninety-one bytes, the same in every push"
DRY = 20_000  # entries by which it is measured what making them takes
MORE = 20  # exports of one new entry


class Making(MemoryStore):
    """A store whose ledger of `entries` is made, and forgotten, a segment at a time."""

    def __init__(self, entries: int, packages: int) -> None:
        super().__init__()
        self.entries = entries
        self._random = random.Random(1)
        self._packages = [
            {"bom-ref": f"pkg:pypi/{n}@{v}", "name": n, "purl": f"pkg:pypi/{n}@{v}", "version": v}
            for n, v in ((self._hex(5), f"1.{i}.0") for i in range(packages))
        ]
        self._head, self._parent = Head(), "0" * 64
        self._made: dict[int, LedgerEntry] = {}
        self._kept: dict[int, list[Digest]] = {}

    def read(self, key: str) -> bytes:
        if key.startswith("ledger/segments/"):
            k = int(key[16:-4])
            if (k + 1) * SIZE > self.entries:
                raise NotFound(key)
            return build([self._entry(n).raw for n in range(k * SIZE, (k + 1) * SIZE)])
        if key.startswith("ledger/"):
            n = int(key[7:-5].replace("/", ""))
            if n < self.entries:
                return self._entry(n).raw
        raise NotFound(key)

    def _entry(self, n: int) -> LedgerEntry:
        while n > self._head.n:
            at = self._head.n + 1
            self._forget(at - 3 * SIZE)
            entry = LedgerEntry.build(
                at,
                self._head.entry,
                self._hex(16),
                _time(at),
                self._head.tree.root,
                [self._push(at)] if at else [Event(INIT)],
            )
            self._head.advance(entry)
            self._made[at] = entry
        return self._made[n]

    def _forget(self, n: int) -> None:
        self._made.pop(n, None)
        for digest in self._kept.pop(n, ()):
            self.blob_bytes.pop(digest, None)

    def _push(self, n: int) -> Event:
        name = f"team-{n % 40}/model-{n % 1000}:{n}"
        artifact, key = self._hex(32), hashlib.sha256(KEY).hexdigest()
        subject = [{"digest": {"sha256": artifact}, "name": name}]
        made = [
            _statement("https://slsa.dev/provenance/v1", subject, self._provenance(n)),
            _statement("urn:stemma:lineage:v0.1", subject, self._lineage(artifact)),
        ]
        if self._packages:
            bom = {
                "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
                "bomFormat": "CycloneDX",
                "components": self._packages,
                "metadata": {"component": {"name": name, "version": str(n)}, "timestamp": _time(n)},
                "serialNumber": f"urn:uuid:{self._hex(16)}",
            }
            made.append(_statement("https://cyclonedx.org/bom", subject, bom))
        blobs = [self._bundle(payload, key) for payload in made]
        digests = [Digest.of(raw) for raw in blobs]
        self.blob_bytes.update(zip(digests, blobs, strict=True))
        self.blob_bytes[Digest("sha256", key)] = KEY
        self._kept[n] = digests
        self._parent = artifact
        return Event(PUSH, (Digest("sha256", artifact),), tuple(digests), (Digest("sha256", key),))

    def _provenance(self, n: int) -> dict[str, object]:
        commit, dataset = self._hex(20), self._hex(32)
        return {
            "buildDefinition": {
                "buildType": "urn:stemma:build:fine-tune:v0.1",
                "externalParameters": {"kind": "model", "parameters": {"lr": n % 7, "seed": n}},
                "resolvedDependencies": [
                    {"digest": {"gitCommit": commit}, "uri": "git+https://example.org/train"},
                    {"digest": {"sha256": self._parent}, "name": f"base:{n - 1}"},
                    {"digest": {"sha256": dataset}, "name": f"data:{n}"},
                ],
            },
            "runDetails": {
                "builder": {"id": "urn:stemma:builder:push:v0.1"},
                "metadata": {"finishedOn": _time(n), "startedOn": _time(n)},
            },
        }

    def _lineage(self, artifact: str) -> dict[str, object]:
        edge = {
            "input": {"digest": {"sha256": self._parent}},
            "output": {"digest": {"sha256": artifact}},
            "relation": "fine-tuned-from",
        }
        return {"edges": [edge]}

    def _bundle(self, payload: bytes, key: str) -> bytes:
        signature = base64.b64encode(self._random.randbytes(71)).decode()
        return canonical.dumps(
            {
                "dsseEnvelope": {
                    "payload": base64.b64encode(payload).decode(),
                    "payloadType": "application/vnd.in-toto+json",
                    "signatures": [{"sig": signature}],
                },
                "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
                "verificationMaterial": {"publicKey": {"hint": key}},
            }
        )

    def _hex(self, count: int) -> str:
        return self._random.randbytes(count).hex()


def _statement(kind: str, subject: object, predicate: object) -> bytes:
    return canonical.dumps(
        {
            "_type": "https://in-toto.io/Statement/v1",
            "predicate": predicate,
            "predicateType": kind,
            "subject": subject,
        }
    )


def _time(n: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(1_700_000_000 + 30 * n))


def _cpu() -> float:
    """Seconds of CPU that this process has used: others may keep the machine busy."""
    return time.process_time()


def measure(entries: int, packages: int, folder: Path) -> None:
    """Export, add, pack; prints what each took."""
    home, at = Home(folder / "home"), folder / "ledger.git"
    part = min(entries, DRY)
    dry, before = Making(part, packages), _cpu()
    for k in range(part // SIZE):
        dry.read(segment_key(k))
    making = (_cpu() - before) * entries / part
    earlier = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime  # of who ran us, perhaps
    store, started, before = Making(entries, packages), time.perf_counter(), _cpu()
    done = export(store, home, NOBODY, at)
    seconds, ours = time.perf_counter() - started, _cpu() - before - making
    git = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - earlier
    print(f"{done.new} entries in {seconds:.1f} s, of which making them took {making:.1f} s of CPU")
    print(f"  exporting took {ours:.1f} s of CPU, and git beside it {git:.1f} s")
    print(f"  {done.new / ours:.0f} entries a second of CPU")
    times = []
    for _ in range(MORE):
        store.entries += 1
        store.read(entry_key(store.entries - 1))
        started = time.perf_counter()
        export(store, home, NOBODY, at)
        times.append(time.perf_counter() - started)
    print(f"  one more: {statistics.median(times) * 1e3:.0f} ms (at most {max(times) * 1e3:.0f})")
    print(f"  {_size(at) / store.entries:.0f} bytes an entry as exported")
    started = time.perf_counter()
    subprocess.run(["git", "-C", str(at), "repack", "-a", "-d", "-f", "-q"], check=True)
    took = time.perf_counter() - started
    print(f"  {_size(at) / store.entries:.0f} bytes an entry packed again, in {took:.0f} s")


def _size(folder: Path) -> int:
    """Bytes of all files below a folder."""
    return sum(
        os.lstat(os.path.join(root, name)).st_size
        for root, _, names in os.walk(folder)
        for name in names
    )


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, default=100_000)
    parser.add_argument("--bom", type=int, default=0, metavar="PACKAGES")
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        measure(options.entries, options.bom, Path(folder))


if __name__ == "__main__":
    main()
