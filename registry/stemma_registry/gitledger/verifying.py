"""Is an exported ledger whole, and is it the one that was seen before? Without the registry.

Checked are the chain, every tree root, the bytes of every statement, every signature, and that
no commit says anything else than its entry. That it is *this* ledger, and did not go back, rests
on a signed head whose signer is believed, or on a head that this machine has seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.statement import Statement
from stemma_attestations.times import Dated
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import keyless_facts
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import LedgerBroken, Refused
from stemma_registry.gitledger.distrust import Distrust, Heard
from stemma_registry.gitledger.reading import Commits, Found, SignedHead, signed_heads
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import ERASE, Event
from stemma_registry.ledger.heads import Seen
from stemma_registry.lineage.erased import stated
from stemma_registry.trust.roots import TrustedRoots


@dataclass(frozen=True)
class Finding:
    """What is wrong with the commit of one entry, or distrusted in it."""

    n: int
    commit: str
    detail: str


@dataclass
class Report:
    """What was checked, and everything that was found.

    Of the `statements` that the entries name, `believed` are signed by somebody who may say so,
    `signed` by others, `unsigned` are everything else that is there, and `erased` those that are
    gone on a believed word. `distrusted` of the believed ones let nothing pass, since the ledger
    itself has distrust of their signers; `unweighed` says why that was not asked. `vouched` is the
    highest entry that a believed signed head (`by`), or the head seen before, says is of this
    ledger; -1 where neither says so.
    """

    object_format: str
    n: int = -1
    entry: Digest | None = None
    first: Digest | None = None
    commit: str = ""
    statements: int = 0
    believed: int = 0
    signed: int = 0
    unsigned: int = 0
    erased: int = 0
    vouched: int = -1
    by: str | None = None
    seen: int | None = None
    behind: int = 0
    wrong: int = 0
    findings: list[Finding] = field(default_factory=list)
    distrusted: int = 0
    doubts: list[Finding] = field(default_factory=list)
    unweighed: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with what is there."""
        return not self.wrong

    def note(self, n: int, commit: str, detail: str) -> None:
        """Count a finding, and list it where there is room."""
        self.wrong += 1
        if len(self.findings) < LIMITS.listed:
            self.findings.append(Finding(n, commit, detail))

    def doubt(self, n: int, commit: str, detail: str) -> None:
        """Count a statement that is distrusted, and list it where there is room."""
        self.distrusted += 1
        if len(self.doubts) < LIMITS.listed:
            self.doubts.append(Finding(n, commit, detail))


def verify(
    repository: Repository,
    home: Home,
    trust: TrustRoot,
    location: str,
    now: datetime,
    stale_ok: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Audit the repository; `location` is that of the store whose ledger it may be.

    The signed head is remembered where all is whole. With `stale_ok` it may end before the head
    that was seen. Raises NotFound, and LedgerBroken where the chain breaks, or is not that of the
    heads seen and signed.
    """
    report, distrust = Report(repository.object_format), Distrust(trust, now)
    try:
        commits = Commits(repository)
        run = _Verification(commits, home, trust, location, stale_ok, report, distrust)
        run.begin()
        for found in commits.follow():
            run.look(found)
            if progress is not None:
                progress(1)
        run.finish()
        run.weigh()
    except Refused as error:  # what Git itself says of a damaged pack, or more than is read
        raise LedgerBroken(
            f"{repository.directory} cannot be read: {error}; clone it again, or another mirror"
        ) from error
    return report


@dataclass
class _Verification:
    commits: Commits
    home: Home
    trust: TrustRoot
    location: str
    stale_ok: bool
    report: Report
    distrust: Distrust
    signed: list[SignedHead] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    missing: dict[Digest, tuple[int, str]] = field(default_factory=dict)
    vouched: Digest | None = None
    stones: set[Digest] = field(default_factory=set)
    keys: dict[Digest, PublicKey | None] = field(default_factory=dict)

    def begin(self) -> None:
        """Read the heads that are signed and seen, before the commits."""
        roots = TrustedRoots(self.home.roots)
        self.roots, self.dating = roots.all(), roots.present(self.trust.time)
        self.signed = signed_heads(self.commits.repository, self.trust)

    def look(self, found: Found) -> None:
        """Take in one commit."""
        report, entry = self.report, found.entry
        report.n, report.entry, report.commit = entry.n, entry.digest, found.commit
        if entry.n == 0:
            report.first = entry.digest
            self.seen = heads.copies_seen(self.home.heads, entry.digest, self.location)
        self._hold(entry.n, entry.digest)
        if found.problem:
            report.note(entry.n, found.commit, found.problem)
            return
        self.missing.update(dict.fromkeys(found.missing, (entry.n, found.commit)))
        if len(self.missing) > _KEPT:
            raise LedgerBroken(f"it lacks more than {_KEPT} statements")
        report.statements += len({d for event in entry.events for d in event.bundles})
        for event in entry.events:
            self._judge(event, found.blobs)
            self._tombstones(event, found.blobs)

    def _hold(self, n: int, digest: Digest) -> None:
        """An entry against the heads that are known of this number."""
        for head in self.signed:
            if head.checkpoint.n == n:
                if head.checkpoint.entry != digest:
                    raise LedgerBroken(
                        f"{head.by}, who is believed, signed another entry {n}: it was rewritten, "
                        "or is of another ledger"
                    )
                self.vouched, self.report.vouched, self.report.by = digest, n, head.by
        for seen in self.seen:
            if seen.n == n:
                if seen.entry != digest:
                    raise LedgerBroken(
                        f"it holds another entry {n} than was seen before: it is a fork of that "
                        f"ledger, or was rewritten ({seen.path})"
                    )
                self.report.seen = max(n, self.report.seen or 0)

    def _heard(self, event: Event, blobs: Mapping[Digest, bytes]) -> Iterator[Heard | None]:
        """One event's statements that are there; None for one whose signature does not verify."""
        keys: dict[str, PublicKey] = {}
        for digest in event.keys:
            if digest in blobs and (key := self._key(digest, blobs[digest])) is not None:
                keys.update(dict.fromkeys(key.hints, key))
        for digest in event.bundles:
            if digest in blobs:
                yield self._verified(digest, blobs[digest], keys)

    def _judge(self, event: Event, blobs: Mapping[Digest, bytes]) -> None:
        """Count one event's statements, and note whom they distrust."""
        for one in self._heard(event, blobs):
            if one is None:
                self.report.unsigned += 1
                continue
            self.distrust.take_in(one)
            if one.names(self.trust):
                self.report.believed += 1
            else:
                self.report.signed += 1

    def _key(self, digest: Digest, raw: bytes) -> PublicKey | None:
        if digest not in self.keys:
            try:
                found: PublicKey | None = PublicKey.parse(raw)
            except BadKey:
                found = None
            if len(self.keys) >= _KEPT:
                self.keys.clear()
            self.keys[digest] = found
        return self.keys[digest]

    def _verified(self, digest: Digest, raw: bytes, keys: Mapping[str, PublicKey]) -> Heard | None:
        try:
            bundle = Bundle.parse(raw)
            if bundle.certificate is not None:
                return self._certified(digest, raw, bundle.statement())
            key = self.trust.key(bundle.hint) or keys.get(bundle.hint)
            if key is None:
                return None
            statement = bundle.verify(key)
        except (BadBundle, BadStatement, SignatureRefused):
            return None
        times = dating.under_roots(bundle, key.id, self.trust.time, self.dating)
        return Heard(digest, statement, key.id, None, times)

    def _certified(self, digest: Digest, raw: bytes, statement: Statement) -> Heard | None:
        proven = keyless_facts.prove(raw, self.roots)
        who = proven.certified
        if who is None:
            return None
        times = tuple(sorted(Dated(time, root) for root, time in proven.times.items()))
        return Heard(digest, statement, who.id, who, times)

    def _tombstones(self, event: Event, blobs: Mapping[Digest, bytes]) -> None:
        if event.type != ERASE:
            return
        store = MemoryStore()
        for digest in event.bundles:
            if digest in blobs:
                put_bytes(store, blobs[digest])
        stones = stated(store, event, self.trust, self.dating)
        self.stones.update(stone.blob for stone in stones if stone.believed)

    def finish(self) -> None:
        """What can be said only at the end. Raises LedgerBroken."""
        report = self.report
        for digest, (n, commit) in self.missing.items():
            if digest in self.stones:
                report.erased += 1
            else:
                text = f"{digest} is missing, and nobody who is believed says that it was erased"
                report.note(n, commit, text)
        ahead = [head for head in self.signed if head.checkpoint.n > report.n]
        if ahead:
            raise LedgerBroken(
                f"it ends at entry {report.n}, but {ahead[-1].by}, who is believed, signed entry "
                f"{ahead[-1].checkpoint.n}: it was rewound"
            )
        later = max((seen for seen in self.seen if seen.n > report.n), key=_n, default=None)
        if later is not None:
            report.behind = later.n - report.n
            if not self.stale_ok:
                raise LedgerBroken(
                    f"it ends at entry {report.n}, but entry {later.n} was seen before "
                    f"({later.path}): it was rewound, or is an old copy (--stale-ok)"
                )
        # Not the last entry: behind the one that is signed anybody may have put anything.
        if report.whole and report.first is not None and self.vouched is not None:
            heads.remember_copy(self.home.heads, report.first, report.vouched, self.vouched)
        report.vouched = max(report.vouched, -1 if report.seen is None else report.seen)

    def weigh(self) -> None:
        """Hold everything that was believed against the distrust of the whole ledger."""
        report = self.report
        if self.distrust.too_many:
            report.unweighed = f"more than {LIMITS.criteria} criteria; the limit is a named one"
        if self.distrust.too_many or not self.distrust.rules:
            return
        for found in self.commits.follow():
            events = () if found.problem else found.entry.events
            every = (one for event in events for one in self._heard(event, found.blobs))
            for one in every:
                why = self.distrust.against(one) if one is not None else None
                if why is not None:
                    report.doubt(found.entry.n, found.commit, why)


_KEPT = 100_000  # blobs that are remembered as missing, and keys that are kept parsed


def _n(seen: Seen) -> int:
    return seen.n
