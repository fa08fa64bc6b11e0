"""A repository that is elsewhere, fetched into a private bare one; nothing of it is run.

Transports are https and ssh, with the credentials and proxies that the user's own configuration
of Git names. The host decides nothing but the bytes: they go into one pack, checked by Git
object by object, within bounds of time, disk and memory. A path is not fetched: it is read where
it is (`repository.Repository`).
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import cast
from urllib.parse import unquote, urlsplit

from stemma_attestations import gitobject
from stemma_attestations.gitobject import ObjectFormat
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused, Unavailable
from stemma_registry.files import make_directory
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository

EVERYTHING = ("HEAD", "refs/heads/*", "refs/tags/*")
_URL = re.compile(r"(?!-)[^\x00-\x20\x7f]{1,2000}\Z")
_SCP = re.compile(r"(?:[A-Za-z0-9_.][A-Za-z0-9_.-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*:(?![/:-])[^:]+\Z")
_ASKED = re.compile(
    r"(?![-+/])(?!.*(?:\.\.|//|@\{))[^\x00-\x20\x7f:^~?*\[\\]{1,500}(?:(?<=/)\*)?\Z"
)
_LOOPBACK = ("127.0.0.1", "::1", "localhost")
# Of the user's, on top of what `program` says of every call: whose proxies and agent they are.
_THEIRS = (
    "HOME",
    "XDG_CONFIG_HOME",
    "SSH_AUTH_SOCK",
    "https_proxy",
    "HTTPS_PROXY",
    "http_proxy",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
)

_SETTINGS: Mapping[str, str] = {
    "core.hooksPath": os.devnull,
    "core.fsmonitor": "false",
    "core.alternateRefsCommand": "false",
    "core.askPass": "false",
    "core.bigFileThreshold": "16m",  # a larger blob is hashed as it passes, not held in memory
    "core.commitGraph": "false",
    "core.packedGitLimit": "512m",  # what is mapped counts as memory
    "core.packedGitWindowSize": "32m",
    "fetch.fsckObjects": "true",
    # What old programs wrote, and much that is good has in its history.
    "fetch.fsck.zeroPaddedFilemode": "ignore",
    "fetch.fsck.missingSpaceBeforeDate": "ignore",
    "fetch.fsck.badTimezone": "ignore",
    "fetch.recurseSubmodules": "false",
    "fetch.unpackLimit": "1",  # one pack, however few objects
    "fetch.writeCommitGraph": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "pack.threads": "1",  # memory is counted for each
    "protocol.allow": "never",
    "safe.bareRepository": "all",
    "submodule.recurse": "false",
    "transfer.bundleURI": "false",
    "transfer.fsckObjects": "true",
}


def is_url(text: str) -> bool:
    """Whether this names a repository elsewhere: `scheme://` but `file://`, or `host:path`."""
    if Path(text).exists() or text.startswith(("/", "./", "../", "~", "file://")):
        return False
    return "://" in text or "::" in text or _SCP.match(text) is not None


def fetched(
    url: str,
    into: Path,
    refs: Sequence[str] = EVERYTHING,
    *,
    depth: int | None = None,
) -> Repository:
    """The repository at `url`, fetched into the bare one at `into`, which is made if need be.

    `refs` are whole names of references (`refs/tags/v1`), prefixes of them (`refs/tags/*`), and
    at most one revision as the host resolves it (`HEAD`, `main`, `v1`, a whole id), which becomes
    the HEAD of `into`. What the host no longer has is pruned. A path, or a `file://` URL, is
    opened where it is, and `into` is not touched. Raises NotFound, Refused, Unavailable.
    """
    if not is_url(url):
        return Repository.open(_path(url))
    scheme = _scheme(url)
    asked = [ref for ref in refs if not ref.startswith("refs/")]
    if len(asked) > 1 or not all(_ASKED.match(ref) for ref in refs):
        raise Refused(f"cannot fetch {', '.join(refs)!r:.200}: not names of references")
    object_format, has_head = _told(url, scheme)
    if asked == ["HEAD"] and not has_head:
        asked = []
    _prepare(into, object_format)
    specs = [f"+{ref}:{ref}" for ref in refs if ref.startswith("refs/")]
    specs += [f"+{ref}:refs/stemma/head" for ref in asked]
    if specs:
        shallow = [] if depth is None else [f"--depth={depth}"]
        options = ["--quiet", "--no-tags", "--prune", "--force", "--update-head-ok", *shallow]
        options += ["--no-recurse-submodules", "--no-write-fetch-head", "--no-auto-maintenance"]
        _run(scheme, into, "fetch", *options, "--", url, *specs)
    found = Repository.open(into)
    if asked:
        head = found.resolve("refs/stemma/head")
        program.run(into, "update-ref", "--no-deref", "HEAD", head)
    return found


def _path(url: str) -> Path:
    if not url.startswith("file://"):
        return Path(url).expanduser()
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost"):
        raise Refused(f"{url:.200} is no path of this machine")
    return Path(unquote(parts.path))


def _scheme(url: str) -> str:
    """The transport that a URL names. Raises Refused for one that is not used."""
    if not _URL.match(url) or "::" in url.partition("/")[0]:
        raise Refused(f"{url!r:.200} is no URL of a repository; write https://, or ssh://")
    if _SCP.match(url):
        return "ssh"
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError as error:
        raise Refused(f"{url:.200} is no URL ({error})") from error
    local = parts.scheme == "http" and host in _LOOPBACK
    if not (parts.scheme in ("https", "ssh") or local) or not host or host.startswith("-"):
        raise Refused(f"{url:.200} is not fetched: only https:// and ssh:// are")
    return parts.scheme


def _told(url: str, scheme: str) -> tuple[ObjectFormat, bool]:
    """The object format of a repository, by its first reference, and whether it has a HEAD."""
    said = _run(scheme, None, "ls-remote", "--quiet", "--", url, "HEAD", seconds=LIMITS.git_seconds)
    first, _, name = said.partition(b"\n")[0].partition(b"\t")
    if not first:
        every = _run(scheme, None, "ls-remote", "--quiet", "--", url, seconds=LIMITS.git_seconds)
        first = every.partition(b"\t")[0]
    for known, digits in gitobject.DIGITS.items():
        if len(first) == digits:
            return cast("ObjectFormat", known), name == b"HEAD"
    return "sha1", False


def _prepare(into: Path, object_format: ObjectFormat) -> None:
    """A bare repository at `into`, of ours alone. Raises Refused where another one is there."""
    if (into / "HEAD").is_file():
        with Repository.open(into) as there:
            if there.object_format != object_format or there.directory != into.resolve():
                raise Refused(f"{into} holds another repository; remove it")
        return
    try:
        make_directory(into)
        into.chmod(0o700)
    except OSError as error:
        raise Unavailable(f"cannot write {into}: {error.strerror}") from error
    made = ("--quiet", "--bare", "--template=", f"--object-format={object_format}")
    program.run(None, "init", *made, "--", str(into.resolve()))


def _run(
    scheme: str, directory: Path | None, *arguments: str, seconds: float | None = None
) -> bytes:
    """One call that may reach the network; what it writes is measured as it goes."""
    url = arguments[arguments.index("--") + 1]  # what it says of it may hold a password
    within = LIMITS.git_fetch_seconds if seconds is None else seconds
    settings = {**_SETTINGS, f"protocol.{scheme}.allow": "always"}
    flags = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
    where = [] if directory is None else [f"--git-dir={directory}"]
    with TemporaryFile() as out, TemporaryFile() as err:
        try:
            process = subprocess.Popen(  # noqa: S603 - arguments of ours, and a URL behind `--`
                [program.located(), *flags, *where, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=_environment(scheme),
                cwd="/",
                start_new_session=True,  # no terminal to ask at, and one group to end
                preexec_fn=_bound,  # noqa: PLW1509 - three calls into the kernel, no locks
            )
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            raise Unavailable(f"git cannot be started ({error})") from error
        try:
            _watch(process, directory, arguments[0], within)
        finally:
            _end(process)
        err.seek(0)
        out.seek(0)
        said = program.said(err.read(1 << 20).replace(url.encode(), b"the repository"))
        if process.returncode != 0:
            raise _failure(said, process.returncode)
        return out.read(1 << 20)


def _failure(said: str, status: int) -> NotFound | Unavailable:
    text = said or f"git ended with {status}"
    missing = "couldn't find remote ref" in text or "not our ref" in text
    return NotFound(text) if missing else Unavailable(f"the repository cannot be fetched: {text}")


def _watch(
    process: subprocess.Popen[bytes], directory: Path | None, what: str, within: float
) -> None:
    """Wait for the end. Raises Unavailable past the time, Refused past the room."""
    until = time.monotonic() + within
    before = _size(directory) if directory is not None else 0
    pause = 0.01
    while True:
        try:
            process.wait(pause)
        except subprocess.TimeoutExpired:
            pause = min(0.2, pause * 2)
        else:
            return
        if time.monotonic() > until:
            raise Unavailable(f"git {what} has not ended within {within:g} s")
        if directory is not None and _size(directory) - before > LIMITS.git_fetch_bytes:
            raise Refused(f"a repository that sends more than {LIMITS.git_fetch_bytes} bytes")


def _size(directory: Path) -> int:
    """Bytes below a Git directory's packs, which is where all goes that is fetched."""
    size = 0
    for root, _, names in os.walk(directory / "objects"):
        for name in names:
            try:
                size += os.lstat(os.path.join(root, name)).st_size
            except OSError:
                continue  # renamed meanwhile
    return size


def _end(process: subprocess.Popen[bytes]) -> None:
    """The whole group: transports are children of their own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _bound() -> None:
    """In the child: what one process may hold, write at once, and leave behind as it dies."""
    resource.setrlimit(resource.RLIMIT_AS, (LIMITS.git_fetch_memory, LIMITS.git_fetch_memory))
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMITS.git_fetch_bytes, LIMITS.git_fetch_bytes))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _environment(scheme: str) -> dict[str, str]:
    ours = program.environment()
    for name in ("HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM"):
        ours.pop(name)
    theirs = {name: os.environ[name] for name in _THEIRS if name in os.environ}
    return {**ours, **theirs, "GIT_ALLOW_PROTOCOL": scheme}
