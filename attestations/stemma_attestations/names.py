"""NAME, VERSION and patterns of names.

A name is segments joined by `/`. A pattern matches whole segments only: `*` is
one segment, `**` any number of them (also none). There is no `prod*`: a
pattern that matches part of a segment is how `prod-evil` becomes `prod`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stemma_attestations.errors import BadName

MAX_NAME = 200
MAX_VERSION = 128
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*(?:/[a-z0-9][a-z0-9._-]*)*\Z")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*\Z")
_BOTH = re.compile(f"({_NAME.pattern[:-2]}):({_VERSION.pattern})")
_STAGE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}\Z")
_SEGMENT = re.compile(r"(?:\*\*?|[a-z0-9][a-z0-9._-]*)\Z")


@dataclass(frozen=True, slots=True, order=True)
class NameVersion:
    """`NAME:VERSION`, the immutable name of an artifact."""

    name: str
    version: str

    @classmethod
    def parse(cls, text: str) -> NameVersion:
        """Read `NAME:VERSION`; the inverse of `str`. Raises BadName."""
        name, colon, version = text.partition(":")
        if not colon:
            raise BadName(f"{text!r:.80} has no version (write NAME:VERSION)")
        return cls(check_name(name), check_version(version))

    def __str__(self) -> str:
        return f"{self.name}:{self.version}"


def subject_name(text: str | None) -> NameVersion | None:
    """The NAME:VERSION of a statement's subject, or None for a subject without one."""
    parts = split_name(text)
    return NameVersion(*parts) if parts else None


def split_name(text: str | None) -> tuple[str, str] | None:
    """The same as NAME and VERSION: for those who read millions."""
    if not text:
        return None
    found = _BOTH.match(text)
    if found is None:
        return None
    name, version = found.groups()
    return (name, version) if len(name) <= MAX_NAME and len(version) <= MAX_VERSION else None


def check_name(name: str) -> str:
    """Return `name`, or raise BadName."""
    if len(name) > MAX_NAME or not _NAME.match(name):
        raise BadName(
            f"{name!r:.80} is not a name (lower-case segments of a-z 0-9 . _ - joined by /)"
        )
    return name


def check_version(version: str) -> str:
    """Return `version`, or raise BadName."""
    if len(version) > MAX_VERSION or not _VERSION.match(version):
        raise BadName(f"{version!r:.80} is not a version (letters, digits, . _ + -)")
    return version


def is_stage(name: str) -> bool:
    """Whether `name` can be that of a stage: a word of a-z, 0-9 and -."""
    return bool(_STAGE.match(name))


def check_pattern(pattern: str) -> str:
    """Return `pattern`, or raise BadName."""
    segments = pattern.split("/")
    if len(pattern) > MAX_NAME or not all(_SEGMENT.match(segment) for segment in segments):
        raise BadName(f"{pattern!r:.80} is not a pattern (whole segments, * for one, ** for any)")
    return pattern


def name_matches(pattern: str, name: str) -> bool:
    """Whether `pattern` covers `name`, compared segment by segment, case included."""
    if pattern == "**":
        return True
    # One row of the usual wildcard table: reachable[i] = pattern[:done] covers name[:i].
    segments = name.split("/")
    reachable = [True] + [False] * len(segments)
    for part in pattern.split("/"):
        if part == "**":
            for i in range(len(segments)):
                reachable[i + 1] = reachable[i + 1] or reachable[i]
        else:
            reachable = [False] + [
                reachable[i] and part in ("*", segment) for i, segment in enumerate(segments)
            ]
    return reachable[-1]


def is_within(patterns: Iterable[str], others: Collection[str]) -> bool:
    """Whether one of `others` covers each pattern. Where it is hard to tell, it is not."""
    return all(any(_covers(other, pattern) for other in others) for pattern in patterns)


def _covers(outer: str, inner: str) -> bool:
    """Whether every name that `inner` matches is one that `outer` matches, if that is plain."""
    if outer in ("**", inner):
        return True
    # As a segment of a name, `*` is met by wildcards only; `**` has to be met by `**`.
    return ("**" not in inner or "*" not in outer.split("/")) and name_matches(outer, inner)
