"""GTO's grammar of tags, read and written: https://github.com/iterative/gto

    NAME@v1.2.0    registers a version      NAME@v1.2.0!   takes that back
    NAME#STAGE#3   assigns a stage          NAME#STAGE!#4  takes that back
    NAME@deprecated                         NAME@created

Any may end in `#NUMBER`, and need not. A NAME in the folder `a/b` of a repository is `a/b=NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from stemma_attestations.errors import BadName
from stemma_attestations.names import NameVersion, check_name, check_version, is_stage

MAX_TAG = 500
_NAME = r"[a-z0-9](?:[a-z0-9/-]*[a-z0-9])?"
_NUMBER = r"(?:0|[1-9][0-9]*)"
_WORD = rf"(?:{_NUMBER}|[0-9]*[a-zA-Z-][0-9a-zA-Z-]*)"
# https://semver.org, with a v before it
_VERSION = (
    rf"v{_NUMBER}\.{_NUMBER}\.{_NUMBER}(?:-{_WORD}(?:\.{_WORD})*)?"
    r"(?:\+[0-9a-zA-Z-]+(?:\.[0-9a-zA-Z-]+)*)?"
)
_TAG = re.compile(
    rf"(?P<artifact>(?:[a-z0-9_./-]+=)?{_NAME})"
    rf"(?:(?:#(?P<stage>{_NAME})|@(?P<version>{_VERSION}))(?P<undone>!?)"
    r"|@(?P<word>deprecated|created))"
    r"(?:#(?P<number>[0-9]{1,9}))?\Z",
    re.ASCII,
)


class Act(StrEnum):
    """What a tag does."""

    REGISTER = "register"
    DEREGISTER = "deregister"
    ASSIGN = "assign"
    UNASSIGN = "unassign"
    DEPRECATE = "deprecate"
    CREATE = "create"


@dataclass(frozen=True)
class Said:
    """What the name of a tag says. `artifact` is as it stands there."""

    artifact: str
    act: Act
    version: str | None = None
    stage: str | None = None
    number: int | None = None

    @property
    def name(self) -> str:
        """The NAME that this is in a registry. Raises BadName."""
        if "=" in self.artifact:
            raise BadName(f"{self.artifact} is in a folder of its own, which no NAME says")
        return check_name(self.artifact)

    @property
    def bound(self) -> NameVersion:
        """NAME:VERSION, of a tag about a version. Raises BadName."""
        return NameVersion(self.name, check_version(self.version or ""))

    @property
    def place(self) -> str:
        """The stage, of a tag about one. Raises BadName."""
        if self.stage is None or not is_stage(self.stage):
            raise BadName(f"{self.stage!r:.60} is no stage (a word of a-z, 0-9 and -)")
        return self.stage


@lru_cache(maxsize=1 << 16)
def parse(tag: str) -> Said | None:
    """What a tag says, by its name without `refs/tags/`; None for one of no such form."""
    match = _TAG.match(tag) if len(tag) <= MAX_TAG else None
    if match is None:
        return None
    undone, number = bool(match["undone"]), match["number"]
    if match["word"]:
        act = Act.DEPRECATE if match["word"] == "deprecated" else Act.CREATE
    elif match["version"]:
        act = Act.DEREGISTER if undone else Act.REGISTER
    else:
        act = Act.UNASSIGN if undone else Act.ASSIGN
    return Said(
        match["artifact"],
        act,
        match["version"],
        match["stage"],
        int(number) if number is not None else None,
    )


def numbered(tag: str, others: Iterable[str]) -> str:
    """The tag with the next number of its artifact, where it is about a stage and has none.

    Raises BadName for what is no tag of this grammar.
    """
    said = parse(tag)
    if said is None:
        raise BadName(
            f"{tag!r:.80} is no tag of GTO's (NAME@v1.2.0, NAME#STAGE, ! behind it takes it back; "
            "a NAME of a-z 0-9 - and /)"
        )
    if said.stage is None or said.number is not None:
        return tag
    before = (parse(other) for other in others)
    used = [one.number for one in before if one and one.artifact == said.artifact and one.number]
    return f"{tag}#{max(used, default=0) + 1}"
