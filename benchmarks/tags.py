"""`python -m benchmarks.tags [TAGS] [GTO]`: what a sync of Git tags costs, beside GTO's list.

One repository with so many tags, ten to a commit, of three kinds in turn: unsigned, as GTO makes
them; signed, for artifacts that have those names already; signed, for artifacts that get them now.
Whole processes: the first sync, the next (which finds nothing new), and `gto show` where GTO is
named. GTO's list is the least it does: each of its commands begins with it.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stemma_attestations.keys import PublicKey
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import mlbom, provenance
from stemma_attestations.predicates.provenance import GitSource
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.times import format_time
from stemma_registry import signing
from stemma_registry.care.uploads import Uploads
from stemma_registry.config import Home
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.registry import initialise, record
from stemma_registry.trust import file as trust_file

EACH = 10  # tags of one commit
START = 1_700_000_000
WHO = "Ada <ada@example.org>"


def tag_name(number: int) -> tuple[str, str]:
    """NAME and VERSION."""
    return f"models/m{number % 100:03d}", f"v1.{number // 100}.0"


def ssh_signature(key: ed25519.Ed25519PrivateKey, message: bytes) -> bytes:
    """As `ssh-keygen -Y sign -n git` makes it."""

    def text(data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + data

    raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    public = text(b"ssh-ed25519") + text(raw)
    digest = hashlib.sha512(message).digest()
    use = text(b"git") + text(b"") + text(b"sha512")
    signature = text(b"ssh-ed25519") + text(key.sign(b"SSHSIG" + use + text(digest)))
    blob = b"SSHSIG" + struct.pack(">I", 1) + text(public) + use + text(signature)
    armour = base64.encodebytes(blob)
    return b"-----BEGIN SSH SIGNATURE-----\n" + armour + b"-----END SSH SIGNATURE-----\n"


def git(root: Path, *arguments: str, stdin: bytes = b"") -> bytes:
    """One call of Git."""
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, check=True).stdout


def make(root: Path, count: int, key: ed25519.Ed25519PrivateKey | None) -> list[tuple[str, str]]:
    """A repository with its tags; commit and tree of each commit."""
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    commits = max(1, count // EACH)
    stream = []
    for number in range(commits):
        text = f"train {number}\n".encode()
        stream.append(
            b"commit refs/heads/main\nmark :%d\ncommitter %s %d +0000\ndata 2\nc\n"
            b"M 100644 inline train.py\ndata %d\n%s\n"
            % (number + 1, WHO.encode(), START + number, len(text), text)
        )
    git(root, "fast-import", "--quiet", stdin=b"".join(stream))
    told = git(root, "log", "--reverse", "--format=%H %T", "main").decode().split("\n")
    made = [(line.split()[0], line.split()[1]) for line in told if line]
    tags = b"".join(_tags(count, [commit for commit, _ in made], key))
    git(root, "fast-import", "--quiet", stdin=tags)
    git(root, "pack-refs", "--all")
    return made


def _tags(count: int, commits: list[str], key: ed25519.Ed25519PrivateKey | None) -> Iterator[bytes]:
    for number in range(count):
        tag, commit = "@".join(tag_name(number)), commits[number // EACH % len(commits)]
        tagger = f"{WHO} {START + number} +0000"
        head = f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n".encode()
        message = b"register\n"
        if key is not None:
            message += ssh_signature(key, head + message)
        yield f"tag {tag}\nfrom {commit}\ntagger {tagger}\ndata {len(message)}\n".encode()
        yield message + b"\n"


def fill(home: Home, made: list[tuple[str, str]], tags: int, named: bool) -> None:
    """One artifact a commit, pushed from it: under the names of its tags, or one of its own."""
    registry = initialise(str(home.registry), home)
    signer = signing.load_signer(f"{signing.SCHEME}{home.key}", lambda: None, lambda: None)
    trust = trust_file.load(home.trust, required=True)
    uploads, now = Uploads.begin(registry.store, registry.catalogue), datetime.now(UTC)
    artifacts, bundles = [], []
    with registry.store.batch() as uploads.store:
        for number, (commit, tree) in enumerate(made):
            data = f"weights {number}".encode()
            manifest = Manifest.of([Entry("m.bin", len(data), uploads.put(data))])
            artifacts.append(uploads.put(manifest.raw))
            names = [NameVersion("runs/r", f"{number}")]
            if named:
                mine = range(number * EACH, min(tags, (number + 1) * EACH))
                names = [NameVersion(*tag_name(each)) for each in mine]
            said = _said(manifest, names, commit, tree, format_time(now))
            bundles += [uploads.put(signer.sign(each).raw) for each in said]
    uploads.store = registry.store
    keys = tuple(uploads.put(key) for key in signer.keys)
    event = Event(PUSH, tuple(artifacts), tuple(bundles), keys)
    record(registry, trust, signer, now, lambda: [event], uploads)
    registry.close()


def _said(
    manifest: Manifest, names: list[NameVersion], commit: str, tree: str, time: str
) -> list[Statement]:
    source = GitSource(commit, tree)
    subjects = [ResourceDescriptor(name=str(n), digests=(manifest.digest,)) for n in names]
    built = provenance.build(
        build="train",
        kind="model",
        inputs=(),
        parameters={},
        source=source,
        builder="urn:example:builder",
        started=time,
        finished=time,
    )
    bom = mlbom.build(
        name=names[0],
        kind="model",
        manifest=manifest,
        inputs=(),
        parameters={},
        packages=(),
        created=time,
        build="train",
        licence=None,
        description=None,
        tool_version="benchmark",
    )
    parts = ((provenance.TYPE, built), (mlbom.TYPE, bom))
    return [Statement.build(subjects, kind, said) for kind, said in parts]


def timed(command: list[str], home: Path, cwd: Path) -> tuple[float, bytes]:
    """Wall time of a process, and what it printed."""
    # An installed program is compiled already; where Python may not keep that, each run pays it.
    environment = {**os.environ, "STEMMA_HOME": str(home), "PYTHONDONTWRITEBYTECODE": ""}
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=cwd, check=True, capture_output=True)
    return time.perf_counter() - began, done.stdout


def measure(folder: Path, count: int, kind: str, gto: str | None) -> None:
    """Print one row."""
    folder.mkdir()
    home, root = Home(folder / "home"), folder / "repository"
    stemma = [sys.executable, "-m", "stemma_cli.main"]
    timed([*stemma, "--registry", str(folder / "other"), "init"], home.path, Path.cwd())
    key = ed25519.Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    trust_file.add(home.trust, "ada", PublicKey.parse(public), ["*"], ["**"])
    made = make(root, count, None if kind == "unsigned" else key)
    fill(home, made, count, named=kind != "signed, new names")
    sync = [*stemma, "tags", "sync", str(root), "--json", "--scope", "bench"]
    first, told = timed(sync, home.path, Path.cwd())
    again = min(timed(sync, home.path, Path.cwd())[0] for _ in range(3))
    counts = json.loads(told)["counts"]
    line = f"{kind}, {count} tags ({counts}): first {first:.1f} s, again {again:.2f} s"
    if gto is not None:
        line += f", gto show {timed([gto, 'show'], home.path, root)[0]:.1f} s"
    print(line, flush=True)


def main() -> None:
    """One row for each kind of tags."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    gto = sys.argv[2] if len(sys.argv) > 2 else None
    with tempfile.TemporaryDirectory(prefix="stemma-bench-") as folder:
        for number, kind in enumerate(("unsigned", "signed, known names", "signed, new names")):
            measure(Path(folder) / str(number), count, kind, gto)


if __name__ == "__main__":
    main()
