"""Mending a store from another registry, or from any directory that has the right files.

Nothing is believed about where the bytes come from: a blob must match its name,
and a ledger entry the digest that the entry after it names (or, at the end of
the ledger, must follow the one before it).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from stemma_attestations.digest import Digest
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.opening import is_remote, store_at
from stemma_registry.blobs.streams import Progress, hash_stream
from stemma_registry.care.audit import Report, audit, checkpoint_problem, segment_number
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import Damaged, LedgerBroken, NotFound, StoreError, Unavailable
from stemma_registry.ledger import heads, segments
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import entry_key, read_entry
from stemma_registry.ledger.survey import Chain
from stemma_registry.moving import move, size_of


class Source(Protocol):
    """Where good bytes may be had."""

    def mend(self, store: Store, digest: Digest, progress: Progress | None) -> bool:
        """Put the blob into the store if it is here; whether it is. Raises Unavailable."""
        ...

    def entry(self, n: int) -> LedgerEntry | None:
        """The ledger entry, if it is here and can be read."""
        ...


@dataclass(frozen=True)
class RegistrySource:
    """Another registry, which may be damaged too."""

    store: Store

    def mend(self, store: Store, digest: Digest, progress: Progress | None) -> bool:
        try:
            move(self.store, store, digest, size_of(self.store, digest), progress)
        except NotFound:
            return False
        except Unavailable:
            raise
        except StoreError:
            return False  # damaged there, too
        return True

    def entry(self, n: int) -> LedgerEntry | None:
        try:
            return read_entry(self.store, n)
        except (LedgerBroken, NotFound):
            return None


@dataclass(frozen=True)
class DirectorySource:
    """A directory whose files have been hashed: digest to path."""

    files: Mapping[Digest, Path]

    @classmethod
    def at(cls, folder: Path, wanted: Mapping[Digest, int | None]) -> DirectorySource:
        """Hash the files that may be wanted, by their sizes. Raises Unavailable."""
        sizes, found = set(wanted.values()), dict[Digest, Path]()
        for path in _files(folder):
            try:
                size = path.stat().st_size
                if size in sizes or (None in sizes and size <= LIMITS.small_object_bytes):
                    with path.open("rb", buffering=0) as source:
                        digest, _ = hash_stream(source, size)
                    if digest in wanted:
                        found.setdefault(digest, path)
            except OSError as error:
                raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        return cls(found)

    def mend(self, store: Store, digest: Digest, progress: Progress | None) -> bool:
        path = self.files.get(digest)
        if path is None:
            return False
        try:
            with path.open("rb", buffering=0) as source:
                size = os.fstat(source.fileno()).st_size
                store.put(source, digest, size)
        except Damaged:
            return False  # changed since it was hashed
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        if progress is not None:
            progress(size)
        return True

    def entry(self, n: int) -> LedgerEntry | None:
        return None


def open_source(location: str, home: Home, report: Report) -> Source:
    """Where `location` is a registry, that; else the files of the directory. Raises NotFound."""
    if is_remote(location):
        return RegistrySource(store_at(location, home, cached=False))
    folder = Path(os.path.expanduser(location))
    if not folder.is_dir():
        raise NotFound(f"no registry and no directory at {location}")
    if (folder / "ledger").is_dir() and (folder / "blobs" / "sha256").is_dir():
        return RegistrySource(store_at(location, home, cached=False))
    return DirectorySource.at(folder, report.bad)


def repair_all(
    store: Store,
    home: Home,
    trust: TrustRoot,
    report: Report,
    source_for: Callable[[Report], Source],
    read_data: bool,
    progress: Progress | None = None,
) -> tuple[Report, list[str]]:
    """Repair, and audit again, as long as that helps: what a damaged manifest names shows later.

    Returns the last report, and what was replaced. Raises Unavailable.
    """
    mended: list[str] = []
    while not report.whole or report.warnings:
        done = repair(store, trust, report, source_for(report), progress)
        report = audit(store, home, trust, read_data, progress)
        if set(done) <= set(mended):
            break
        mended += done
    return report, mended


def repair(
    store: Store,
    trust: TrustRoot,
    report: Report,
    source: Source,
    progress: Progress | None = None,
) -> list[str]:
    """Replace what the report calls wrong by what the source has.

    Returns what was replaced, as the report names it. Raises Unavailable.
    """
    done: list[str] = []
    for n, entry in _right_entries(report, source):
        store.replace(entry_key(n), entry.raw)
        done.append(f"entry {n}")
    if progress is not None:
        progress.expect(sum(size or 0 for size in report.bad.values()))
    done += [str(blob) for blob in sorted(report.bad) if source.mend(store, blob, progress)]
    for warning in report.warnings:
        if (k := segment_number(warning.subject)) is not None:
            with contextlib.suppress(LedgerBroken):
                segments.write(store, k)
                done.append(warning.subject)
    if checkpoint_problem(store, trust, report.entries) and _take_checkpoint(store, trust, source):
        done.append(heads.CHECKPOINT)
    return done


def _take_checkpoint(store: Store, trust: TrustRoot, source: Source) -> bool:
    """Take the source's signed head where it is believed and our ledger has that entry."""
    if not isinstance(source, RegistrySource):
        return False
    signed = heads.read_checkpoint(source.store, trust)
    if signed is None:
        return False
    try:
        ours = read_entry(store, signed.n)
    except LedgerBroken:
        return False
    if ours is None or ours.digest != signed.entry:
        return False
    store.replace(heads.CHECKPOINT, source.store.read(heads.CHECKPOINT))
    return True


def _right_entries(report: Report, source: Source) -> Iterator[tuple[int, LedgerEntry]]:
    """Entries of the source that belong where ours are wrong; runs of them, each whole."""
    chain, vouched = report.chain, report.vouched
    lost = set(range(chain.last + 1, max(vouched, default=-1) + 1))
    # What is only suspect may be right: then it is enough to replace the rest.
    for wanted in (chain.suspects | lost, set(chain.breaks)):
        for run in _runs(sorted(wanted)):
            for entry in _fitting(run, chain, vouched, source):
                if chain.digest(entry.n) != entry.digest:
                    yield entry.n, entry


def _fitting(
    run: range, chain: Chain, vouched: Mapping[int, Digest], source: Source
) -> list[LedgerEntry]:
    """The source's entries of a run, if they link up with ours at both ends."""
    entries = [entry for n in run if (entry := source.entry(n)) is not None]
    if len(entries) != len(run):
        return []
    links = [chain.digest(run.start - 1) if run.start else None, *(e.digest for e in entries)]
    behind = chain.previous(run.stop) or vouched.get(run.stop - 1)
    follow = all(e.previous == before for e, before in zip(entries, links, strict=False))
    known = all(vouched.get(e.n) in (None, e.digest) for e in entries)
    return entries if follow and known and behind in (None, links[-1]) else []


def _runs(numbers: Iterable[int]) -> Iterator[range]:
    """Numbers that follow each other, together."""
    start = stop = None
    for n in numbers:
        if stop == n and start is not None:
            stop = n + 1
            continue
        if start is not None and stop is not None:
            yield range(start, stop)
        start, stop = n, n + 1
    if start is not None and stop is not None:
        yield range(start, stop)


def _files(folder: Path) -> Iterator[Path]:
    def fail(error: OSError) -> None:
        raise Unavailable(f"cannot read {error.filename}: {error.strerror}") from error

    for root, folders, names in os.walk(folder, onerror=fail):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if path.is_file() and not path.is_symlink():
                yield path
