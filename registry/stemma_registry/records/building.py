"""The record index of a dataset's files, computed from the bytes in the store."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.predicates.record_index import Run, Shard, Skipped
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.lending import lent
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Unavailable
from stemma_registry.records import canonical, near
from stemma_registry.records.children import Children
from stemma_registry.records.keys import RecordKey
from stemma_registry.records.readers import Form, Unreadable

_ROWS, _MOST = 200_000, 500_000  # of Parquet, that are worth a part; and of the largest one


@dataclass(frozen=True)
class Wish:
    """How records are to be indexed. `fields` are sorted; None: all that a record has.

    `near`: by what they share with others that are nearly the same.
    """

    key: RecordKey
    fields: tuple[str, ...] | None = None
    near: bool = False

    @property
    def canonical(self) -> str:
        """The version of what is made of a record."""
        return near.VERSION if self.near else canonical.VERSION


@dataclass
class Built:
    """What was made of a dataset: `blobs` are those of the index, and the files they are in."""

    shards: list[Shard] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    blobs: dict[Digest, Path | None] = field(default_factory=dict)
    sizes: dict[Digest, int] = field(default_factory=dict)

    def again(self, store: Store, wanted: Collection[Digest]) -> None:
        """Put some blobs of the index once more. Raises Unavailable."""
        for digest in wanted:
            path = self.blobs.get(digest)
            if path is None:
                raise Unavailable(f"blob {digest.short} was collected meanwhile; try again")
            with open(path, "rb") as source:
                store.put(source, digest, os.fstat(source.fileno()).st_size)


def candidates(manifest: Manifest) -> dict[Digest, tuple[Form, Entry]]:
    """The files that may have records, by blob."""
    found: dict[Digest, tuple[Form, Entry]] = {}
    for entry in manifest.entries:
        form = Form.of(entry.path)
        if form is not None:
            found.setdefault(entry.sha256, (form, entry))
    return found


@dataclass(frozen=True)
class Builder:
    """Builds in a directory of its own, with children that read."""

    store: Store
    scratch: Path
    children: Children
    wish: Wish
    progress: Progress | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def build(self, manifest: Manifest, known: Mapping[Digest, Shard]) -> Built:
        """The index of every file that has records; `known` are those that are there.

        Raises Unavailable.
        """
        built = Built()
        wanted = candidates(manifest)
        if self.progress is not None:
            self.progress.expect(sum(e.size for b, (_, e) in wanted.items() if b not in known))
        # The files of a large dataset each have a process; a few large files share them.
        split = len(wanted) - len(known) < self.children.count
        todo = [item for item in wanted.values() if item[1].sha256 not in known]
        for shard in (known[blob] for blob in wanted if blob in known):
            self._keep(built, shard)
        with ThreadPoolExecutor(self.children.count) as pool:
            results = pool.map(lambda item: self._shard(item[0], item[1], split), todo)
            for (_, entry), made in zip(todo, results, strict=True):
                if isinstance(made, Skipped):
                    built.skipped.append(made)
                    continue
                shard, files = made
                built.shards.append(shard)
                for digest, path, size in files:
                    built.blobs[digest], built.sizes[digest] = path, size
                if self.progress is not None:
                    self.progress(entry.size)
        built.shards.sort(key=lambda shard: shard.blob)
        built.skipped.sort(key=lambda one: one.blob)
        return built

    def _keep(self, built: Built, shard: Shard) -> None:
        built.shards.append(shard)
        for run in shard.runs:
            for digest in (run.filter, run.hashes):
                built.blobs.setdefault(digest, None)
                built.sizes[digest] = self.store.size(digest) or 0

    def _shard(
        self, form: Form, entry: Entry, split: bool
    ) -> tuple[Shard, list[tuple[Digest, Path, int]]] | Skipped:
        try:
            with self.fetched(entry.sha256) as path:
                answers = self._ask(path, form, entry.size, split)
        except Unreadable as error:
            return Skipped(entry.sha256, str(error)[:500])
        except (BlobMissing, Damaged) as error:
            return Skipped(entry.sha256, f"its bytes cannot be had: {error}"[:500])
        found = [run for said in answers for run in said["runs"]]
        files = self._stored([Path(name) for _, _, *names in found for name in names])
        digests = iter([digest for digest, _, _ in files])
        runs = [Run(first, count, *itertools.islice(digests, 2)) for first, count, *_ in found]
        read, unread = (sum(said[what] for said in answers) for what in ("read", "unread"))
        if not runs:
            none = "no text that is long enough" if self.wish.near and read else "no records"
            why = f"none of its {unread} rows could be read" if unread else f"it has {none}"
            return Skipped(entry.sha256, why)
        records = sum(run.records for run in runs) // (near.BANDS if self.wish.near else 1)
        if unread > read:
            return Skipped(entry.sha256, f"{unread} of its rows could not be read, {read} could")
        return Shard(entry.sha256, str(form), records, unread, tuple(runs)), files

    def _stored(self, paths: list[Path]) -> list[tuple[Digest, Path, int]]:
        """Files with what they are in the store, several at a time: a disk is waited for."""

        def receive(path: Path) -> tuple[Digest, Path, int]:
            with open(path, "rb") as source:
                size = os.fstat(source.fileno()).st_size
                return self.store.receive(source, size), path, size

        if len(paths) <= 2:  # of one run
            return [receive(path) for path in paths]
        with ThreadPoolExecutor(self.children.count) as pool:
            return list(pool.map(receive, paths))

    def _ask(self, path: Path, form: Form, size: int, split: bool) -> list[dict[str, Any]]:
        base = {
            "do": "index",
            "path": str(path),
            "form": str(form),
            "fields": self.wish.fields,
            "block": self.wish.key.block.hex(),
            "near": self.wish.near,
        }
        parts: list[tuple[int, int] | None] = [None]
        if split and form.format == "parquet":
            said = self.children.ask({**base, "do": "groups"}, size)
            parts = [*_parts(said["groups"], self.children.count)] or [None]
        questions = [
            {**base, "groups": part, "out": str(self.scratch / str(next(self._numbers)))}
            for part in parts
        ]
        if len(questions) == 1:
            return [self.children.ask(questions[0], size)]
        with ThreadPoolExecutor(self.children.count) as pool:
            return list(pool.map(lambda question: self.children.ask(question, size), questions))

    @contextlib.contextmanager
    def fetched(self, blob: Digest) -> Iterator[Path]:
        """A blob as a file, until the block ends. Raises BlobMissing, Damaged, Unavailable."""
        path = self.scratch / f"{next(self._numbers)}.shard"
        with lent(self.store, blob, path) as there:
            if there is not None:
                yield there
                return
        with fetched(self.store, blob, path):
            yield path


@contextlib.contextmanager
def fetched(store: Store, blob: Digest, path: Path) -> Iterator[Path]:
    """A blob as the file `path`, until the block ends. Raises BlobMissing, Damaged, Unavailable."""
    try:
        with open(path, "x+b") as out:
            store.fetch(blob, out)
        yield path
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    finally:
        path.unlink(missing_ok=True)


def _parts(sizes: Sequence[int], processes: int) -> Iterator[tuple[int, int]]:
    """Row groups, from and up to, that are worth a run of their own.

    The last parts are smaller: so all processes end at about the same time, though one of them
    shares its core with who verifies the file.
    """
    most, left = min(_MOST, LIMITS.record_run), sum(sizes)
    least = min(_ROWS, most)
    start, rows = 0, 0
    for number, size in enumerate(sizes, 1):
        rows += size
        wanted = min(most, max(least, left * 2 // (3 * processes)))
        if rows + size // 2 >= wanted and left - rows >= least // 2:
            yield start, number
            start, rows, left = number, 0, left - rows
    if start < len(sizes):
        yield start, len(sizes)
