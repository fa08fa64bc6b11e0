"""`stemma diff`: what differs between the bytes that two states of a repository mean.

A state is a commit, the work tree, or an artifact of the registry. Of a commit and the work tree
only what Git LFS has counts, unless an artifact is the other state: that is whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_registry import directory
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.directory import Found, Tree
from stemma_registry.errors import BadTree, NotFound
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.pointers import attributes, contents, worktree
from stemma_registry.pointers.worktree import Place
from stemma_registry.reference import labels
from stemma_registry.registry import Snapshot

State = Mapping[str, Entry]


@dataclass(frozen=True)
class Change:
    """One path: `old` is None where it was added, `new` where it was removed."""

    path: str
    old: Entry | None
    new: Entry | None

    @property
    def word(self) -> str:
        """added, removed, changed."""
        if self.old is None:
            return "added"
        return "changed" if self.new is not None else "removed"


def between(old: State, new: State) -> list[Change]:
    """What differs, by path."""
    paths = sorted(old.keys() | new.keys())
    pairs = ((path, old.get(path), new.get(path)) for path in paths)
    return [
        Change(path, before, after)
        for path, before, after in pairs
        if before is None or after is None or before.sha256 != after.sha256
    ]


def states(
    repo: Repository,
    place: Place,
    revisions: Sequence[str],
    manifest: Manifest | None = None,
    progress: Progress | None = None,
) -> tuple[State, State]:
    """The two that are compared, the older first.

    Without a manifest: the first revision (else HEAD), and the second (else the work tree). With
    one: the artifact, and the revision (else the work tree). Raises NotFound, Refused, BadTree.
    """
    inside = place.inside
    if manifest is not None:
        old = of_artifact(manifest, place.folder)
        if revisions:
            return old, of_commit(repo, revisions[0], inside, everything=True)
        return old, of_work_tree(place, old, progress, everything=True)
    old = of_commit_or_nothing(repo, revisions[0] if revisions else "HEAD", inside)
    if len(revisions) > 1:
        return old, of_commit_or_nothing(repo, revisions[1], inside)
    return old, of_work_tree(place, old, progress)


def of_commit(repo: Repository, revision: str, path: str, *, everything: bool = False) -> State:
    """The pointers of a commit at a path, by their paths in the repository; or all its files."""
    held = contents.read(repo, repo.resolve(revision), path)
    chosen = held.files if everything else held.pointers
    return {one.file.path: one.entry for one in chosen}


def of_commit_or_nothing(repo: Repository, revision: str, path: str) -> State:
    """The pointers of a commit at a path; none where it has no such path. Raises NotFound."""
    commit = repo.resolve(revision)
    try:
        repo.at(commit, path)
    except NotFound:
        return {}
    return of_commit(repo, commit, path)


def of_artifact(manifest: Manifest, path: str) -> State:
    """The files of an artifact, as if it stood at a path of the repository."""
    prefix = f"{path}/" if path else ""
    return {prefix + entry.path: entry for entry in manifest.entries}


def of_work_tree(
    place: Place, also: Iterable[str], progress: Progress | None = None, *, everything: bool = False
) -> State:
    """What lies at a place: pointers as they say, files that Git LFS has, and those of `also`.

    Their bytes are hashed. Raises BadTree, Unavailable.
    """
    found: dict[str, Entry] = {}
    whole: list[Found] = []
    files = worktree.tracked(place)
    named = set(also) | attributes.filtered(place, (file.path for file in files))
    for file in files:
        pointer = worktree.pointer_at(place.root, file)
        if pointer is not None:
            found[file.path] = Entry(file.path, pointer.size, pointer.sha256)
        elif everything or (file.path in named and file.stat.st_size):
            whole.append(file)
    observed = directory.observe(Tree(place.root, tuple(whole), ()), progress)
    if observed.oddities:
        raise BadTree(f"{observed.oddities[0][0]} is {observed.oddities[0][1]}")
    return found | {entry.path: entry for entry in observed.entries}


def holders(view: Snapshot, changes: Iterable[Change]) -> dict[Digest, list[str]]:
    """The artifacts that have each file, by their names; at most so many."""
    blobs = {e.sha256 for c in changes for e in (c.old, c.new) if e is not None}
    nodes = {blob: query.node_id(view.connection, blob) for blob in blobs}
    parts = query.containers(view.connection, [node for node in nodes.values() if node is not None])
    kept: dict[int, list[int]] = {}
    for part in parts:
        those = kept.setdefault(part.blob_id, [])
        if len(those) < LIMITS.listed and part.artifact_id not in those:
            those.append(part.artifact_id)
    names = labels(view, {artifact for those in kept.values() for artifact in those})
    return {
        blob: sorted(names[artifact] for artifact in kept.get(node, ()))
        for blob, node in nodes.items()
        if node is not None
    }


def repository_at(path: Path) -> tuple[Repository, Place]:
    """The repository around a path, and the path in it."""
    place = worktree.find(path)
    return Repository.open(place.root), place
