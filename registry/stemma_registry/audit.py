"""Is the registry whole? Answered from the store alone, without the catalogue."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest
from stemma_attestations.manifest import Manifest
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.config import LIMITS, Home
from stemma_registry.directory import Progress
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken, StoreError
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, entries_after, read_entry


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong. `needed_by` says what cannot be had because of it."""

    what: str  # missing, damaged, or ledger
    subject: str
    detail: str
    needed_by: str = ""


@dataclass(frozen=True)
class Need:
    """Why a blob has to be there, and its size in bytes where a manifest says it."""

    where: str
    size: int | None = None


@dataclass
class Report:
    """What was looked at, and everything that was found.

    `surplus` counts blobs that nothing refers to: what interrupted pushes left.
    """

    entries: int = 0
    blobs: int = 0
    bytes_read: int = 0
    surplus: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings


def audit(
    store: Store,
    home: Home,
    trust: TrustRoot,
    read_data: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Check the ledger's chain and that every blob it refers to is there.

    With `read_data` every blob in the store is hashed, and each damaged one is
    listed. Raises Unavailable where the store itself cannot be read.
    """
    report = Report()
    needed: dict[Digest, Need] = {}
    head = Head()
    try:
        signed, seen = heads.read_checkpoint(store, trust), heads.read_seen(home.heads, store)
        for entry in entries_after(store, head):
            report.entries += 1
            _collect(store, entry, needed, report)
        heads.check_checkpoint(store, head, signed)
        heads.check_seen(store, head, seen)
        heads.remember(home.heads, store, head, seen)
    except LedgerBroken as error:
        report.findings.append(Finding("ledger", f"entry {head.n + 1}", str(error)))
    _check_gaps(store, head, report)
    _check_blobs(store, needed, report, read_data, progress)
    return report


def _collect(store: Store, entry: LedgerEntry, needed: dict[Digest, Need], report: Report) -> None:
    """Note every blob that an entry refers to, directly or through a manifest."""
    where = f"ledger entry {entry.n}"
    for event in entry.events:
        for digest in event.digests:
            needed.setdefault(digest, Need(where))
        for digest in event.artifacts:
            try:
                manifest = Manifest.parse(get_bytes(store, digest, LIMITS.manifest_bytes))
            except (BlobMissing, Damaged):
                continue  # reported with the blobs
            except BadManifest as error:
                report.findings.append(Finding("damaged", str(digest), str(error), where))
                continue
            for item in manifest.entries:
                reason = f"{item.path} of artifact {digest.short} ({where})"
                needed.setdefault(item.sha256, Need(reason, item.size))


def _check_gaps(store: Store, head: Head, report: Report) -> None:
    """Entries behind the end of the chain: one between them was removed."""
    later = [key for key in store.keys("ledger/") if _number(key) > head.n + 1]
    if later and read_entry(store, head.n + 1) is None:  # not just appended meanwhile
        report.findings.append(
            Finding("ledger", f"entry {head.n + 1}", f"missing, although {later[0]} is there")
        )


def _number(key: str) -> int:
    digits = key.removeprefix("ledger/").removesuffix(".json").replace("/", "")
    return int(digits) if digits.isdigit() else -1


def _check_blobs(
    store: Store,
    needed: dict[Digest, Need],
    report: Report,
    read_data: bool,
    progress: Progress | None,
) -> None:
    present: set[Digest] = set()
    for digest in store.blobs():
        present.add(digest)
        need = needed.get(digest)
        report.surplus += need is None
        where = need.where if need else "nothing"
        if read_data:
            _read(store, digest, where, report, progress)
        elif need and need.size is not None and store.size(digest) != need.size:
            detail = f"{store.size(digest)} bytes, not {need.size}"
            report.findings.append(Finding("damaged", str(digest), detail, where))
    report.blobs = len(present)
    for digest in sorted(set(needed) - present):
        where = needed[digest].where
        report.findings.append(Finding("missing", str(digest), "not in the store", where))


def _read(
    store: Store, digest: Digest, needed_by: str, report: Report, progress: Progress | None
) -> None:
    try:
        for chunk in _chunks(store, digest):
            report.bytes_read += len(chunk)
            if progress is not None:
                progress(len(chunk))
    except StoreError as error:
        report.findings.append(Finding("damaged", str(digest), str(error), needed_by))


def _chunks(store: Store, digest: Digest) -> Iterator[bytes]:
    try:
        yield from store.chunks(digest)
    except BlobMissing:
        return  # removed meanwhile: it was surplus, or is reported as missing next time
