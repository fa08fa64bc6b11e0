"""What was trained from a range of commits, or from a commit and all that came after it.

git:A..B   what B reaches and A does not, as `git log A..B` has it
git:A..    A, and every commit that contains it
git:REV    a branch, a tag or anything else that names one commit

A and B are what Git takes for a commit. Only a repository knows which commits lie between
others, so one has to be at hand; a shallow one does not know.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_registry.catalogue import commits, query
from stemma_registry.errors import NotFound, Refused
from stemma_registry.gitrepo import bulk
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.registry import Snapshot

SCHEME = "git:"
RELATION = "in-range"
_WHOLE = re.compile(r"git:[0-9a-f]{7,64}\Z")


@dataclass(frozen=True)
class Outside:
    """Commits that the registry knows and a repository does not have."""

    count: int
    repository: Path


def is_revision(text: str) -> bool:
    """Whether only a repository can tell what it means."""
    return text.startswith(SCHEME) and _WHOLE.match(text) is None


def start(view: Snapshot, text: str, direction: Direction, place: Path) -> int | Origin:
    """The node of one commit, or the start of a trace from several.

    Raises NotFound, Refused and Unavailable.
    """
    first, dots, last = text.removeprefix(SCHEME).partition("..")
    with Repository.open(place) as repository:
        if not dots:
            commit = repository.resolve(first)
            node = query.node_id(view.connection, Digest("gitCommit", commit))
            if node is None:
                raise NotFound(f"no statement speaks about the commit {commit} ({first})")
            return node
        if direction is Direction.UP:
            raise Refused("a range of commits is traced downward; --up takes one commit")
        repository.require_whole()
        whole = (first, last) if last else None
        found = between(view, repository, *whole) if whole else since(view, repository, first)
    if not found:
        raise NotFound(f"no statement speaks about a commit of {text}")
    edges = (TraceEdge(ORIGIN, found[one], RELATION, path=one[:12]) for one in sorted(found))
    return Origin(text, "commits", tuple(edges))


def between(view: Snapshot, repository: Repository, first: str, last: str) -> dict[str, int]:
    """The nodes of the commits that `last` reaches and `first` does not."""
    exclude = [repository.resolve(first)] if first else []
    ids = repository.between([repository.resolve(last)], exclude)
    return commits.among(view.connection, ids)


def since(view: Snapshot, repository: Repository, first: str) -> dict[str, int]:
    """The nodes of a commit and of all that contain it.

    A commit counts that no branch has any more: something may have been trained from it.
    """
    known, begin = commits.everyone(view.connection), repository.resolve(first)
    after = repository.descendants(begin, sorted(bulk.kinds(repository, known)))
    return {one: node for one, node in known.items() if one == begin or one in after}


def outside(view: Snapshot, place: Path) -> Outside:
    """How many commits of the registry a range cannot have considered."""
    with Repository.open(place) as repository:
        known = commits.everyone(view.connection)
        here = bulk.kinds(repository, known)
        return Outside(len(known) - len(here), repository.worktree or repository.directory)
