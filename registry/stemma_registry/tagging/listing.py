"""What the tags of a repository say by themselves, as GTO reads them: no registry is asked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from stemma_attestations.gto import Act
from stemma_attestations.trust import TrustRoot
from stemma_registry.tagging.reading import Tag

UNSIGNED, STRANGER = "unsigned", "not listed"


@dataclass
class Version:
    """One version of an artifact. `stages` are those it is at; `tag` is None of a bare commit."""

    version: str | None
    tag: Tag | None
    commit: str
    stages: dict[str, Tag] = field(default_factory=dict)


@dataclass
class Artifact:
    """Versions in the order they were registered; and whether it is deprecated."""

    name: str
    versions: list[Version] = field(default_factory=list)
    deprecated: bool = False


def fold(tags: Iterable[Tag]) -> list[Artifact]:
    """Follow the tags in the order they were made. Those that count for nothing are left out."""
    found: dict[str, Artifact] = {}
    placed: dict[tuple[str, str], list[tuple[Tag, Version]]] = {}
    for tag in tags:
        if tag.fault or tag.fact.name is None:
            continue
        said = tag.said
        artifact = found.setdefault(said.artifact, Artifact(said.artifact))
        if said.act is Act.DEPRECATE:
            artifact.deprecated = True
            continue
        artifact.deprecated = False
        if said.act is Act.REGISTER:
            artifact.versions.append(Version(said.version, tag, tag.commit))
        elif said.act is Act.DEREGISTER:
            artifact.versions = [one for one in artifact.versions if one.version != said.version]
        elif said.stage is not None:
            there = placed.setdefault((said.artifact, said.stage), [])
            if said.act is Act.ASSIGN:
                there.append((tag, _at(artifact, tag.commit)))
            else:
                there[:] = [pair for pair in there if pair[0].commit != tag.commit]
    for (name, stage), there in placed.items():
        kept = [pair for pair in there if pair[1] in found[name].versions]
        if kept:
            tag, version = kept[-1]
            version.stages[stage] = tag
    return [found[name] for name in sorted(found)]


def signer(tag: Tag | None, trust: TrustRoot) -> str:
    """Who signed a tag, for people."""
    if tag is None or not tag.fact.signed:
        return UNSIGNED
    by = tag.fact.by
    return STRANGER if by is None else trust.introducing(by.certified).label(by.id)


def _at(artifact: Artifact, commit: str) -> Version:
    """The latest version of a commit, else the commit itself."""
    for one in reversed(artifact.versions):
        if one.commit == commit:
            return one
    bare = Version(None, None, commit)
    artifact.versions.append(bare)
    return bare
