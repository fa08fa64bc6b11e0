"""Copying a registry to another place, entry by entry: a replica, or a backup.

The target is a registry at every moment: an entry is created there only after
all blobs it refers to are durable. So a run that is cut off anywhere is simply
run again. The target never goes back, and never leaves the history of the
source; what is wrong in the source is not copied, and stops the copy before
the entry that needs it.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadManifest, BadStatement
from stemma_attestations.manifest import Manifest
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.trust import TrustRoot
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.blobs.opening import is_remote, store_at
from stemma_registry.blobs.streams import Progress
from stemma_registry.care.dependents import Uses, uses_in
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import (
    AlreadyThere,
    BlobMissing,
    Damaged,
    LedgerBroken,
    NotFound,
    Refused,
    StoreError,
    Temporary,
    Unanswered,
    Unavailable,
)
from stemma_registry.files import make_directory
from stemma_registry.ledger import heads, segments
from stemma_registry.ledger.entry import ERASE, LedgerEntry
from stemma_registry.ledger.log import Head, entry_key, read_entry
from stemma_registry.ledger.survey import last_number
from stemma_registry.lineage.erased import stated
from stemma_registry.moving import move, size_of
from stemma_registry.trust.roots import TrustedRoots


@dataclass(frozen=True)
class Lost:
    """A blob that the source should have, and has not, or not whole."""

    blob: Digest
    detail: str
    needed_by: tuple[str, ...]


@dataclass
class Copied:
    """What a run did. `n` is the last entry at the target, `behind` how many were not copied.

    `erased` counts blobs that were left out because somebody erased them.
    """

    n: int = -1
    behind: int = 0
    entries: int = 0
    blobs: int = 0
    bytes: int = 0
    erased: int = 0
    lost: list[Lost] = field(default_factory=list)


@dataclass(frozen=True)
class Wanted:
    """A blob that an entry needs; its size in bytes where a manifest says it."""

    digest: Digest
    size: int | None = None


def open_target(location: str, home: Home) -> Store:
    """The store to copy to; a directory is made if it is not there.

    Raises Refused where there is something else than a registry, Unavailable.
    """
    if not is_remote(location):
        path = Path(os.path.expanduser(location))
        try:
            make_directory(path)
            others = set(os.listdir(path)) - {"blobs", "ledger", "status", "tmp"}
        except OSError as error:
            raise Unavailable(f"cannot make a registry at {location}: {error.strerror}") from error
        if others and not (path / entry_key(0)).is_file():
            raise Refused(f"{location} holds something else ({min(others)!r:.80} ...)")
    return store_at(location, home, cached=False)


def replicate(
    source: Store,
    target: Store,
    home: Home,
    trust: TrustRoot,
    progress: Progress | None = None,
) -> Copied:
    """Bring the target to the head of the source, as it is now.

    Raises LedgerBroken where either ledger is not whole, or the target is
    ahead of the source or has another history; Unavailable.
    """
    if source.location == target.location:
        raise Refused("source and target are the same store")
    signed, seen = heads.read_checkpoint(source, trust), heads.read_seen(home.heads, source)
    last, done = last_number(source), Copied()
    _check_not_back(source, last, signed, seen)
    done.n = _position(source, target, last)
    roots = TrustedRoots(home.roots).present(trust.time)
    copy = _Copy(source, target, trust, roots, last, done, progress)
    copy.finish_erasures()
    if done.n < last:
        copy.run(_head_at(target, done.n))
        with contextlib.suppress(StoreError, LedgerBroken):  # a help for readers, no more
            segments.write_missing(target, done.n)
    if done.n >= 0:
        target.settle(entry_key(done.n))  # a copy that was cut off may have left it only visible
    done.behind = last - done.n
    _copy_checkpoint(source, target)
    heads.remember(home.heads, target, _last_entry(target, done.n), None)
    return done


@dataclass
class _Copy:
    source: Store
    target: Store
    trust: TrustRoot
    roots: Mapping[Digest, bytes]
    last: int
    done: Copied
    progress: Progress | None
    _put: set[bytes] = field(default_factory=set)
    _erased: frozenset[Digest] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self, head: Head) -> None:
        """Copy the entries behind `head`, in groups whose blobs are copied together."""
        group: list[tuple[LedgerEntry, list[Wanted]]] = []
        size, numbers = 0, range(head.n + 1, self.last + 1)
        try:
            for _, (entry, wanted) in ahead(self._wanted, numbers, LIMITS.readers):
                head.advance(entry)
                group.append((entry, wanted))
                size += sum(blob.size or 0 for blob in wanted)
                if size >= LIMITS.copy_group_bytes or len(group) >= LIMITS.copy_group_entries:
                    if not self._copy(group):
                        return
                    group, size = [], 0
        except LedgerBroken:
            self._copy(group)  # what is before the break is good
            raise
        self._copy(group)

    def finish_erasures(self) -> None:
        """Delete what the last entry at the target erases: an earlier run may not have."""
        if self.done.n >= 0:
            entry = read_entry(self.target, self.done.n)
            if entry is not None:
                self._erase(entry)

    def _wanted(self, n: int) -> tuple[LedgerEntry, list[Wanted]]:
        """An entry and every blob it needs, manifests first."""
        entry = read_entry(self.source, n)
        if entry is None:
            raise LedgerBroken(f"{self.source.location} has no ledger entry {n}: `stemma audit`")
        direct = dict.fromkeys(d for event in entry.events for d in event.digests)
        wanted = {digest: Wanted(digest) for digest in direct}
        for digest in (d for event in entry.events for d in event.artifacts):
            for item in self._manifest(digest):
                wanted[item.digest] = item
        return entry, list(wanted.values())

    def _manifest(self, digest: Digest) -> list[Wanted]:
        """The files of an artifact; none where its manifest cannot be had: that is found later."""
        for store in (self.source, self.target):
            try:
                manifest = Manifest.parse(get_bytes(store, digest, LIMITS.manifest_bytes))
            except BadManifest:
                return []  # those are the bytes of its name: there is nothing in it
            except (BlobMissing, Damaged):
                continue
            return [Wanted(item.sha256, item.size) for item in manifest.entries]
        return []

    def _copy(self, group: list[tuple[LedgerEntry, list[Wanted]]]) -> bool:
        """Copy a group's blobs, then its entries up to the first that needs a lost one."""
        blobs = {blob.digest: blob for _, wanted in group for blob in wanted}
        missing = [b for b in blobs.values() if bytes.fromhex(b.digest.value) not in self._put]
        lost: dict[Digest, str] = {}
        if self.progress is not None:
            self.progress.expect(sum(blob.size or 0 for blob in missing))
        with self.target.batch() as inside:
            for blob, problem in ahead(lambda b: self._one(inside, b), missing, LIMITS.transfers):
                if problem is None:
                    self._put.add(bytes.fromhex(blob.digest.value))
                elif blob.digest in self._erasures():
                    self.done.erased += 1
                else:
                    lost[blob.digest] = problem
        for entry, wanted in group:
            if any(blob.digest in lost for blob in wanted):
                self._name(entry, lost)
                return False
            self._create(entry)
        return True

    def _one(self, target: Store, blob: Wanted) -> str | None:
        """Make a blob durable at the target; what is wrong with the source's, if it cannot be."""
        for attempt in range(LIMITS.copy_tries):
            try:
                if blob.size is not None and target.keep(blob.digest, blob.size):
                    self._moved(blob.size)
                    return None
                size = size_of(self.source, blob.digest) if blob.size is None else blob.size
                if move(self.source, target, blob.digest, size, self.progress):
                    with self._lock:
                        self.done.blobs += 1
                        self.done.bytes += size
            except (BlobMissing, Damaged) as error:
                return None if _whole(target, blob.digest) else str(error)
            except Temporary:
                if attempt == LIMITS.copy_tries - 1:
                    raise
            else:
                return None
        raise AssertionError("the last try returns or raises")

    def _moved(self, count: int) -> None:
        if self.progress is not None:
            self.progress(count)

    def _create(self, entry: LedgerEntry) -> None:
        """Create an entry at the target, or find it there. Raises LedgerBroken, Unavailable."""
        key = entry_key(entry.n)
        try:
            self.target.create(key, entry.raw)
            self.done.entries += 1
        except (AlreadyThere, Unanswered) as error:
            try:
                found = self.target.read(key)
            except NotFound:
                raise error from None
            if found != entry.raw:
                raise LedgerBroken(_parted(self.target, entry.n)) from error
        self._erase(entry)
        self.done.n = entry.n

    def _erase(self, entry: LedgerEntry) -> None:
        """What is erased in the source is erased in its copies, if the signer is believed."""
        for event in entry.events:
            for stone in stated(self.target, event, self.trust, self.roots):
                if stone.believed:
                    self.target.delete(stone.blob)
                    self._put.discard(bytes.fromhex(stone.blob.value))

    def _erasures(self) -> frozenset[Digest]:
        """The blobs that any entry erases; asked only when one cannot be had."""
        if self._erased is None:
            entries = ahead(lambda n: read_entry(self.source, n), range(self.last + 1), 4)
            events = (event for _, entry in entries if entry for event in entry.events)
            self._erased = frozenset(d for e in events if e.type == ERASE for d in e.blobs)
        return self._erased

    def _name(self, entry: LedgerEntry, lost: Mapping[Digest, str]) -> None:
        uses: dict[Digest, Uses] = {}
        for digest, use in uses_in(self.source, entry, lost):
            uses.setdefault(digest, Uses()).add(use)
        for digest in sorted(lost):
            self.done.lost.append(Lost(digest, lost[digest], uses.get(digest, Uses()).listed))


def _check_not_back(
    source: Store, last: int, signed: Checkpoint | None, seen: heads.Seen | None
) -> None:
    """Refuse a source that was shortened or replaced. Raises LedgerBroken."""
    if last < 0:
        raise NotFound(f"no registry at {source.location}")
    head = _last_entry(source, last)
    heads.check_checkpoint(source, head, signed)
    heads.check_seen(source, head, seen)


def _position(source: Store, target: Store, last: int) -> int:
    """The last entry at the target, which is one of the source's. Raises LedgerBroken."""
    there = last_number(target)
    if there > last:
        raise LedgerBroken(
            f"{target.location} is ahead (entry {there}; {source.location} ends at {last}): "
            "a replica never goes back"
        )
    if there >= 0 and source.read(entry_key(there)) != target.read(entry_key(there)):
        raise LedgerBroken(_parted(target, there))
    return there


def _parted(target: Store, n: int) -> str:
    return (
        f"{target.location} holds another entry {n}: it is no replica of this registry, "
        "or one of the two is damaged (`stemma audit`)"
    )


def _last_entry(store: Store, n: int) -> Head:
    """A head that knows its last entry only, not its tree. Raises LedgerBroken."""
    entry = read_entry(store, n)
    return Head(n, entry.digest if entry else None)


def _head_at(store: Store, last: int) -> Head:
    """The head at entry `last`, every entry up to it checked. Raises LedgerBroken."""
    head = Head()
    numbers = range(last + 1)
    for n, entry in ahead(lambda n: read_entry(store, n), numbers, LIMITS.transfers):
        if entry is None:
            raise LedgerBroken(f"{store.location} has no ledger entry {n}: `stemma audit`")
        head.advance(entry)
    return head


def _whole(store: Store, digest: Digest) -> bool:
    """Whether the right bytes are there, durably."""
    try:
        return store.keep(digest, sum(map(len, store.chunks(digest))))
    except (BlobMissing, Damaged):
        return False


def _copy_checkpoint(source: Store, target: Store) -> None:
    """Leave the source's signed head beside the target's ledger where it says more.

    Whether its signer is believed is for each reader to decide.
    """
    raw, signed = _signed(source)
    _, present = _signed(target)
    if raw is None or signed is None or (present is not None and present.n >= signed.n):
        return
    entry = read_entry(target, signed.n)
    if entry is not None and entry.digest == signed.entry:
        target.replace(heads.CHECKPOINT, raw)


def _signed(store: Store) -> tuple[bytes | None, Checkpoint | None]:
    try:
        raw = store.read(heads.CHECKPOINT)
        return raw, checkpoint.parse(Bundle.parse(raw).statement())
    except (NotFound, Damaged, BadBundle, BadStatement):
        return None, None
