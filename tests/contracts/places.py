"""Where the stores of the contract suite live. A new store is one more class in `PLACES`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.local import LocalStore
from stemma_registry.blobs.memory import MemoryStore


class Place(Protocol):
    """One store, and what can be done to it behind its back."""

    def __init__(self, folder: Path) -> None:
        """A fresh, empty store; `folder` is an empty directory for its use."""
        ...

    def open(self) -> Store:
        """A handle of the store: another one each time, where that means anything."""
        ...

    def overwrite(self, digest: Digest, data: bytes) -> None:
        """Put other bytes where a blob is, as a failing disk would."""
        ...

    def leftovers(self) -> list[str]:
        """What unfinished writes left behind."""
        ...


class LocalPlace:
    """A LocalStore."""

    def __init__(self, folder: Path) -> None:
        self.root = folder

    def open(self) -> Store:
        return LocalStore(self.root)

    def path(self, digest: Digest) -> Path:
        """Where a blob is."""
        return self.root / "blobs" / "sha256" / digest.value[:2] / digest.value[2:]

    def overwrite(self, digest: Digest, data: bytes) -> None:
        os.chmod(self.path(digest), 0o644)
        self.path(digest).write_bytes(data)

    def leftovers(self) -> list[str]:
        tmp = self.root / "tmp"
        return sorted(os.listdir(tmp)) if tmp.exists() else []


class MemoryPlace:
    """A MemoryStore."""

    def __init__(self, folder: Path) -> None:
        self.store = MemoryStore()

    def open(self) -> Store:
        return self.store

    def overwrite(self, digest: Digest, data: bytes) -> None:
        self.store.blob_bytes[digest] = data

    def leftovers(self) -> list[str]:
        return []


PLACES: Mapping[str, type[Place]] = {"local": LocalPlace, "memory": MemoryPlace}
