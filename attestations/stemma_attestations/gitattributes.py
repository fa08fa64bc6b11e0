"""Which files of an artifact are Git LFS pointers in a commit, by its own `.gitattributes`.

https://git-scm.com/docs/gitattributes, as far as `filter` goes. What is read is what tools
write; a line that means more than that is refused, never guessed at.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from stemma_attestations.errors import BadDocument

NAME = ".gitattributes"
MAX_BYTES = 1024 * 1024
MAX_RULES = 2_000
_BLANK = re.compile(rb"[ \t\r]+")


@dataclass(frozen=True)
class Rule:
    """A pattern below a folder, and whether what matches goes through the filter `lfs`."""

    folder: tuple[str, ...]
    parts: tuple[str, ...]
    anchored: bool
    lfs: bool
    matchers: tuple[Callable[[str], bool], ...]

    def matches(self, path: tuple[str, ...]) -> bool:
        """Whether it speaks of a path."""
        depth = len(self.folder)
        if path[:depth] != self.folder:
            return False
        if not self.anchored:
            return self.matchers[0](path[-1])
        return self._matches(path[depth:])

    def _matches(self, path: tuple[str, ...]) -> bool:
        # Which of the path's components can be matched by the parts so far: no backtracking.
        reached = {0}
        for number, part in enumerate(self.parts):
            if part == "**":
                first = min(reached)
                last = number == len(self.parts) - 1  # `a/**` is what is in `a`, and not `a`
                reached = set(range(first + last, len(path) + 1))
            else:
                match = self.matchers[number]
                reached = {at + 1 for at in reached if at < len(path) and match(path[at])}
            if not reached:
                return False
        return len(path) in reached


def rules(files: Mapping[str, bytes]) -> tuple[Rule, ...]:
    """The rules of `.gitattributes` files (path -> bytes), weakest first. Raises BadDocument."""
    found: list[Rule] = []
    for path in sorted(files, key=lambda path: (path.count("/"), path)):
        folder = tuple(path.split("/")[:-1])
        if len(files[path]) > MAX_BYTES:
            raise BadDocument(f"{path:.80}: more than {MAX_BYTES} bytes; the limit is a named one")
        for number, line in enumerate(files[path].split(b"\n"), 1):
            rule = _rule(folder, line, f"{path:.80} line {number}")
            found += [] if rule is None else [rule]
            if len(found) > MAX_RULES:
                raise BadDocument(f"more than {MAX_RULES} rules for LFS; the limit is a named one")
    return tuple(found)


def is_pointer(ordered: Sequence[Rule], path: str) -> bool:
    """Whether a file is a pointer in the commit: the last rule that speaks of it says so."""
    parts = tuple(path.split("/"))
    for rule in reversed(ordered):
        if rule.matches(parts):
            return rule.lfs
    return False


def _rule(folder: tuple[str, ...], line: bytes, where: str) -> Rule | None:
    line = line.strip(b" \t\r")
    if not line or line.startswith(b"#"):
        return None
    pattern, *said = _BLANK.split(line)
    if pattern.startswith(b"[attr]"):
        if any(b"filter" in word for word in said):
            raise BadDocument(f"{where}: a macro that sets a filter is not read")
        return None
    if any(word.lstrip(b"-!").split(b"=")[0] in (b"text", b"eol", b"crlf") for word in said):
        _refuse_conversion(said, where)
    filters = [word for word in said if word.lstrip(b"-!").split(b"=")[0] == b"filter"]
    if not filters:
        return None
    return _of(folder, pattern, _is_lfs(filters[-1], where), where)


def _refuse_conversion(said: Sequence[bytes], where: str) -> None:
    """Line ends that Git changes as it commits make other bytes than those on disk."""
    if any(word not in (b"-text", b"!text", b"-crlf", b"!eol") for word in said if _ends(word)):
        raise BadDocument(f"{where}: line ends are converted, so the commit has other bytes")


def _ends(word: bytes) -> bool:
    return word.lstrip(b"-!").split(b"=")[0] in (b"text", b"eol", b"crlf")


def _is_lfs(word: bytes, where: str) -> bool:
    if word in (b"filter=lfs", b"-filter", b"!filter"):
        return word == b"filter=lfs"
    raise BadDocument(f"{where}: a filter that is not lfs ({word.decode('utf-8', 'replace'):.40})")


def _of(folder: tuple[str, ...], raw: bytes, lfs: bool, where: str) -> Rule | None:
    try:
        pattern = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadDocument(f"{where}: not UTF-8") from error
    if pattern.startswith("!") or pattern.endswith("/"):
        return None  # Git passes over the one, and the other matches no file
    if pattern.startswith('"') or "\\" in pattern or "[^" in pattern or "[[" in pattern:
        raise BadDocument(f"{where}: a pattern with quotes or classes is not read: {pattern:.60}")
    anchored = "/" in pattern
    parts = tuple(pattern.removeprefix("/").split("/"))
    if any("**" in part and part != "**" for part in parts) or "" in parts:
        raise BadDocument(f"{where}: a pattern that is not read: {pattern:.60}")
    matchers = tuple(re.compile(fnmatch.translate(part)).match for part in parts)
    return Rule(folder, parts, anchored, lfs, tuple(_truth(match) for match in matchers))


def _truth(match: Callable[[str], object]) -> Callable[[str], bool]:
    return lambda text: match(text) is not None
