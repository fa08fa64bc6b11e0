"""The Git state a job runs from, read through libgit2.

libgit2 runs nothing that a repository configures: no hooks, no fsmonitor, no
external filters or diff drivers, no remote helpers. That is why it is used
here; where it cannot read (SHA-256), `program` calls `git` so that it runs
nothing either.
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from stemma_attestations import canonical, lfs_pointer
from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_attestations.predicates.provenance import GitSource
from stemma_registry.gitrepo import comparing
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.gitrepo.surrounding import surrounding

if TYPE_CHECKING:
    import pygit2

_SCP = re.compile(r"(?:[A-Za-z0-9_.-]+@)?[A-Za-z0-9.-]+:[^:/][^:]*\Z")


@dataclass(frozen=True)
class Captured:
    """What was found: a source, or the reason why there is none."""

    source: GitSource | None
    why_not: str = ""


def capture(working_directory: Path, pushed: Path) -> Captured:
    """The repository around `working_directory`.

    Tracked files count as changed; untracked ones and those below `pushed` do
    not. Never raises: a checkout that cannot be read is recorded as none.
    """
    try:
        import pygit2
    except Exception as error:  # noqa: BLE001 - libgit2 reads certificates as it starts
        return Captured(None, f"libgit2 does not start ({' '.join(str(error).split())})")
    try:
        repository = surrounding(working_directory)
        if repository is None:
            return Captured(None, "not inside a Git checkout")
        if repository.is_empty or repository.head_is_unborn:
            return Captured(None, "the Git repository has no commit yet")
        commit = repository.head.peel(pygit2.Commit)
        changed = _changed(repository, commit, pushed)
        detached = repository.head_is_detached
        return Captured(
            GitSource(
                commit=str(commit.id),
                tree=str(commit.tree.id),
                branch=None if detached else repository.head.shorthand,
                remote=public_remote(repository),
                dirty=bool(changed),
                diff=Digest.of(canonical.dumps(changed)) if changed else None,
            )
        )
    except (pygit2.GitError, KeyError, ValueError, OSError, UnicodeError) as error:
        there = _capture_sha256(working_directory, pushed)
        return there or Captured(None, f"the Git checkout cannot be read ({error})")


def _capture_sha256(working_directory: Path, pushed: Path) -> Captured | None:
    """The same of a SHA-256 repository, which libgit2 does not read; None for any other."""
    try:
        with Repository.open(working_directory) as repository:
            if repository.object_format != "sha256":
                return None
            commit = repository.resolve("HEAD")
            top = repository.worktree
            paths = [] if top is None else comparing.changed(repository, commit, top)
            changed = _outside(paths, top, pushed) if top else []
            return Captured(
                GitSource(
                    commit=commit,
                    tree=repository.commit(commit).tree,
                    branch=repository.branch,
                    remote=public_url(repository.remote or ""),
                    dirty=bool(changed),
                    diff=Digest.of(canonical.dumps(changed)) if changed else None,
                )
            )
    except StemmaError as error:
        return Captured(None, f"the Git checkout cannot be read ({error})")


def _outside(paths: list[str], top: Path, pushed: Path) -> list[dict[str, str | None]]:
    """Paths that do not lie in what is pushed, with the SHA-256 of what is there now."""
    ours = os.path.relpath(os.path.realpath(pushed), os.path.realpath(top))
    kept = [p for p in paths if ours != "." and p != ours and not p.startswith(ours + "/")]
    return [{"path": path, "sha256": _digest(os.path.join(top, path))} for path in kept]


def cited(path: Path, raw: bytes) -> dict[str, str]:
    """The commit that a file stands in as it is, and where in it.

    In a repository, but not like that: `uncommitted`. Outside of any, or where the
    repository cannot be read: nothing.
    """
    try:
        import pygit2
    except Exception:  # noqa: BLE001 - as above
        return {}
    try:
        repository = surrounding(path.resolve().parent)
        if (
            repository is None
            or repository.workdir is None
            or repository.is_empty
            or repository.head_is_unborn
        ):
            return {}
        inside = path.resolve().relative_to(Path(repository.workdir).resolve()).as_posix()
        commit = repository.head.peel(pygit2.Commit)
        blob = _blob(commit, inside)
        committed = blob is not None and blob.data == raw
    except (pygit2.GitError, ValueError, OSError):
        return {}
    return {"gitCommit": str(commit.id), "path": inside} if committed else {"uncommitted": inside}


def _blob(commit: pygit2.Commit, path: str) -> pygit2.Blob | None:
    """The file that is committed at `path`, if one is."""
    import pygit2

    try:
        found = commit.tree[path]
    except KeyError:
        return None
    return found if isinstance(found, pygit2.Blob) else None


def _changed(
    repository: pygit2.Repository, commit: pygit2.Commit, pushed: Path
) -> list[dict[str, str | None]]:
    """Tracked paths that differ from the commit, with the SHA-256 of what is there now."""
    from pygit2.enums import FileStatus

    if repository.workdir is None:
        return []
    top = os.path.realpath(repository.workdir)
    ours = os.path.relpath(os.path.realpath(pushed), top)
    changed: list[dict[str, str | None]] = []
    for path, status in sorted(repository.status(untracked_files="no").items()):
        if status in (FileStatus.CURRENT, FileStatus.IGNORED, FileStatus.WT_NEW):
            continue
        if path == ours or path.startswith(ours + "/") or ours == ".":
            continue
        digest = _digest(os.path.join(top, path))
        if digest is None or digest != _pointed(commit, path):
            changed.append({"path": path, "sha256": digest})
    return changed


def _digest(path: str) -> str | None:
    """SHA-256 of a file; of a link, of its target's text; None of what is not there."""
    try:
        if os.path.islink(path):
            return hashlib.sha256(os.fsencode(os.readlink(path))).hexdigest()
        with open(path, "rb") as source:
            return hashlib.file_digest(source, "sha256").hexdigest()
    except OSError:
        return None


def _pointed(commit: pygit2.Commit, path: str) -> str | None:
    """The oid of the Git LFS pointer that is committed at `path`, if one is.

    libgit2 has no LFS filter: to it a smudged file differs from its pointer.
    """
    blob = _blob(commit, path)
    if blob is None or blob.size > lfs_pointer.MOST:
        return None
    pointer = lfs_pointer.parse(blob.data)
    return pointer.sha256.value if pointer else None


def public_remote(repository: pygit2.Repository) -> str | None:
    """The URL of `origin`, else of the first remote, without credentials."""
    names = list(repository.remotes.names())
    if not names:
        return None
    name = "origin" if "origin" in names else str(names[0])
    return public_url(repository.remotes[name].url or "")


def public_url(url: str) -> str | None:
    """A remote's URL without user, password, query and fragment; None for what is no host's.

    Paths of this machine and `ext::` commands are nobody else's business.
    """
    if "::" in url:
        return None
    if _SCP.match(url):
        host, _, path = url.partition(":")
        return f"ssh://{host.rpartition('@')[2]}/{path}"
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("https", "http", "ssh", "git") or not parts.hostname:
            return None
        host = parts.hostname + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return None
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
