"""Is the registry whole? Answered from the store alone, without the catalogue.

Whatever is wrong is a finding, named with what needs it. What is merely odd (a
blob that nothing refers to, a foreign file, a checkpoint that cannot be read)
is listed, and harms nobody.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadManifest, SignatureRefused
from stemma_attestations.manifest import Manifest
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store, Stray, get_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.care.dependents import Uses, uses_of
from stemma_registry.catalogue import snapshots
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import BlobMissing, Damaged, LedgerBroken, NotFound
from stemma_registry.inspection import Needed, Seen, Wrong, inspect
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import COLLECT, CONDEMN, ERASE, LedgerEntry
from stemma_registry.ledger.log import Head, read_entry
from stemma_registry.ledger.segments import SIZE, segment_key, split
from stemma_registry.ledger.survey import Chain, last_number, number, survey
from stemma_registry.lineage.erased import stated
from stemma_registry.status.documents import is_feed_key
from stemma_registry.trust.roots import TrustedRoots

MISSING, DAMAGED, LEDGER, UNREADABLE = "missing", "damaged", "ledger", "unreadable"
CATALOGUE = "catalogue"
_STATUS = frozenset({heads.CHECKPOINT, snapshots.KEY})


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, and what cannot be had because of it.

    `what` is missing, damaged, truncated, swapped, unreadable, ledger, or catalogue
    where that says something else than the store does.
    `needed_by` lists the first of `needs` dependents.
    """

    what: str
    subject: str
    detail: str
    needed_by: tuple[str, ...] = ()
    needs: int = 0


@dataclass(frozen=True)
class Surplus:
    """A blob that nothing refers to; `state` is what the ledger says of it, if anything."""

    blob: Digest
    size: int
    state: str = ""


@dataclass
class Report:
    """What was looked at, and everything that was found.

    `bad` are the blobs that need other bytes, with their sizes where a manifest
    says them (those that were erased need none); `chain` is how the ledger
    hangs together. `certain` is false where something could not be read that
    may refer to what is called surplus.
    `erased` says of each blob that is gone on purpose when, by whom and why.
    """

    entries: int = 0
    blobs: int = 0
    bytes_read: int = 0
    unfinished: int = 0
    certain: bool = True
    surplus: list[Surplus] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    erased: dict[Digest, str] = field(default_factory=dict)
    warnings: list[Finding] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    bad: dict[Digest, int | None] = field(default_factory=dict)
    chain: Chain = field(default_factory=lambda: Chain(-1))
    vouched: dict[int, Digest] = field(default_factory=dict)

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong."""
        return not self.findings

    @property
    def decided(self) -> bool:
        """Whether everything could be looked at, and the ledger is one chain."""
        return not any(finding.what in (LEDGER, UNREADABLE) for finding in self.findings)


def audit(
    store: Store,
    home: Home,
    trust: TrustRoot,
    read_data: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Check the ledger's chain and that every blob it refers to is there.

    With `read_data` every blob in the store is hashed; without, only manifests
    are, and of the others the sizes are compared. Raises Unavailable where the
    store itself cannot be read.
    """
    run = _Audit(store, home, trust, TrustedRoots(home.roots).present(trust.time))
    run.ledger()
    run.blobs(read_data, progress)
    run.oddities()
    return run.report


@dataclass
class _Audit:
    store: Store
    home: Home
    trust: TrustRoot
    roots: Mapping[Digest, bytes]
    report: Report = field(default_factory=Report)
    needed: Needed = field(default_factory=Needed)
    erased: dict[Digest, str] = field(default_factory=dict)
    claimed: dict[Digest, str] = field(default_factory=dict)
    states: dict[Digest, str] = field(default_factory=dict)
    segments: list[int] = field(default_factory=list)

    def ledger(self) -> None:
        """Read every entry, note what it needs, and find where the chain breaks."""
        report, seen = self.report, None
        signed = heads.read_checkpoint(self.store, self.trust)
        try:
            seen = heads.read_seen(self.home.heads, self.store)
        except LedgerBroken as error:
            report.findings.append(Finding(LEDGER, "the head seen before", str(error)))
        known = [known for known in (signed, seen) if known is not None]
        last = last_number(self.store)
        report.chain, entries = survey(self.store, last, self._manifests)
        for entry, manifests in entries:
            report.entries += 1
            self._collect(entry, manifests)
        report.vouched = {known.n: known.entry for known in reversed(known)}
        report.chain.judge(report.vouched)
        for n, problem in sorted(report.chain.breaks.items()):
            needs = max(0, last - n)
            after = (f"the {needs} entries after it",) if needs else ()
            report.findings.append(Finding(LEDGER, f"entry {n}", problem, after, needs))
        report.certain = report.certain and not report.chain.breaks
        head = Head(last, report.chain.digest(last), report.chain.tree)
        if report.decided:
            heads.remember(self.home.heads, self.store, head, seen)

    def _manifests(self, entry: LedgerEntry) -> list[tuple[Digest, Manifest | str | None]]:
        """The manifests of an entry's artifacts; what is wrong with one that is none."""
        found: list[tuple[Digest, Manifest | str | None]] = []
        for digest in (d for event in entry.events for d in event.artifacts):
            try:
                raw = get_bytes(self.store, digest, LIMITS.manifest_bytes)
                found.append((digest, Manifest.parse(raw)))
            except (BlobMissing, Damaged):
                found.append((digest, None))  # reported with the blobs
            except BadManifest as error:
                found.append((digest, str(error)))
        return found

    def _collect(
        self, entry: LedgerEntry, manifests: Iterable[tuple[Digest, Manifest | str | None]]
    ) -> None:
        """Note every blob that an entry refers to, directly or through a manifest."""
        for event in entry.events:
            for digest in event.digests:
                self.needed.add(digest)
            for stone in stated(self.store, event, self.trust, self.roots):
                (self.erased if stone.believed else self.claimed)[stone.blob] = stone.text
            if event.type in (CONDEMN, COLLECT):
                verb = "condemned" if event.type == CONDEMN else "deleted"
                where = f"{verb} by gc in ledger entry {entry.n}"
                self.states.update(dict.fromkeys(event.blobs, where))
        for digest, manifest in manifests:
            if isinstance(manifest, Manifest):
                for item in manifest.entries:
                    self.needed.add(item.sha256, item.size)
                continue
            self.report.certain = False
            if manifest is not None:
                by = (f"ledger entry {entry.n}",)
                self.report.findings.append(Finding(DAMAGED, str(digest), manifest, by, 1))

    def blobs(self, read_data: bool, progress: Progress | None) -> None:
        """Compare what is there with what is needed."""
        looked = inspect(self.store, self.needed, read_data, progress)
        report = self.report
        report.blobs, report.bytes_read = looked.count, looked.bytes_read
        missing, spare = self._missing(looked), self._snapshot()
        wrong = [
            *missing,
            *(w for w in looked.wrong if w.digest not in self.erased and w.digest not in spare),
        ]
        uses = uses_of(self.store, report.chain.last, {blob.digest for blob in wrong})
        for blob in wrong:
            use = uses.get(blob.digest, Uses())
            finding = Finding(blob.what, str(blob.digest), blob.detail, use.listed, use.count)
            report.findings.append(finding)
            report.bad[blob.digest] = self.needed.size(blob.digest)
        for digest, size in looked.surplus:
            if digest in spare:
                continue
            report.surplus.append(Surplus(digest, size, self.states.get(digest, "")))
        for digest in sorted(d for d in self.erased if d not in looked.absent):
            if self.store.size(digest) is not None:
                text = f"{self.erased[digest]}, but the bytes are still there: `stemma gc --yes`"
                report.warnings.append(Finding("erased", str(digest), text))

    def _snapshot(self) -> set[Digest]:
        """The blobs of the catalogue's snapshot: who loses one loses only time."""
        blobs = {
            d for d in snapshots.snapshot_blobs(self.store, self.trust) if d not in self.needed
        }
        lost = sum(_is_lost(self.store, digest) for digest in blobs)
        text = f"{lost} of its {len(blobs)} parts are not whole: readers pass it over"
        if lost:
            self.report.warnings.append(Finding("snapshot", snapshots.KEY, text))
        return blobs

    def _missing(self, looked: Seen) -> list[Wrong]:
        """The blobs that are not there and were not taken away on purpose."""
        if looked.absent:
            self._late_erasures()
        missing = []
        for digest in sorted(looked.absent):
            if digest in self.erased:
                self.report.erased[digest] = self.erased[digest]
                continue
            detail = self.claimed.get(digest) or self.states.get(digest)
            detail = f"not in the store ({detail})" if detail else "not in the store"
            missing.append(Wrong(digest, MISSING, detail))
        return missing

    def _late_erasures(self) -> None:
        """What was erased since the ledger was read."""
        n = self.report.chain.last + 1
        while not self.report.chain.breaks and (entry := read_entry(self.store, n)) is not None:
            for event in (event for event in entry.events if event.type == ERASE):
                for stone in stated(self.store, event, self.trust, self.roots):
                    (self.erased if stone.believed else self.claimed)[stone.blob] = stone.text
            n += 1

    def oddities(self) -> None:
        """What is no harm: half uploads, foreign files, a checkpoint nobody can use."""
        strays: dict[str, Stray] = {}
        for key in self.store.keys(""):
            if (k := segment_number(key)) is not None:
                self.segments.append(k)
            elif number(key) is None and key not in _STATUS and not is_feed_key(key):
                strays[key] = Stray(key, _length(self.store, key), False)
        for stray in self.store.strays():
            if stray.unfinished:
                self.report.unfinished += 1
            else:
                strays[stray.name] = stray
        self.report.strays += [strays[name] for name in sorted(strays)]
        for k in sorted(self.segments):
            if not self._right(k):
                text = "not the entries of the ledger: readers pass it over"
                self.report.warnings.append(Finding("segment", segment_key(k), text))
        problem = checkpoint_problem(self.store, self.trust, self.report.entries)
        if problem:
            self.report.warnings.append(Finding("checkpoint", heads.CHECKPOINT, problem))

    def _right(self, k: int) -> bool:
        """Whether segment k holds the ledger's entries, as far as those can be read."""
        chain = self.report.chain
        try:
            raws = split(self.store.read(segment_key(k)))
        except (LedgerBroken, NotFound, Damaged):
            return False
        known = [chain.digest(n) for n in range(k * SIZE, (k + 1) * SIZE)]
        pairs = zip(raws, known, strict=True)
        return all(digest in (None, Digest.of(raw)) for raw, digest in pairs)


def segment_number(key: str) -> int | None:
    """Which thousand a key is of, or None."""
    digits = key.removeprefix("ledger/segments/").removesuffix(".seg")
    return int(digits) if digits.isdecimal() and segment_key(int(digits)) == key else None


def _is_lost(store: Store, digest: Digest) -> bool:
    try:
        for _ in store.chunks(digest):
            pass
    except (BlobMissing, Damaged):
        return True
    return False


def _length(store: Store, key: str) -> int:
    try:
        return len(store.read(key))
    except (NotFound, Damaged):
        return 0  # a link, or gone meanwhile


def checkpoint_problem(store: Store, trust: TrustRoot, entries: int) -> str:
    """Why the signed head beside the ledger is of no use; empty where it is."""
    try:
        bundle = Bundle.parse(store.read(heads.CHECKPOINT))
        key = trust.key(bundle.hint)
        if key is not None:
            bundle.verify(key)
    except NotFound:
        return "there is none: the next push writes one" if entries > 1 else ""
    except (BadBundle, SignatureRefused, Damaged) as error:
        return f"it cannot be read ({error}): the next push writes it again"
    if heads.read_checkpoint(store, trust) is None:
        return f"key {bundle.hint:.12} is not believed to sign heads: it was not compared"
    return ""
