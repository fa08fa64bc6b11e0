"""The tags of a repository that say something in GTO's grammar, and who signed them.

One call of Git lists the refs, and one process hands over the objects that are not known yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations import gitobject, gto
from stemma_attestations.gitobject import Signed
from stemma_attestations.gto import Said
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Refused
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.tagging.keeping import Fact, Keeper

PREFIX = "refs/tags/"
# The id of the key, or identity, whose signature it is; None where none verifies that is listed.
SignerOf = Callable[[Signed], str | None]


@dataclass(frozen=True)
class Tag:
    """One ref: its name without `refs/tags/`, what that says, and the object it names.

    `fault` says why it counts for nothing, not even a claim.
    """

    name: str
    id: str
    said: Said
    fact: Fact
    fault: str

    @property
    def commit(self) -> str:
        """What it leads to."""
        return self.fact.commit

    @property
    def order(self) -> tuple[int, int, str]:
        """When it was made, as its tagger says; then by its number."""
        return (self.fact.time or 0, self.said.number or 0, self.name)


@dataclass(frozen=True)
class Listed:
    """All tags of the grammar, in the order they were made, and how many are of none."""

    tags: tuple[Tag, ...]
    others: int


def read(repository: Repository, signer_of: SignerOf, keeper: Keeper) -> Listed:
    """Read them. Raises Refused past the limits, Unavailable."""
    refs = repository.refs(PREFIX)
    if len(refs) > LIMITS.tags:
        raise Refused(f"{len(refs)} tags, at most {LIMITS.tags} are read")
    found, others, unread = [], 0, 0
    for ref in refs:
        name = ref.name.removeprefix(PREFIX)
        said = gto.parse(name)
        if said is None:
            others += 1
            continue
        fact = keeper.recall(ref.id)
        if fact is None:
            fact, keep = _fact(repository, ref.id, signer_of)
            unread += not keep
            if unread > LIMITS.tags_unread:
                raise Refused(f"more than {LIMITS.tags_unread} tags cannot be read: {fact.fault}")
            if keep:
                keeper.note(ref.id, fact)
        fault = fact.fault
        if not fault and fact.name not in (None, name):
            fault = f"it is the tag {fact.name!r:.80} under another name"
        found.append(Tag(name, ref.id, said, fact, fault))
    return Listed(tuple(sorted(found, key=lambda tag: tag.order)), others)


def _fact(repository: Repository, name: str, signer_of: SignerOf) -> tuple[Fact, bool]:
    """What an object says, and whether that holds for ever."""
    try:
        kind, data = repository.read(name, LIMITS.tag_bytes)
        if kind == "commit":
            gitobject.commit(data)
            return Fact(None, name), True
        if kind != "tag":
            return Fact(None, "", fault=f"it points to a {kind}, not to a commit"), True
        tag = gitobject.tag(data)
        if tag.kind != "commit":
            return Fact(tag.name, "", fault=f"it points to a {tag.kind}, not to a commit"), True
        repository.commit(tag.object)
    except gitobject.BadObject as error:
        return Fact(None, "", fault=str(error)), True
    except (NotFound, Damaged, Refused) as error:
        return Fact(None, "", fault=str(error)), False
    signer = signer_of(tag.signed) if tag.signed is not None else None
    signed = tag.signed is not None
    return Fact(tag.name, tag.object, tag.time, tag.tagger, signed, signer), True


def name_of(repository: Repository, path: Path) -> str:
    """What the repository is called: host and path of its remote, else the folder's name."""
    asked = ("config", "--local", "--no-includes", "--get", "remote.origin.url")
    told = program.run(repository.directory, *asked, accepted=(0, 1, 128))
    url = public_url(told.decode(errors="replace").strip())
    if url is not None:
        return url.partition("://")[2].removesuffix(".git").rstrip("/")
    here = (repository.worktree or repository.directory).resolve()
    return here.name.removesuffix(".git") or path.resolve().name
