"""REPO@REV: a repository by its URL or path, and a revision in it."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from stemma_registry.errors import Refused
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.fetching import fetched, is_url
from stemma_registry.gitrepo.repository import Repository

_HOST = re.compile(r"[a-z0-9+]+://[^/]*/|[^/:]*:")  # what is before a URL's path
_AT = re.compile(r"(?<=[^/])@(?=.)")


@dataclass(frozen=True)
class AtHand:
    """A repository that can be read, the revision in it, and how the repository is called."""

    repo: Repository
    revision: str
    label: str


def split(text: str) -> tuple[str, str | None]:
    """Repository and revision; no `@` that is part of a URL's host, or of a path, is taken.

    A revision may have an `@` itself, as GTO's tags have: `.@models/qa@v1.0.0`.
    """
    if Path(text).exists():
        return text, None
    if is_url(text):
        return _of_url(text)
    for at in reversed([i for i, c in enumerate(text) if c == "@"]):
        before, revision = text[:at], text[at + 1 :]
        if revision and ":" not in revision and before and _path(before).is_dir():
            return before, revision
    before, at_, revision = text.rpartition("@")
    if not at_ or ":" in revision or not revision:
        return text, None
    if not before:
        raise Refused(f"{text!r:.200} names no repository; write REPO@REV, or .@REV")
    return before, revision


def _of_url(text: str) -> tuple[str, str | None]:
    """The same of a URL: the first `@` in its path that begins no folder's name."""
    host = _HOST.match(text)
    path = text[host.end() :] if host else ""
    found = _AT.search(path)
    if found is None or ":" in path[found.end() :]:
        return text, None
    return text[: len(text) - len(path) + found.start()], path[found.end() :]


@contextlib.contextmanager
def at_hand(text: str) -> Iterator[AtHand]:
    """What REPO@REV names, to be read; of one elsewhere just that revision is fetched.

    Raises NotFound, Refused, Unavailable.
    """
    where, revision = split(text)
    if not is_url(where):
        with Repository.open(_there(where)) as repo:
            yield AtHand(repo, revision or "HEAD", where)
        return
    with (
        TemporaryDirectory(prefix="stemma-git-") as folder,
        fetched(where, Path(folder) / "fetched", [revision or "HEAD"], depth=1) as repo,
    ):
        yield AtHand(repo, "HEAD", public_url(where) or "the repository")


def _there(where: str) -> Path:
    path = _path(where)
    if not path.is_dir():
        raise Refused(f"{where!r:.200} is no folder; name the one that holds the repository")
    return path


def _path(where: str) -> Path:
    return Path(where.removeprefix("file://")).expanduser()
