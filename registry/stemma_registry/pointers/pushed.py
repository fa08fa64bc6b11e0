"""Pointers that a range of commits adds or changes, and whether the registry vouches for them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from stemma_attestations import lfs_pointer
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName, NotVerified, Quarantined, StemmaError, Undecided
from stemma_attestations.lfs_pointer import Pointer
from stemma_attestations.manifest import Entry
from stemma_attestations.observed import Observed
from stemma_attestations.verify import explain
from stemma_registry import directory, gate
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.gate import Subject, Terms
from stemma_registry.gitrepo import bulk, program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.lineage import erased, status
from stemma_registry.pointers.contents import EXTENDED
from stemma_registry.reference import resolve
from stemma_registry.registry import Registry, Snapshot

_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?\Z")
# Bytes and ids only, of a merge what differs from every parent; nothing that is configured runs.
_RAW: tuple[str, ...] = (
    "--stdin",
    "-z",
    "-r",
    "-c",
    "--root",
    "--raw",
    "--no-renames",
    "--no-abbrev",
)
_RAW += ("--no-ext-diff", "--no-textconv")
_FILE = "100"  # how modes of regular files begin


class State(StrEnum):
    """What is to be said of a pointer, best first."""

    VERIFIED = "verified"
    UNDECIDED = "undecided"
    MISSING = "missing"
    UNVERIFIED = "unverified"
    QUARANTINED = "quarantined"


MEND = {
    State.MISSING: "`stemma add` or `stemma push` it first",
    State.UNVERIFIED: "`stemma verify` of the artifact that it is in says what is missing",
    State.QUARANTINED: "point to another version, or have the quarantine released",
    State.UNDECIDED: "try again when the registry can be reached",
}


@dataclass(frozen=True)
class Changed:
    """A pointer as a commit has it; `path` may hold anything that Git lets."""

    commit: str
    path: str
    pointer: Pointer


@dataclass(frozen=True)
class Vouched:
    """What the registry says of it. `why` is for people; `artifact` the one that verifies."""

    changed: Changed
    state: State
    why: str
    artifact: str | None = None


@dataclass(frozen=True)
class Line:
    """One reference that a push changes, as Git tells its hook; an id of zeros is none."""

    local: str
    remote_ref: str
    remote: str

    @property
    def deletes(self) -> bool:
        """Whether it takes the reference away."""
        return not self.local.strip("0")


def lines(text: str) -> list[Line]:
    """What a pre-push hook is told. Raises Refused."""
    found = []
    for line in text.splitlines():
        parts = line.split(" ")
        if len(parts) != 4 or not (_ID.match(parts[1]) and _ID.match(parts[3])):
            raise Refused(f"not a line that Git gives a pre-push hook: {line!r:.200}")
        found.append(Line(parts[1], parts[2], parts[3]))
    return found


def of_push(repo: Repository, remote: str, pushed: Sequence[Line]) -> list[Changed]:
    """What a push adds, beyond what the remote had when it was last seen. Raises Refused."""
    wanted = []
    for line in pushed:
        if line.deletes:
            continue
        try:
            wanted.append(repo.resolve(line.local))
        except NotFound as error:
            raise Refused(
                f"{line.remote_ref!r:.200} is no commit, so it is not looked at"
            ) from error
    if not wanted:
        return []
    known = {line.remote for line in pushed if line.remote.strip("0")}
    known = set(bulk.kinds(repo, known))
    known |= {ref.peeled for ref in repo.refs(f"refs/remotes/{remote}/") if _is_name(remote)}
    return among(repo, repo.between(wanted, sorted(known)))


def _is_name(remote: str) -> bool:
    """Whether it is a remote's name: of a URL nothing was remembered."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._/-]*", remote) is not None


def of_range(repo: Repository, text: str) -> list[Changed]:
    """What BASE..HEAD adds, commit by commit. Raises NotFound, BadName."""
    base, dots, head = text.partition("..")
    if not dots or not base or not head or head.startswith("."):
        raise BadName(f"{text!r:.200} is no range; write BASE..HEAD")
    return among(repo, repo.between([repo.resolve(head)], [repo.resolve(base)]))


def among(repo: Repository, commits: Sequence[str]) -> list[Changed]:
    """The pointers that these commits add or change, each with the oldest that does.

    Raises Refused past the limits.
    """
    if len(commits) > LIMITS.pushed_commits:
        raise Refused(
            f"{len(commits)} commits, and at most {LIMITS.pushed_commits} are looked at; "
            "push older ones first"
        )
    blobs: dict[tuple[str, str], str] = {}
    for commit, name, path in _changes(repo, commits):
        blobs[name, path] = commit  # newest first: the oldest stays
    small = _small(repo, {name for name, _ in blobs})
    found: dict[str, Pointer | None] = {}
    changed = []
    for (name, path), commit in blobs.items():
        if name not in small:
            continue
        if name not in found:
            found[name] = lfs_pointer.parse(repo.blob(name, lfs_pointer.MOST))
        pointer = found[name]
        if pointer is not None:
            changed.append(Changed(commit, path, pointer))
    if len(changed) > LIMITS.pushed_pointers:
        raise Refused(f"more than {LIMITS.pushed_pointers} pointers; push in smaller steps")
    return sorted(changed, key=lambda one: one.path)


def _changes(repo: Repository, commits: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Commit, blob and path of each regular file that is not what all of its parents have."""
    stdin = "".join(f"{commit}\n" for commit in commits).encode()
    told = program.run(repo.directory, "diff-tree", *_RAW, stdin=stdin)
    commit, parts = "", iter(told.split(b"\0"))
    for part in parts:
        if not part.startswith(b":"):
            commit = part.decode(errors="replace") or commit
            continue
        path = os.fsdecode(next(parts, b""))
        head = part.lstrip(b":").decode(errors="replace").split(" ")
        parents = len(part) - len(part.lstrip(b":"))
        mode, name = head[parents], head[2 * parents + 1]
        if mode.startswith(_FILE) and name.strip("0"):
            yield commit, name, path


def _small(repo: Repository, names: set[str]) -> set[str]:
    """Those of these blobs that are no longer than a pointer. Raises Unavailable for one lost."""
    asked = ("cat-file", "--batch-check=%(objectname) %(objecttype) %(objectsize)", "--buffer")
    stdin = "".join(f"{name}\n" for name in sorted(names)).encode()
    small = set()
    for line in program.run(repo.directory, *asked, stdin=stdin).decode().splitlines():
        name, kind, *size = line.split(" ")
        if kind != "blob" or not size:
            raise Unavailable(f"the repository lacks the object {name}; `git fsck` says more")
        if int(size[0]) <= lfs_pointer.MOST:
            small.add(name)
    return small


def judge(
    registry: Registry, view: Snapshot, changed: Sequence[Changed], terms: Terms
) -> list[Vouched]:
    """What the registry says of each pointer. Raises LedgerBroken, Unavailable."""
    asking = _Asking(registry, view, terms)
    return [asking.vouch(one) for one in changed]


@dataclass
class _Asking:
    registry: Registry
    view: Snapshot
    terms: Terms
    _known: dict[Pointer, Vouched] = field(default_factory=dict)
    _artifacts: dict[int, tuple[str, StemmaError | None]] = field(default_factory=dict)

    def vouch(self, one: Changed) -> Vouched:
        """Asked once for each pointer, in however many places it is."""
        if one.pointer not in self._known:
            self._known[one.pointer] = self._asked(one)
        return replace(self._known[one.pointer], changed=one)

    def _asked(self, one: Changed) -> Vouched:
        pointer = one.pointer
        if pointer.extended:
            return Vouched(one, State.UNVERIFIED, EXTENDED)
        node = query.node_id(self.view.connection, pointer.sha256)
        rows = query.containers(self.view.connection, [node]) if node is not None else ()
        ids = sorted({row.artifact_id for row in rows}, reverse=True)
        size = self.registry.store.size(pointer.sha256)
        failures = list[StemmaError]()
        for artifact in ids[: LIMITS.names]:
            label, failure = self._artifact(artifact)
            if failure is None and size == pointer.size:
                return Vouched(one, State.VERIFIED, f"a file of {label}", label)
            if failure is not None:
                failures.append(failure)
        stopped = [str(f) for f in failures if isinstance(f, Quarantined)]
        if node is not None and not stopped:
            stops = status.view(self.view, node, None).stops
            stopped = ["; ".join(explain(stop)) for stop in stops]
        if stopped:
            return Vouched(one, State.QUARANTINED, stopped[0])
        if size is None:
            return Vouched(one, State.MISSING, "the registry does not have its bytes")
        if size != pointer.size:
            why = f"it says {pointer.size} bytes, and there are {size}"
            return Vouched(one, State.UNVERIFIED, why)
        if len(ids) > LIMITS.names:
            why = f"its bytes are in {len(ids)} artifacts, of which {LIMITS.names} were asked"
            return Vouched(one, State.UNDECIDED, why)
        return self._worst(one, failures)

    def _worst(self, one: Changed, failures: Sequence[StemmaError]) -> Vouched:
        definite = [f for f in failures if not isinstance(f, Undecided)]
        if definite:
            return Vouched(one, State.UNVERIFIED, str(definite[0]))
        if failures:
            return Vouched(one, State.UNDECIDED, str(failures[0]))
        return Vouched(one, State.UNVERIFIED, "its bytes are there, and no artifact has them")

    def _artifact(self, node: int) -> tuple[str, StemmaError | None]:
        """An artifact's label, and why the gate says no to it; None where it says yes."""
        if node not in self._artifacts:
            (digest,) = query.digests(self.view.connection, [node]).values()
            try:
                self._artifacts[node] = self._gate(digest), None
            except NotVerified as error:
                self._artifacts[node] = digest.short, error
            except NotFound as error:
                self._artifacts[node] = digest.short, NotVerified(str(error))
        return self._artifacts[node]

    def _gate(self, digest: Digest) -> str:
        """The gate's verdict on an artifact whose bytes are in the store, as their sizes say.

        Bytes are hashed whenever they are read from the store: here they are not.
        """
        found = resolve(self.view, str(digest))
        manifest = gate.load_manifest(self.registry, self.view, found)
        stones = erased.inside(self.view, manifest, found.name.name if found.name else None)

        def look(entry: Entry) -> tuple[str, str] | None:
            stone, size = stones.get(entry.sha256), self.registry.store.size(entry.sha256)
            if stone is not None and stone.believed:
                return entry.path, stone.text
            return None if size == entry.size else (entry.path, "missing from the store")

        looked = directory.in_parallel(look, manifest.entries, LIMITS.transfers)
        odd = sorted(what for what in looked if what is not None)
        gone = {path for path, _ in odd}
        there = tuple(entry for entry in manifest.entries if entry.path not in gone)
        how = (found.label, str(manifest.digest))
        subject = Subject(str(digest), found, manifest, Observed(there, tuple(odd)), how)
        gate.judge(self.registry, self.view, subject, self.terms)
        return found.label


def refused(vouched: Iterable[Vouched]) -> list[Vouched]:
    """Those that are not to be pushed, worst first."""
    order = list(State)
    found = [one for one in vouched if one.state is not State.VERIFIED]
    return sorted(found, key=lambda one: (-order.index(one.state), one.changed.path))
