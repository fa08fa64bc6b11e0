"""Where policies come from: a file, best one that is committed, or one that is built in."""

from __future__ import annotations

from pathlib import Path

import pygit2

from stemma_attestations import policies, policy_file
from stemma_attestations.errors import BadPolicy
from stemma_attestations.policy import BUILTIN, Policy
from stemma_attestations.yaml_strict import MAX_BYTES
from stemma_registry import files

SHIPPED = {"builtin": policies.BUILTIN, "starter": policies.STARTER}


def load(named: str | None) -> Policy:
    """The policy in a file, or one of SHIPPED; None is what is built in.

    A file that is named and not there is no policy, and allows nothing: raises
    NotFound, BadPolicy, Unavailable.
    """
    if named is None or named == "builtin":
        return BUILTIN
    if named in SHIPPED:
        return policy_file.parse(SHIPPED[named], f"{named}:v0.1")
    path = Path(named).expanduser()
    raw = files.read(path, "policy", MAX_BYTES)
    try:
        return policy_file.parse(raw, path.name, _cited(path, raw))
    except BadPolicy as error:
        raise BadPolicy(f"{path}: {error}") from error


def _cited(path: Path, raw: bytes) -> dict[str, str]:
    """The commit that the file stands in as it is, and where in it.

    In a repository, but not like that: `uncommitted`. Outside of any: nothing.
    """
    try:
        found = pygit2.discover_repository(str(path.resolve().parent))
        if found is None:
            return {}
        repository = pygit2.Repository(found)
        if repository.workdir is None or repository.is_empty or repository.head_is_unborn:
            return {}
        inside = path.resolve().relative_to(Path(repository.workdir).resolve()).as_posix()
        commit = repository.head.peel(pygit2.Commit)
        committed = _blob(commit.tree, inside) == raw
    except (pygit2.GitError, ValueError, OSError):
        return {}
    return {"gitCommit": str(commit.id), "path": inside} if committed else {"uncommitted": inside}


def _blob(tree: pygit2.Tree, path: str) -> bytes | None:
    try:
        found = tree[path]
    except KeyError:
        return None
    return found.data if isinstance(found, pygit2.Blob) else None
