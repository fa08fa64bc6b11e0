"""From the ledger to a bare Git repository, one commit an entry; again, only what is new.

The repository is written by `git fast-import`, which moves the branch last. A run that is cut off
leaves the branch where it was, or at a whole entry; the next run goes on from there.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from stemma_attestations import gitobject
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.gitobject import ObjectFormat
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.times import parse_time
from stemma_attestations.trust import TrustRoot
from stemma_registry.ahead import ahead
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import (
    BlobMissing,
    Damaged,
    LedgerBroken,
    NotFound,
    Refused,
    Unavailable,
)
from stemma_registry.gitledger.feeding import Feed
from stemma_registry.gitledger.rendering import BRANCH, CHECKPOINTS, ENTRY, WHO, Named, render
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger import heads
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, read_entry
from stemma_registry.ledger.segments import SIZE, Reader
from stemma_registry.lineage.erased import stated
from stemma_registry.trust.roots import TrustedRoots


@dataclass
class Exported:
    """Where the repository stands: entry `n` is its commit `commit`; `new` of them are new.

    `left_out` are statements of the new entries that were erased; `checkpoint` is the entry of
    the signed head that lies beside them.
    """

    object_format: str
    n: int = -1
    entry: Digest | None = None
    commit: str = ""
    new: int = 0
    left_out: list[Digest] = field(default_factory=list)
    checkpoint: int | None = None


def export(
    store: Store,
    home: Home,
    trust: TrustRoot,
    folder: Path,
    object_format: ObjectFormat | None = None,
    progress: Progress | None = None,
) -> Exported:
    """Bring the repository in `folder` up to the ledger's head; it is made if it is not there.

    Without `object_format` it is of SHA-1. Raises Refused where the folder holds something else,
    LedgerBroken, Damaged where a statement is lost, Unavailable.
    """
    signed, seen = _signed(store), heads.read_seen(home.heads, store)
    with _target(folder.absolute(), object_format) as repository:
        run = _Export(store, trust, home, repository, progress)
        done = run.to_head()
        heads.check_seen(store, Head(done.n, done.entry), seen)
        if signed is not None:
            run.tag(*signed)
    return done


@dataclass
class _Export:
    store: Store
    trust: TrustRoot
    home: Home
    repository: Repository
    progress: Progress | None
    _keys: dict[Digest, bytes] = field(default_factory=dict)
    _erased: frozenset[Digest] | None = None

    def __post_init__(self) -> None:
        self.done = Exported(self.repository.object_format)

    def to_head(self) -> Exported:
        """Append the commits that are missing."""
        start = self._stand()
        feed = Feed(self.repository.directory, start.commit or None)
        try:
            for entry, blobs in ahead(self._blobs, self._entries(start), LIMITS.transfers):
                feed.add(render(entry, blobs))
                self.done.n, self.done.entry = entry.n, entry.digest
                if self.progress is not None:
                    self.progress(1)
            moved = feed.end()
        finally:
            feed.abandon()
        now = self._stand() if feed.count else start
        if not moved and now.n < self.done.n:
            raise Unavailable(
                "the repository was changed meanwhile, or holds statements that were erased since; "
                "try again, or export into a new folder"
            )
        self.done.n, self.done.entry, self.done.commit = now.n, now.entry, now.commit
        self.done.new = feed.count
        return self.done

    def _stand(self) -> Exported:
        """Where the repository is now, held against the ledger."""
        at = next((ref.id for ref in self.repository.refs(BRANCH) if ref.name == BRANCH), None)
        if at is None:
            return Exported(self.repository.object_format)
        try:
            _, blob = self.repository.at(at, ENTRY)
            raw = self.repository.blob(blob)
            message = self.repository.commit(at).message
            n = int(message.partition("\nEntry: ")[2].partition("\n")[0])
        except (NotFound, ValueError) as error:
            text = f"{BRANCH} of {self.repository.directory} is no exported ledger"
            raise Refused(f"{text}: name another folder") from error
        ours = read_entry(self.store, n) if 0 <= n < 10**12 else None
        if ours is None or ours.raw != raw:
            raise LedgerBroken(
                f"{self.repository.directory} ends with an entry {n} that the ledger at "
                f"{self.store.location} does not have: it is of another ledger, or one was rewound"
            )
        return Exported(self.repository.object_format, n, ours.digest, at)

    def _entries(self, start: Exported) -> Iterator[LedgerEntry]:
        """Those behind `start`, each continuing the chain."""
        if start.n < 0:
            head, reader = Head(), Reader(self.store)
            while (entry := reader.after(head)) is not None:
                head.advance(entry)
                yield entry
            return
        n, before = start.n, start.entry
        while (entry := read_entry(self.store, n + 1)) is not None:
            if entry.previous != before:
                raise LedgerBroken(f"ledger entry {entry.n} does not follow entry {n}")
            n, before = entry.n, entry.digest
            yield entry

    def _blobs(self, entry: LedgerEntry) -> dict[Digest, bytes]:
        """What the entry names, but for what was erased. Raises Damaged."""
        found, named = {}, Named.of(entry)
        for digest in named.keys:
            if (key := self._keys.get(digest) or self._blob(digest)) is not None:
                found[digest] = key
                if len(key) <= LIMITS.key_bytes and len(self._keys) < SIZE:
                    self._keys[digest] = key
        for digest in named.statements:
            if (raw := self._blob(digest)) is not None:
                found[digest] = raw
        return found

    def _blob(self, digest: Digest) -> bytes | None:
        try:
            return get_bytes(self.store, digest, LIMITS.small_object_bytes)
        except BlobMissing as error:
            if self._erased is None:
                self._erased = frozenset(self._tombstones())
            if digest not in self._erased:
                raise Damaged(
                    f"{digest} is not in the store, and nobody who is believed says that it was "
                    "erased: see `stemma audit`"
                ) from error
            self.done.left_out.append(digest)
            return None

    def _tombstones(self) -> Iterator[Digest]:
        roots = TrustedRoots(self.home.roots).present(self.trust.time)
        head, reader = Head(), Reader(self.store)
        while (entry := reader.after(head)) is not None:
            head.advance(entry)
            for event in entry.events:
                for stone in stated(self.store, event, self.trust, roots):
                    if stone.believed:
                        yield stone.blob

    def tag(self, signed: Checkpoint, raw: bytes) -> None:
        """Put a signed head beside the commits, in the place of the one before."""
        present = {ref.name: ref.id for ref in self.repository.refs(CHECKPOINTS)}
        name, commit = f"{CHECKPOINTS}{signed.n}", self._commit_of(signed)
        if commit is None:
            return
        self.done.checkpoint = signed.n
        data = _tag(signed, raw, commit)
        object_format = self.repository.object_format
        if present == {name: gitobject.identify("tag", data, object_format)}:
            return
        run = ("hash-object", "-t", "tag", "-w", "--stdin")
        made = program.run(self.repository.directory, *run, stdin=data).decode().strip()
        lines = [f"update {name} {made} {present.get(name, '0' * len(made))}"]
        lines += [f"delete {old} {tag}" for old, tag in present.items() if old != name]
        with contextlib.suppress(Refused):  # somebody who exports too was first: theirs is as good
            program.run(
                self.repository.directory,
                *("update-ref", "--stdin"),
                stdin="\n".join([*lines, ""]).encode(),
            )

    def _commit_of(self, signed: Checkpoint) -> str | None:
        """The commit of the entry that was signed, if it is the ledger's."""
        entry = read_entry(self.store, signed.n)
        if entry is None or entry.digest != signed.entry or signed.n > self.done.n:
            return None
        if signed.n == self.done.n:
            return self.done.commit
        return self.repository.resolve(f"{self.done.commit}~{self.done.n - signed.n}")


def _tag(signed: Checkpoint, raw: bytes, commit: str) -> bytes:
    seconds = max(0, int(parse_time(signed.time).timestamp()))
    head = f"object {commit}\ntype commit\ntag checkpoint/{signed.n}\n"
    return b"%stagger %s %d +0000\n\nSigned head of the ledger: entry %d\n\n%s\n" % (
        head.encode(),
        WHO,
        seconds,
        signed.n,
        raw,
    )


def _signed(store: Store) -> tuple[Checkpoint, bytes] | None:
    """The signed head beside the ledger, whoever signed it, and its bundle in one line."""
    try:
        raw = store.read(heads.CHECKPOINT)
        found = checkpoint.parse(Bundle.parse(raw).statement())
    except (NotFound, BadBundle, BadStatement):
        return None
    return None if b"\n" in raw else (found, raw)


@contextlib.contextmanager
def _target(folder: Path, object_format: ObjectFormat | None) -> Iterator[Repository]:
    """The repository to write. Raises Refused, Unavailable."""
    try:
        if not folder.exists() or not any(folder.iterdir()):
            _make(folder, object_format or "sha1")
    except OSError as error:
        raise Unavailable(f"cannot make a repository at {folder}: {error.strerror}") from error
    try:
        opened = Repository.open(folder)
    except NotFound as error:
        raise Refused(f"{folder} is neither empty nor a repository: name another") from error
    with opened as repository:
        if repository.worktree is not None or repository.directory != folder.resolve():
            raise Refused(f"{folder} is no bare repository: name another folder")
        if object_format not in (None, repository.object_format):
            raise Refused(
                f"{folder} has {repository.object_format} objects: name another folder for "
                f"{object_format}"
            )
        yield repository


def _make(folder: Path, object_format: ObjectFormat) -> None:
    """A new bare repository, there as a whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    work = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    branch = BRANCH.removeprefix("refs/heads/")
    try:
        asked = ("--bare", "--quiet", "--template=", f"--object-format={object_format}")
        program.run(None, "init", *asked, f"--initial-branch={branch}", "--", str(work))
        os.rename(work, folder)  # over an empty folder too
    except OSError:
        if not (folder / "HEAD").exists():  # else somebody who exports too was first
            raise
    finally:
        shutil.rmtree(work, ignore_errors=True)
