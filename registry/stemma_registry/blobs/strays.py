"""What lies in a local store and does not belong there."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from stemma_registry.blobs.contract import Stray

_HEX2, _HEX62 = re.compile(r"[0-9a-f]{2}\Z"), re.compile(r"[0-9a-f]{62}\Z")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*\Z")
_TOP = re.compile(r"(?:blobs|ledger|status|tmp)\Z")
# What the folders below blobs/ are called, level by level.
_BLOBS = (re.compile(r"sha256\Z"), _HEX2)


def strays_in(root: Path) -> Iterator[Stray]:
    """Everything below `root` that the layout has no place for; of a folder only its name.

    No link is followed. Raises OSError.
    """
    for entry in _listed(root):
        if not _TOP.match(entry.name) or not _is_directory(entry):
            yield _stray(entry, entry.name)
        elif entry.name == "tmp":
            for half in _listed(entry.path):
                yield _stray(half, f"tmp/{half.name}", unfinished=True)
        else:
            yield from _below(entry, entry.name, 0)


def _below(folder: os.DirEntry[str], name: str, depth: int) -> Iterator[Stray]:
    in_blobs = name.partition("/")[0] == "blobs"
    for entry in _listed(folder.path):
        path = f"{name}/{entry.name}"
        if _is_directory(entry) and _folder_fits(entry.name, depth, in_blobs):
            yield from _below(entry, path, depth + 1)
        elif not entry.is_file(follow_symlinks=False) or not _file_fits(
            entry.name, depth, in_blobs
        ):
            yield _stray(entry, path)


def _folder_fits(name: str, depth: int, in_blobs: bool) -> bool:
    if in_blobs:
        return depth < len(_BLOBS) and bool(_BLOBS[depth].match(name))
    return bool(_NAME.match(name))


def _file_fits(name: str, depth: int, in_blobs: bool) -> bool:
    if in_blobs:
        return depth == len(_BLOBS) and bool(_HEX62.match(name))
    return bool(_NAME.match(name))


def _listed(folder: str | Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return sorted(found, key=lambda entry: entry.name)


def _is_directory(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _stray(entry: os.DirEntry[str], name: str, unfinished: bool = False) -> Stray:
    size = 0
    if not _is_directory(entry):
        with contextlib.suppress(FileNotFoundError):  # finished meanwhile
            size = entry.stat(follow_symlinks=False).st_size
    return Stray(name + "/" * _is_directory(entry), size, unfinished)
