"""The tags of a repository that say something in GTO's grammar, and who signed them.

One call of Git lists the refs, and one process hands over the objects that are not known yet.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations import gitobject, gto
from stemma_attestations.gitobject import Signed
from stemma_attestations.gitsigner import GitSigner
from stemma_attestations.gto import Said
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.gitrepo import bulk, program
from stemma_registry.gitrepo.capturing import public_url
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.tagging.keeping import Fact, Keeper

PREFIX = "refs/tags/"
# Whose signature it is; else why it is nobody's, as far as there is more to say than that.
SignerOf = Callable[[Signed], GitSigner | str]


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
    refs = repository.named(PREFIX)
    if len(refs) > LIMITS.tags:
        raise Refused(f"{len(refs)} tags, at most {LIMITS.tags} are read")
    told = [(name.removeprefix(PREFIX), id_) for name, id_ in refs.items()]
    meant = [(name, id_, said) for name, id_ in told if (said := gto.parse(name)) is not None]
    unknown = [id_ for _, id_, _ in meant if keeper.recall(id_) is None]
    passing = _learn(repository, unknown, signer_of, keeper)
    found = []
    for name, id_, said in meant:
        fact = keeper.recall(id_) or passing[id_]
        fault = fact.fault
        if not fault and fact.name not in (None, name):
            fault = f"it is the tag {fact.name!r:.80} under another name"
        found.append(Tag(name, id_, said, fact, fault))
    found.sort(key=lambda tag: tag.order)
    return Listed(tuple(found), len(refs) - len(meant))


def _learn(
    repository: Repository, names: Sequence[str], signer_of: SignerOf, keeper: Keeper
) -> dict[str, Fact]:
    """Look at objects: what holds for ever is kept, the rest returned."""
    read = dict(bulk.read(repository, names, LIMITS.tag_bytes))
    facts = {name: _fact(name, found, signer_of) for name, found in read.items()}
    there = bulk.kinds(repository, (fact.commit for fact in facts.values() if fact.commit))
    passing = {}
    for name, fact in facts.items():
        if read[name].fault:
            passing[name] = fact
        elif fact.commit and there.get(fact.commit, ("", 0))[0] != "commit":
            why = f"the repository has no commit {fact.commit[:12]}"
            passing[name] = replace(fact, fault=why)
        else:
            keeper.note(name, fact)
    return passing


def _fact(name: str, found: bulk.Found, signer_of: SignerOf) -> Fact:
    """What an object says."""
    if found.fault:
        return Fact(None, "", fault=found.fault)
    try:
        if found.kind == "commit":
            gitobject.commit(found.data)
            return Fact(None, name)
        if found.kind != "tag":
            return Fact(None, "", fault=f"it points to a {found.kind}, not to a commit")
        tag = gitobject.tag(found.data)
    except gitobject.BadObject as error:
        return Fact(None, "", fault=str(error))
    if tag.kind != "commit":
        return Fact(tag.name, "", fault=f"it points to a {tag.kind}, not to a commit")
    fact = Fact(tag.name, tag.object, tag.time, tag.tagger, tag.signed is not None)
    if tag.signed is None:
        return fact
    by = signer_of(tag.signed)
    return replace(fact, why=by) if isinstance(by, str) else replace(fact, by=by)


def name_of(repository: Repository, path: Path) -> str:
    """What the repository is called: host and path of its remote, else the folder's name."""
    asked = ("config", "--local", "--no-includes", "--get", "remote.origin.url")
    told = program.run(repository.directory, *asked, accepted=(0, 1, 128))
    url = public_url(told.decode(errors="replace").strip())
    if url is not None:
        return url.partition("://")[2].removesuffix(".git").rstrip("/")
    here = (repository.worktree or repository.directory).resolve()
    return here.name.removesuffix(".git") or path.resolve().name
