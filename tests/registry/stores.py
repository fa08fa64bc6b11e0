"""Registries on disk for the tests of audit, repair and replication, and ways to harm them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_registry.blobs.local import LocalStore
from stemma_registry.care.audit import Report, audit
from stemma_registry.ledger.log import entry_key
from tests.world import World

MODEL = {"model.safetensors": bytes(range(256)) * 8, "config.json": b"{}"}


class Disk(World):
    """A world whose store is a directory."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.root = folder / "store"
        self.root.mkdir()
        super().__init__(folder, LocalStore(self.root))

    def fill(self) -> None:
        """A dataset, a model made from it, and a quarantine."""
        self.push("data/raw:1", {"a.csv": b"1,2\n" * 50, "b.csv": b"3,4\n" * 40})
        self.push("models/m:1", MODEL, "trained-on=data/raw:1", kind="model")
        self.quarantine("data/raw:1")

    def blob(self, digest: Digest | str) -> Path:
        """Where a blob is."""
        value = digest.value if isinstance(digest, Digest) else digest.removeprefix("sha256:")
        return self.root / "blobs" / "sha256" / value[:2] / value[2:]

    def entry(self, n: int) -> Path:
        """Where a ledger entry is."""
        return self.root / entry_key(n)

    def objects(self) -> list[Path]:
        """Every file in the store."""
        return sorted(path for path in self.root.rglob("*") if path.is_file())

    def audit(self, read_data: bool = True) -> Report:
        """The report."""
        return audit(self.store, self.home, self.trust, read_data)


def overwrite(path: Path, data: bytes | None) -> None:
    """Put other bytes where a file is, or take it away."""
    path.unlink(missing_ok=True)
    if data is not None:
        path.write_bytes(data)


def contents(root: Path) -> dict[str, bytes]:
    """Every file of a store by its name, without temporary ones."""
    found: Iterator[Path] = (path for path in root.rglob("*") if path.is_file())
    return {
        os.path.relpath(path, root): path.read_bytes()
        for path in found
        if path.relative_to(root).parts[0] != "tmp"
    }
