"""`stemma import git`: the artifact that a commit holds, published as built from that commit.

Files that are no pointers come out of Git's own objects; the bytes of pointers are in the
registry, or in the repository at hand: among the objects of `git lfs`, or checked out.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.gitobject import EXECUTABLE
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import git_layout
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.predicates.provenance import GitSource
from stemma_attestations.trust import TrustRoot
from stemma_registry import directory, publish
from stemma_registry.blobs.streams import Progress
from stemma_registry.directory import Tree
from stemma_registry.errors import BadTree, BlobMissing
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.intake import Known
from stemma_registry.pointers import contents, lfs_objects, worktree
from stemma_registry.pointers.contents import Contents, Held
from stemma_registry.publish import Published, Push
from stemma_registry.registry import Registry
from stemma_registry.signing import Signer

PATH = "gitPath"  # the parameter that says which path of the commit it is


@dataclass(frozen=True)
class Wanted:
    """What is imported: of which repository (a URL or a path), what, and as what."""

    repository: str
    revision: str
    path: str
    name: NameVersion
    kind: str
    inputs: Sequence[tuple[str, str]] = ()
    parameters: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Imported:
    """What came of it."""

    commit: str
    tree: str
    remote: str | None
    pointers: int
    published: Published


def take(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    repo: Repository,
    wanted: Wanted,
    now: datetime,
    progress: Progress | None = None,
) -> Imported:
    """Publish what a revision holds at a path.

    Raises NotFound, BlobMissing for a pointer whose bytes are nowhere, BadTree, Refused, and what
    `publish` raises.
    """
    commit = repo.resolve(wanted.revision)
    found = contents.read(repo, commit, wanted.path)
    if found.oddities:
        path, what = found.oddities[0]
        raise BadTree(f"{path}: {what}")
    source = GitSource(commit, found.tree, remote=remote_of(repo, wanted.repository))
    parameters = dict(wanted.parameters or {})
    if found.path:
        parameters[PATH] = found.path
    push = Push(
        directory=repo.directory,
        name=wanted.name,
        kind=wanted.kind,
        inputs=wanted.inputs,
        parameters=parameters,
        working_directory=repo.directory,
        stat_cache=False,
        tree=Tree(repo.directory, (), ()),
        known=[_known(repo, held) for held in found.files],
        source=source,
        layout=_layout(found),
    )
    done = publish.publish(registry, trust, signer, push, now, progress)
    return Imported(commit, found.tree, source.remote, len(found.pointers), done)


def remote_of(repo: Repository, named: str) -> str | None:
    """The URL of a repository for others: as it was named, else its `origin`'s."""
    own = public_url(named)
    if own is not None:
        return own
    asked = ("config", "--local", "--no-includes", "--get", "remote.origin.url")
    said = program.run(repo.directory, *asked, accepted=(0, 1))
    return public_url(said.decode(errors="replace").strip()) if said else None


def _layout(found: Contents) -> Layout | None:
    """How the files are committed."""
    some = [held for held in found.files if held.entry.size]
    pointers = [held.entry.path for held in some if held.pointer is not None]
    plain = [held.entry.path for held in some if held.pointer is None]
    programs = [held.entry.path for held in found.files if held.file.mode == EXECUTABLE]
    return git_layout.of(pointers, plain, programs)


def _known(repo: Repository, held: Held) -> Known:
    if held.pointer is None:
        return Known(held.entry, lambda: io.BytesIO(repo.blob(held.file.id)))
    return Known(held.entry, _opening(repo, held))


def _opening(repo: Repository, held: Held) -> Callable[[], BinaryIO] | None:
    """How to open the bytes of a pointer in a repository on this machine; None: they are not."""
    digest, size, root = held.entry.sha256, held.entry.size, repo.worktree
    common = worktree.common(repo.directory)

    def opens() -> BinaryIO | None:
        found = lfs_objects.opened(common, digest, size)
        if found is None and root is not None:
            found = _checked_out(root, held.file.path, size)
        return found

    def again() -> BinaryIO:
        found = opens()
        if found is None:
            raise BlobMissing(f"{held.file.path}: its bytes were here, and are gone")
        return found

    there = opens()
    if there is None:
        return None
    there.close()
    return again


def _checked_out(root: Path, path: str, size: int) -> BinaryIO | None:
    """A file of the work tree that has that size: whoever stores it hashes it."""
    try:
        source = directory.open_beneath(root, path)
    except OSError:
        return None
    if os.fstat(source.fileno()).st_size != size:
        source.close()
        return None
    return source
