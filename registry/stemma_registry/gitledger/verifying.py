"""Is an exported ledger whole, and is it the one that was seen before? Without the registry.

Checked are the chain, every tree root, the bytes of every statement, every signature, and that
no commit says anything else than its entry. That it is *this* ledger, and did not go back, rests
on a signed head whose signer is believed, or on a head that this machine has seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused
from stemma_attestations.keys import PublicKey
from stemma_attestations.names import subject_name
from stemma_attestations.statement import Statement
from stemma_attestations.times import Dated, Times
from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import keyless_facts
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import LedgerBroken, Refused
from stemma_registry.gitledger.reading import Commits, Found, SignedHead, signed_heads
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import ERASE, Event
from stemma_registry.ledger.heads import Seen
from stemma_registry.lineage.erased import stated
from stemma_registry.trust.roots import TrustedRoots


@dataclass(frozen=True)
class Finding:
    """What is wrong with the commit of one entry."""

    n: int
    commit: str
    detail: str


@dataclass
class Report:
    """What was checked, and everything that was found.

    Of the `statements` that the entries name, `believed` are signed by somebody who may say so,
    `signed` by others, `unsigned` are everything else that is there, and `erased` those that are
    gone on a believed word. `vouched` is the highest entry that a believed signed head (`by`), or
    the head seen before, says is of this ledger; -1 where neither says so.
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

    @property
    def whole(self) -> bool:
        """Whether nothing is wrong with what is there."""
        return not self.wrong

    def note(self, n: int, commit: str, detail: str) -> None:
        """Count a finding, and list it where there is room."""
        self.wrong += 1
        if len(self.findings) < LIMITS.listed:
            self.findings.append(Finding(n, commit, detail))


def verify(
    repository: Repository,
    home: Home,
    trust: TrustRoot,
    location: str,
    stale_ok: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Audit the repository; `location` is that of the store whose ledger it may be.

    The signed head is remembered where all is whole. With `stale_ok` it may end before the head
    that was seen. Raises NotFound, and LedgerBroken where the chain breaks, or is not that of the
    heads seen and signed.
    """
    try:
        commits, report = Commits(repository), Report(repository.object_format)
        run = _Verification(commits, home, trust, location, stale_ok, report)
        run.begin()
        for found in commits.follow():
            run.look(found)
            if progress is not None:
                progress(1)
    except Refused as error:  # what Git itself says of a damaged pack, or more than is read
        raise LedgerBroken(
            f"{repository.directory} cannot be read: {error}; clone it again, or another mirror"
        ) from error
    run.finish()
    return report


@dataclass
class _Verification:
    commits: Commits
    home: Home
    trust: TrustRoot
    location: str
    stale_ok: bool
    report: Report
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

    def _judge(self, event: Event, blobs: Mapping[Digest, bytes]) -> None:
        """Verify the signatures of one event's statements."""
        keys: dict[str, PublicKey] = {}
        for digest in event.keys:
            if digest in blobs and (key := self._key(digest, blobs[digest])) is not None:
                keys.update(dict.fromkeys(key.hints, key))
        for digest in event.bundles:
            if digest in blobs:
                worth = self._worth(blobs[digest], keys)
                setattr(self.report, worth, getattr(self.report, worth) + 1)

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

    def _worth(self, raw: bytes, keys: Mapping[str, PublicKey]) -> str:
        """Which count of the report a statement belongs to."""
        try:
            bundle = Bundle.parse(raw)
            if bundle.certificate is not None:
                return self._certified(raw, bundle.statement())
            key = self.trust.key(bundle.hint) or keys.get(bundle.hint)
            if key is None:
                return "unsigned"
            statement = bundle.verify(key)
        except (BadBundle, BadStatement, SignatureRefused):
            return "unsigned"
        times = dating.under_roots(bundle, key.id, self.trust.time, self.dating)
        return self._heard(self.trust, key.id, statement, times)

    def _certified(self, raw: bytes, statement: Statement) -> str:
        proven = keyless_facts.prove(raw, self.roots)
        who = proven.certified
        if who is None:
            return "unsigned"
        times = tuple(sorted(Dated(time, root) for root, time in proven.times.items()))
        return self._heard(self.trust.introducing(who), who.id, statement, times)

    def _heard(self, trust: TrustRoot, signer: str, statement: Statement, times: Times) -> str:
        names = {subject_name(subject.name) for subject in statement.subjects}
        about: Sequence[str | None] = [name.name if name else None for name in names]
        kind = statement.predicate_type
        believed = any(trust.has_authorised(signer, kind, name, times) for name in about)
        return "believed" if believed else "signed"

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


_KEPT = 100_000  # blobs that are remembered as missing, and keys that are kept parsed


def _n(seen: Seen) -> int:
    return seen.n
