"""Writing a tag: by the user's own `git tag`, in the user's own repository.

This is a write that the user asked for: configuration, signing program and hooks are the user's.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass

from stemma_attestations import gto
from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, NotFound, Refused, Unavailable
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.tagging.reading import PREFIX


@dataclass(frozen=True)
class Created:
    """A tag that is there now: its name, the id of its object, and the commit."""

    tag: str
    id: str
    commit: str


def create(
    repository: Repository, wanted: str, revision: str, message: str | None, *, sign: bool
) -> Created:
    """Tag a commit; `NAME#STAGE` gets the next number. Signed by the user's configuration.

    Raises BadName, NotFound, AlreadyThere, Refused, Unavailable.
    """
    present = {name.removeprefix(PREFIX) for name in repository.named(PREFIX)}
    tag = gto.numbered(wanted, present)
    if tag in present:
        raise AlreadyThere(f"there is a tag {tag}, and tags are not moved")
    commit = repository.resolve(revision)
    said = gto.parse(tag)
    text = message or f"{said.act if said else 'tag'} {tag}"
    how = "--sign" if sign else "--annotate"
    heard = _git(repository, "tag", how, "-m", text, "--", tag, commit)
    made = [ref for ref in repository.refs(PREFIX + tag) if ref.name == PREFIX + tag]
    if not made or made[0].peeled != commit:
        raise NotFound(f"git tag ended well, and there is no tag {tag} of {commit[:12]}")
    if sign and repository.tag(made[0].id).signed is None:
        # Git 2.39 does so where it finds no key of SSH, and ends well.
        _git(repository, "update-ref", "-d", PREFIX + tag, made[0].id)
        raise Refused(f"git tag signed nothing ({heard or 'see user.signingKey'}); no tag was made")
    return Created(tag, made[0].id, commit)


def _git(repository: Repository, *arguments: str) -> str:
    """One call as the user's; what it says on stderr, for people."""
    where = str(repository.worktree or repository.directory)
    command = [program.located(), "-C", where, *arguments]
    try:
        done = subprocess.run(  # noqa: S603 - what the user asked for
            command, capture_output=True, timeout=LIMITS.git_sign_seconds, check=False
        )
    except subprocess.TimeoutExpired as error:
        within = f"{LIMITS.git_sign_seconds:g} s"
        raise Unavailable(f"git {arguments[0]} has not ended within {within}") from error
    except OSError as error:
        raise Refused(f"git {arguments[0]} cannot be started ({error})") from error
    said = program.said(done.stderr)
    if done.returncode:
        raise Refused(f"git {arguments[0]}: {said or f'ended with {done.returncode}'}")
    return said
