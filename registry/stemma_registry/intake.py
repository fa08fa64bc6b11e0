"""A directory's bytes on their way into the store: read once, and only what changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.observed import Observed
from stemma_attestations.tensor_table import TINY
from stemma_registry import directory
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.errors import BadTree, BlobMissing, Damaged
from stemma_registry.stat_cache import StatCache
from stemma_registry.tensors.reading import Listener, Told

NOTHING = Digest.of(b"")


@dataclass(frozen=True)
class Known:
    """A file whose digest is known, as a Git LFS pointer's is, and that is in no directory.

    `opened` gives its bytes; None where they are nowhere but in the store.
    """

    entry: Entry
    opened: Callable[[], BinaryIO] | None = None

    def take_in(self, store: Store) -> None:
        """Have it in the store, durably. Raises BlobMissing, BadTree, Unavailable."""
        digest, size = self.entry.sha256, self.entry.size
        if store.keep(digest, size):
            return
        if self.opened is None:
            raise BlobMissing(
                f"{self.entry.path}: the bytes of its pointer ({digest.short}) are neither in the "
                "registry nor here; `git lfs pull` brings them"
            )
        self.put(store)

    def put(self, store: Store) -> None:
        """Store it, whether it is there or not. Raises BlobMissing, BadTree, Unavailable."""
        try:
            with self._open() as source:
                store.put(source, self.entry.sha256, self.entry.size)
        except (OSError, Damaged) as error:
            raise BadTree(f"{self.entry.path}: other bytes than its pointer names") from error

    def _open(self) -> BinaryIO:
        if self.opened is None:
            raise BlobMissing(f"{self.entry.path}: its bytes are gone from the registry")
        return self.opened()


@dataclass(frozen=True)
class Intake:
    """A listed directory, files that belong to it, and the store all of it goes to."""

    store: Store
    tree: directory.Tree
    cache: StatCache
    progress: Progress | None = None
    heard: dict[Digest, Told] | None = (
        None  # of files that are read into the store; None: no matter
    )
    known: Sequence[Known] = ()

    def check(self) -> None:
        """Refuse what can be seen to be no artifact before a byte is read. Raises BadTree."""
        entries = [Entry(f.path, f.stat.st_size, NOTHING) for f in self.tree.files]
        self._whole(Observed(tuple(entries), self.tree.oddities))

    def look(self) -> Manifest:
        """The manifest; nothing is stored. Raises BadTree."""
        observed = directory.observe(self.tree, self.progress, cache=self.cache)
        return self._manifest(observed)

    def take_in(self) -> Manifest:
        """Store every file and return the manifest. Raises BadTree, Unavailable.

        A file that the cache knows is not read where the store has a blob of its
        digest and size. Everything is durable when this returns.
        """
        with self.store.batch() as store:
            for file in self.known:
                file.take_in(store)
            stored = _Stored(self.cache, store)
            observed = directory.observe(
                self.tree, self.progress, self._taking(store), stored, LIMITS.transfers
            )
        return self._manifest(observed)

    def _taking(self, store: Store) -> directory.Take:
        """How a file is read into the store."""
        heard = self.heard
        if heard is None:
            return store.receive

        def take(source: BinaryIO, size: int, progress: Progress | None) -> Digest:
            if size < TINY:
                return store.receive(source, size, progress)
            listener = Listener(size)
            digest = store.receive(source, size, progress, listener.begin)
            if listener.told is not None:
                heard[digest] = listener.told
            return digest

        return take

    def again(self, manifest: Manifest, wanted: Collection[Digest]) -> None:
        """Store some files once more: their blobs were collected meanwhile. Raises BadTree."""
        known = {file.entry.path: file for file in self.known}
        for entry in manifest.entries:
            if entry.sha256 not in wanted:
                continue
            if entry.path in known:
                known[entry.path].put(self.store)
                continue
            try:
                with directory.open_beneath(self.tree.root, entry.path) as source:
                    self.store.put(source, entry.sha256, entry.size)
            except (OSError, Damaged) as error:
                raise BadTree(f"{entry.path} changed while it was pushed") from error

    def _manifest(self, observed: Observed) -> Manifest:
        manifest = self._whole(observed)
        self.cache.save()
        return manifest

    def _whole(self, observed: Observed) -> Manifest:
        """With the files that are not in the directory. Raises BadTree."""
        entries = (*observed.entries, *(file.entry for file in self.known))
        return directory.manifest_of(self.tree.root, Observed(entries, observed.oddities))


@dataclass(frozen=True)
class _Stored:
    """The cache's answers, as far as the store has the blobs."""

    cache: StatCache
    store: Store

    def recall(self, path: str, found: os.stat_result) -> Digest | None:
        digest = self.cache.recall(path, found)
        if digest is None or not self.store.keep(digest, found.st_size):
            return None
        return digest

    def note(self, path: str, found: os.stat_result, digest: Digest, started: float) -> None:
        self.cache.note(path, found, digest, started)


def changed(before: Manifest, after: Manifest) -> BadTree:
    """What to say of a directory that was another one when it was looked at."""
    paths = {e.path for e in set(before.entries) ^ set(after.entries)}
    return BadTree(f"{min(paths, default='it')} changed while it was pushed")
