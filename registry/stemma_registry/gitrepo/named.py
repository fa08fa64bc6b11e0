"""REPO@REV: a repository by its URL or path, and a revision in it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from stemma_registry.errors import Refused
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.fetching import fetched, is_url
from stemma_registry.gitrepo.repository import Repository


@dataclass(frozen=True)
class AtHand:
    """A repository that can be read, the revision in it, and how the repository is called."""

    repo: Repository
    revision: str
    label: str


def split(text: str) -> tuple[str, str | None]:
    """Repository and revision; no `@` that is part of a URL's host, or of a path, is taken."""
    if Path(text).exists():
        return text, None
    before, at, revision = text.rpartition("@")
    if not at or ":" in revision or not revision:
        return text, None
    if "://" in text and "@" in urlsplit(text).netloc and "/" not in urlsplit(before).path:
        return text, None  # the user of a host
    if not before:
        raise Refused(f"{text!r:.200} names no repository; write REPO@REV, or .@REV")
    return before, revision


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
    path = Path(where.removeprefix("file://")).expanduser()
    if not path.is_dir():
        raise Refused(f"{where!r:.200} is no folder; name the one that holds the repository")
    return path
