"""The `git` program, called so that no repository can make it run anything.

It is used where libgit2 cannot be: SHA-256 repositories, and bulk. Only plumbing is called, on
a Git directory that is named. No hook, filter, fsmonitor, pager, helper or transport is reached:
configuration of the user and the system is not read, that of the repository is overridden where
it names programs, and no protocol is allowed (a partial clone does not fetch what it lacks).
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.plain import plain

_SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "false",
    "core.askPass": "false",
    "core.commitGraph": "false",  # it may say other parents than the commits do
    "core.editor": "false",
    "core.gitProxy": "",
    "core.pager": "cat",
    "core.sshCommand": "false",
    "credential.helper": "",
    "diff.external": "",
    "gc.auto": "0",
    "gpg.program": "false",
    "gpg.ssh.program": "false",
    "gpg.x509.program": "false",
    "log.showSignature": "false",
    "maintenance.auto": "false",
    "protocol.allow": "never",
    "safe.bareRepository": "all",
    "safe.directory": "*",  # whoever owns it: nothing of it is run
    "uploadpack.packObjectsHook": "",
}


def located() -> str:
    """Where `git` is. Raises NotFound."""
    found = shutil.which("git")
    if found is None:
        raise NotFound("git is not installed here; install it, for example by apt install git")
    return found


def environment() -> dict[str, str]:
    """What `git` is told: nothing of ours but where programs are."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LC_ALL": "C",
        "GIT_ALLOW_PROTOCOL": "",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_GRAFT_FILE": os.devnull,
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
    }


def command(directory: Path | None, *arguments: str) -> list[str]:
    """The whole command line; `directory` is the Git directory it works on."""
    settings = [part for key, value in _SETTINGS.items() for part in ("-c", f"{key}={value}")]
    where = [] if directory is None else [f"--git-dir={directory}"]
    return [located(), *settings, *where, *arguments]


def run(
    directory: Path | None,
    *arguments: str,
    at: Path = Path("/"),
    stdin: bytes = b"",
    seconds: float | None = None,
    accepted: Iterable[int] = (0,),
) -> bytes:
    """The standard output of one call, made in the folder `at`.

    Raises Refused with Git's own line where it ends with another status than those accepted, and
    Unavailable where it does not end in time.
    """
    within = LIMITS.git_seconds if seconds is None else seconds
    try:
        done = subprocess.run(  # noqa: S603 - plumbing, on arguments of ours
            command(directory, *arguments),
            input=stdin,
            capture_output=True,
            timeout=within,
            env=environment(),
            cwd=at,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"git {arguments[0]} has not ended within {within:g} s") from error
    except (OSError, ValueError) as error:
        raise Refused(f"git {arguments[0]} cannot be started ({error})") from error
    if done.returncode not in tuple(accepted):
        raise Refused(f"git {arguments[0]}: {said(done.stderr) or f'ended with {done.returncode}'}")
    return done.stdout


def said(stderr: bytes) -> str:
    """The line of Git's that says what is wrong, without what a terminal would obey."""
    lines = [line for line in stderr.decode(errors="replace").splitlines() if line.strip()]
    line = next((line for line in lines if line.startswith("fatal: ")), lines[-1] if lines else "")
    return plain(line.removeprefix("fatal: "), 300)
