"""Where the stores of the contract suite live. A new store is one more class in `PLACES`."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from stemma_attestations.digest import Digest
from stemma_registry.blobs.cached import Cached
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.local import LocalStore
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.retrying import Retrying
from stemma_registry.blobs.s3 import S3Store
from stemma_registry.settings import S3Settings
from tests import seaweed


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


class S3Place:
    """An S3Store on a real server: the one of this process, and a prefix for each test."""

    def __init__(self, folder: Path) -> None:
        self.name = seaweed.shared_bucket()
        self.prefix = f"{secrets.token_hex(8)}/below"
        self.client = seaweed.shared_client()

    def open(self) -> Store:
        return S3Store(self.client, self.name, self.prefix, S3Settings())

    def key(self, digest: Digest) -> str:
        """Where a blob is."""
        return f"{self.prefix}/blobs/sha256/{digest.value[:2]}/{digest.value[2:]}"

    def overwrite(self, digest: Digest, data: bytes) -> None:
        self.client.put_object(Bucket=self.name, Key=self.key(digest), Body=data)

    def keys(self) -> list[str]:
        """Every key there is, below the prefix."""
        pages = self.client.get_paginator("list_objects_v2").paginate(
            Bucket=self.name, Prefix=self.prefix
        )
        return [
            each["Key"][len(self.prefix) + 1 :] for p in pages for each in p.get("Contents", ())
        ]

    def unfinished(self) -> list[str]:
        """The keys of unfinished uploads."""
        answer = self.client.list_multipart_uploads(Bucket=self.name, Prefix=self.prefix)
        return [each["Key"] for each in answer.get("Uploads", ())]

    def leftovers(self) -> list[str]:
        known = ("blobs/", "ledger/", "status/")
        keys = set(self.keys())
        records = {key for key in keys if key.startswith("chunks/")}
        orphans = {key for key in records if "blobs/" + key.removeprefix("chunks/") not in keys}
        foreign = {key for key in keys - records if not key.startswith(known)}
        return sorted(self.unfinished()) + sorted(orphans | foreign)


class RetryingPlace(LocalPlace):
    """A LocalStore that is asked again where it fails for a moment."""

    def open(self) -> Store:
        return Retrying(LocalStore(self.root))


class CachedPlace(LocalPlace):
    """A LocalStore that is read through a cache, the same for all handles."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "store")
        self.root.mkdir()
        self.cache = folder / "cache"

    def open(self) -> Store:
        return Cached(LocalStore(self.root), self.cache, 64 * 1024 * 1024)


PLACES: Mapping[str, type[Place]] = {
    "local": LocalPlace,
    "memory": MemoryPlace,
    "s3": S3Place,
    "retrying-local": RetryingPlace,
    "cached-local": CachedPlace,
}
