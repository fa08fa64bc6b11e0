"""REPO@REF of a policy repository: at hand with its history, and by which name it is known."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from stemma_attestations.errors import BadName
from stemma_attestations.names import check_name
from stemma_registry.errors import Refused
from stemma_registry.gitrepo import named
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.fetching import fetched, is_url
from stemma_registry.gitrepo.repository import Repository

_TAGS = "refs/tags/*"


@dataclass(frozen=True)
class Place:
    """An open repository, the commit of REF, its NAME for the trust root, and its public URL."""

    repo: Repository
    commit: str
    repository: str | None
    url: str | None


@contextlib.contextmanager
def at(text: str, name: str | None) -> Iterator[Place]:
    """What REPO@REF names. `name` is what the repository is called, else its URL says it.

    A path of this machine says nothing: what a checkout claims of its remotes, whoever wrote it
    claims. Raises NotFound, Refused, Unavailable, BadName.
    """
    where, revision = named.split(text)
    if revision is None:
        raise Refused(f"{text!r:.200} names no commit; write REPO@REF")
    if not is_url(where):
        folder = Path(where.removeprefix("file://")).expanduser()
        if not folder.is_dir():
            raise Refused(f"{where!r:.200} is no folder; name the one that holds the repository")
        with Repository.open(folder) as repo:
            repo.require_whole()
            yield Place(repo, repo.resolve(revision), check_name(name) if name else None, None)
        return
    known = check_name(name) if name else name_of(where)
    with (
        TemporaryDirectory(prefix="stemma-policy-") as made,
        fetched(where, Path(made) / "fetched", [revision, _TAGS]) as repo,
    ):
        yield Place(repo, repo.resolve("HEAD"), known, public_url(where))


def name_of(url: str) -> str | None:
    """`host/path` of a URL, as a NAME; None where it cannot be one."""
    public = public_url(url)
    if public is None:
        return None
    parts = urlsplit(public)
    path = parts.path.strip("/").removesuffix(".git")
    try:
        return check_name(f"{parts.netloc}/{path}".lower()) if path else None
    except BadName:
        return None
