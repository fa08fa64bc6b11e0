"""The pre-push hook: where Git looks for it, and how it is put there beside others."""

from __future__ import annotations

import os
import secrets
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, Refused, Unavailable
from stemma_registry.files import make_directory
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository

NAME, BEFORE = "pre-push", "pre-push.before-stemma"
_MARK = "# Written by `stemma hook install`."
SCRIPT = f"""\
#!/bin/sh
{_MARK} Pushes no pointer that the registry does not vouch for.
# `git push --no-verify` pushes without asking. What was here before is called afterwards.
refs=$(cat; echo .)
refs=${{refs%.}}
printf %s "$refs" | stemma hook pre-push --repo "$(git rev-parse --absolute-git-dir)" "$@" || exit 1
before=$(dirname "$0")/{BEFORE}
if [ -x "$before" ]; then
  printf %s "$refs" | "$before" "$@" || exit 1
fi
"""


@dataclass(frozen=True)
class Installed:
    """Where it is; `before` is the hook that was there and is called afterwards."""

    path: Path
    before: Path | None
    unchanged: bool


def install(repo: Repository) -> Installed:
    """Put the hook where Git looks for it. Raises Refused, AlreadyThere, Unavailable."""
    folder = _folder(repo)
    path, before = folder / NAME, folder / BEFORE
    try:
        make_directory(folder)
        if path.is_symlink():
            raise Refused(f"{path} is a link; add to what it leads to: {_line()}")
        there = path.read_bytes() if path.exists() else None
        if there is not None and _MARK.encode() in there:
            if there == SCRIPT.encode() and os.access(path, os.X_OK):
                return Installed(path, before if before.exists() else None, True)
        elif there is not None:
            _keep(path, before)
        _write(path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
    return Installed(path, before if before.exists() else None, False)


def _keep(path: Path, before: Path) -> None:
    """Give the hook that is there a second name, before ours takes the first."""
    if before.exists() or before.is_symlink():
        raise AlreadyThere(f"{path} and {before} are both there; add to the first: {_line()}")
    os.link(path, before)


def _line() -> str:
    return 'stemma hook pre-push --repo "$(git rev-parse --absolute-git-dir)" "$@" || exit 1'


def _write(path: Path) -> None:
    work = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        work.write_text(SCRIPT)
        work.chmod(0o755)
        os.replace(work, path)
    finally:
        work.unlink(missing_ok=True)


def _folder(repo: Repository) -> Path:
    """Where Git looks for hooks here, by the user's own configuration (`core.hooksPath`).

    The plain `git` is asked: `rev-parse` runs nothing. A relative path is one of the work tree.
    """
    where = repo.worktree or repo.directory
    try:
        done = subprocess.run(  # noqa: S603 - arguments of ours
            [program.located(), "rev-parse", "--git-path", "hooks"],
            cwd=where,
            capture_output=True,
            timeout=LIMITS.git_seconds,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"git cannot be asked where hooks are ({error})") from error
    if done.returncode != 0:
        raise Refused(f"git rev-parse: {program.said(done.stderr)}")
    return where / os.fsdecode(done.stdout.removesuffix(b"\n"))
