"""`.gitattributes`: which files Git hands to Git LFS, and the lines that say so.

https://git-scm.com/docs/gitattributes . Git is asked which attributes hold; it runs no filter to
answer.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable

from stemma_registry import directory, files
from stemma_registry.errors import Refused, Unavailable
from stemma_registry.gitrepo import program
from stemma_registry.pointers.worktree import Place

NAME = ".gitattributes"
_SAID = b" filter=lfs diff=lfs merge=lfs -text\n"
_SPECIAL = re.compile(r"([\\*?\[])")
_SUFFIX = re.compile(r"\.[A-Za-z0-9_]+\Z")
_MOST = 16 * 1024 * 1024


def filtered(place: Place, paths: Iterable[str]) -> set[str]:
    """Those paths of the work tree that Git hands to Git LFS. Raises Refused, Unavailable."""
    asked = b"".join(os.fsencode(path) + b"\0" for path in paths)
    if not asked:
        return set()
    where = f"--work-tree={place.root}"
    said = program.run(
        place.git, where, "check-attr", "-z", "--stdin", "filter", at=place.root, stdin=asked
    )
    fields = said.split(b"\0")
    pairs = zip(fields[::3], fields[2::3], strict=False)
    return {os.fsdecode(path) for path, value in pairs if value == b"lfs"}


def lines(wanted: Collection[str], others: Collection[str]) -> list[bytes]:
    """Lines that hand the wanted paths to Git LFS, and none of the others.

    Several files of a folder that have one suffix, which none of the others there has, are one
    line; any other file is a line of its own.
    """
    kept = {_kind(path) for path in others}
    counts = Counter(_kind(path) for path in wanted)
    found = []
    for path in sorted(wanted):
        folder, suffix = _kind(path)
        if suffix and counts[folder, suffix] > 1 and (folder, suffix) not in kept:
            found.append(_pattern(folder) + b"*" + suffix.encode())
        else:
            found.append(_pattern(path))
    return [line + _SAID for line in dict.fromkeys(found)]


def read(place: Place) -> bytes | None:
    """The file at the root of the work tree; None where there is none. Raises Refused."""
    try:
        with directory.open_beneath(place.root, NAME) as source:
            data = source.read(_MOST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Refused(
            f"{NAME} is a link, or cannot be read ({error.strerror}): Git does not follow it either"
        ) from error
    if len(data) > _MOST:
        raise Refused(f"{NAME} has more than {_MOST} bytes")
    return data


def extend(place: Place, further: Iterable[bytes]) -> list[str]:
    """Add the lines that are not there; which those were. Raises Refused, Unavailable."""
    before = read(place)
    text = before or b""
    there = set(text.splitlines(keepends=True))
    new = [line for line in further if line not in there]
    if new:
        text += b"\n" if text and not text.endswith(b"\n") else b""
        write(place, text + b"".join(new))
    return [line.decode(errors="replace").strip() for line in new]


def write(place: Place, data: bytes | None) -> None:
    """Make the file hold this; with None, be gone. Raises Unavailable."""
    path = place.root / NAME
    if data is None:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise Unavailable(f"cannot remove {path}: {error.strerror}") from error
        return
    mode = path.lstat().st_mode & 0o777 if os.path.lexists(path) else 0o644
    files.replace(path, "attributes", data, mode)


def _kind(path: str) -> tuple[str, str]:
    """Folder (with `/` at its end) and suffix."""
    folder, slash, name = path.rpartition("/")
    suffix = _SUFFIX.search(name)
    return folder + slash, suffix[0] if suffix else ""


def _pattern(path: str) -> bytes:
    """A pattern for exactly this path, from the root of the work tree on."""
    escaped = _SPECIAL.sub(r"\\\1", "/" + path)
    return os.fsencode(re.sub(r"\s", "[[:space:]]", escaped))
