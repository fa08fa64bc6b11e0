"""Small files that belong to whoever runs the command: read up to a limit, written to stay.

What is written here survives a power cut.
"""

from __future__ import annotations

import os
import secrets
import stat
from pathlib import Path

from stemma_attestations.errors import Malformed
from stemma_registry.errors import AlreadyThere, NotFound, Unavailable

_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def read(path: Path, what: str, limit: int) -> bytes:
    """A file's bytes; `what` it is, for people.

    Raises NotFound, Unavailable, and Malformed where there are more than `limit` bytes.
    """
    try:
        with path.open("rb") as source:
            data = source.read(limit + 1)
    except FileNotFoundError as error:
        raise NotFound(f"no {what} at {path}") from error
    except OSError as error:
        raise Unavailable(f"cannot read the {what} {path}: {error.strerror}") from error
    if len(data) > limit:
        raise Malformed(f"the {what} {path} has more than {limit} bytes")
    return data


def replace(path: Path, what: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file, whole or not at all, over the one that may be there. Raises Unavailable."""
    work = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        make_directory(path.parent)
        _write(work, data, mode)
        os.replace(work, path)
        sync_directory(path.parent)
    except OSError as error:
        work.unlink(missing_ok=True)
        raise Unavailable(f"cannot write the {what} {path}: {error.strerror}") from error


def write_new(path: Path, what: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file that must not be there yet. Raises AlreadyThere, Unavailable."""
    try:
        make_directory(path.parent)
        _write(path, data, mode)
        sync_directory(path.parent)
    except FileExistsError as error:
        raise AlreadyThere(f"{path} exists, and a {what} is not overwritten") from error
    except OSError as error:
        raise Unavailable(f"cannot write the {what} {path}: {error.strerror}") from error


def written_by_others(path: Path) -> str | None:
    """Why a file in a folder of its own may be another user's word; None where it cannot be."""
    for one, kind in ((path.parent, stat.S_ISDIR), (path, stat.S_ISREG)):
        try:
            found = os.lstat(one)
        except FileNotFoundError:
            return None
        except OSError as error:
            return f"{one} cannot be looked at ({error.strerror})"
        if not kind(found.st_mode):
            return f"{one} is a link, or no {'directory' if kind is stat.S_ISDIR else 'file'}"
        if found.st_uid != os.geteuid():
            return f"{one} belongs to another user"
        if found.st_mode & _OTHERS:
            return f"others may write {one}"
    return None


def make_directory(path: Path) -> None:
    """Make a directory and its parents, so that a power cut leaves all of them. Raises OSError."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_directory(made.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _write(path: Path, data: bytes, mode: int) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError:
        path.unlink(missing_ok=True)  # half of it, and it is ours
        raise
