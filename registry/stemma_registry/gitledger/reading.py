"""The commits of an exported ledger, oldest first, each held against the entry that it has.

Whoever gave the repository away may be hostile. Nothing but the entry decides what a commit holds:
it is rendered again, and has to have the very id. What is read is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, SignatureRefused
from stemma_attestations.gitobject import BLOB, DIGITS
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.trust import TrustRoot
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, LedgerBroken, NotFound, Refused
from stemma_registry.gitledger.rendering import BRANCH, CHECKPOINTS, ENTRY, Named, parse, render
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head

_FILE = re.compile(
    rb"(?:key-(?:0|[1-9][0-9]{0,6})|statement-(?:0|[1-9][0-9]{0,6})\.(?:jsonl|raw))\Z"
)


@dataclass(frozen=True)
class Found:
    """One commit: its entry, the blobs that lie beside it, and those that do not.

    `problem` says what else of the commit is not as the entry makes it.
    """

    commit: str
    entry: LedgerEntry
    blobs: dict[Digest, bytes]
    missing: tuple[Digest, ...]
    problem: str = ""


@dataclass
class Commits:
    """The commits of the branch, by the number of their entry. Raises NotFound without a branch."""

    repository: Repository
    _ids: bytes = b""
    _files: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        refs = self.repository.refs(BRANCH)
        at = next((ref.id for ref in refs if ref.name == BRANCH), None) or self._remote()
        most = LIMITS.ledger_commits
        asked = ("rev-list", "--reverse", f"--max-count={most + 1}", "--stdin")
        listed = program.run(
            self.repository.directory,
            *asked,
            stdin=f"{at}\n".encode(),
            seconds=LIMITS.ledger_list_seconds,
        )
        ids = bytes.fromhex(listed.decode().replace("\n", ""))
        self._width = DIGITS[self.repository.object_format] // 2
        if len(ids) > most * self._width:
            raise Refused(f"a ledger of more than {most} commits")
        if not ids.endswith(bytes.fromhex(at)):
            raise LedgerBroken(f"{BRANCH} is no chain of commits")
        self._ids = ids

    def _remote(self) -> str:
        """Where a clone that is no mirror has the branch."""
        name = f"refs/remotes/origin/{BRANCH.removeprefix('refs/heads/')}"
        found = next((ref.id for ref in self.repository.refs(name) if ref.name == name), None)
        if found is None:
            raise NotFound(f"{self.repository.directory} has no {BRANCH}: it is no exported ledger")
        return found

    def __len__(self) -> int:
        return len(self._ids) // self._width

    def id(self, n: int) -> str:
        """The commit of entry `n`, as Git lists it."""
        return self._ids[n * self._width : (n + 1) * self._width].hex()

    def follow(self) -> Iterator[Found]:
        """Every commit in order, the chain and the tree roots checked. Raises LedgerBroken."""
        head = Head()
        for n in range(len(self)):
            found = self.read(n)
            head.advance(found.entry)
            yield found

    def read(self, n: int) -> Found:
        """One of them, its chain not checked. Raises LedgerBroken where it has no such entry."""
        name, parent = self.id(n), self.id(n - 1) if n else None
        try:
            commit = self.repository.commit(name)
            tree = self.repository.tree(commit.tree)
            listed = {each.name: each for each in tree}
            entry = LedgerEntry.parse(self._blob(listed[ENTRY.encode()].id), n)
        except KeyError:
            raise LedgerBroken(f"commit {name:.12} has no {ENTRY}") from None
        except (Damaged, NotFound, Refused) as error:
            raise LedgerBroken(f"commit {name:.12} cannot be read: {error}") from error
        if commit.parents != ((parent,) if parent else ()):
            raise LedgerBroken(f"commit {name:.12} does not follow the commit of entry {n - 1}")
        named = Named.of(entry)
        wanted = len(named.statements) + len(named.keys) + 1
        strange = [e for e in tree if e.mode != BLOB or not (_known(e.name))]
        if strange or len(tree) > wanted:
            return Found(name, entry, {}, (), "it holds files that are not of its entry")
        return self._whole(name, parent, entry, {e.name.decode(): e.id for e in tree})

    def _whole(
        self, name: str, parent: str | None, entry: LedgerEntry, ids: dict[str, str]
    ) -> Found:
        try:
            files = {file: self._blob(blob) for file, blob in ids.items()}
        except (Damaged, NotFound, Refused) as error:
            return Found(name, entry, {}, (), f"its files cannot be read: {error}")
        blobs = parse(entry, files)
        for digest, raw in blobs.items():
            if Digest.of(raw) != digest:
                return Found(name, entry, {}, (), f"other bytes than those of {digest}")
        again = render(entry, blobs).commit(parent, self.repository.object_format)
        problem = "" if again == name else "its message or its files are not those of its entry"
        named = Named.of(entry)
        missing = tuple(d for d in (*named.statements, *named.keys) if d not in blobs)
        return Found(name, entry, blobs, missing, problem)

    def _blob(self, name: str) -> bytes:
        """Small files are kept for a while: a key is in nearly every commit."""
        known = self._files.get(name)
        if known is None:
            known = self.repository.blob(name, LIMITS.small_object_bytes)
            if len(known) <= 1024:
                if len(self._files) >= 1024:
                    self._files.clear()
                self._files[name] = known
        return known


def _known(name: bytes) -> bool:
    return name == ENTRY.encode() or _FILE.match(name) is not None


@dataclass(frozen=True)
class SignedHead:
    """A head that somebody who is believed has signed, and the bundle that says so."""

    checkpoint: Checkpoint
    by: str
    raw: bytes


def signed_heads(repository: Repository, trust: TrustRoot) -> list[SignedHead]:
    """The signed heads beside the commits whose signers are believed; others are passed over."""
    tags = [ref for ref in repository.refs(CHECKPOINTS) if _number(ref.name) is not None]
    tags.sort(key=lambda ref: _number(ref.name) or 0)
    found = []
    for ref in tags[-LIMITS.ledger_checkpoints :]:
        try:
            message = repository.tag(ref.id).message
            raw = message.rstrip("\n").rpartition("\n")[2].encode()
            bundle = Bundle.parse(raw)
            key = trust.key(bundle.hint)
            if key is None or not trust.has_authorised(key.id, checkpoint.TYPE, checkpoint.SUBJECT):
                continue
            said = checkpoint.parse(bundle.verify(key))
        except (Damaged, NotFound, Refused, BadBundle, BadStatement, SignatureRefused):
            continue
        found.append(SignedHead(said, trust.principal(key.id) or f"key {key.id[:12]}", raw))
    return found


def _number(name: str) -> int | None:
    digits = name.removeprefix(CHECKPOINTS)
    return int(digits) if digits.isascii() and digits.isdigit() and len(digits) <= 12 else None
