"""Where else a repository has its objects: `objects/info/alternates`, before Git reads it.

Git opens whatever is there, and waits for ever where that is a pipe.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from stemma_registry.errors import Refused

_DEPTH = 5  # Git follows no more of them
_BYTES = 1024 * 1024
_FILES = 1_000


def check(directory: Path) -> None:
    """Raises Refused where a list of alternates of a Git directory is no regular file."""
    common = directory
    with contextlib.suppress(OSError, ValueError):  # of a work tree that was added
        named = directory / "commondir"
        if named.is_file() and named.stat().st_size <= _BYTES:
            common = directory / os.fsdecode(named.read_bytes().removesuffix(b"\n"))
    pending, seen = [(0, common / "objects")], set[Path]()
    while pending:
        depth, objects = pending.pop()
        if objects in seen or depth > _DEPTH:
            continue
        seen.add(objects)
        if len(seen) > _FILES:
            raise Refused(f"{directory} has objects in more than {_FILES} places")
        pending += [(depth + 1, objects / os.fsdecode(line)) for line in _lines(objects)]


def _lines(objects: Path) -> list[bytes]:
    path = objects / "info" / "alternates"
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode) or found.st_size > _BYTES:
            raise Refused(f"{path} is no list of folders: take it away, or name another repository")
        lines = path.read_bytes().split(b"\n")
    except (OSError, ValueError):
        return []  # then Git has none either
    return [line for line in lines if line and line[:1] not in b'#"' and b"\0" not in line]
