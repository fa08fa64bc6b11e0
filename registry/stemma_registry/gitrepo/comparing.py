"""What differs between a commit and its working tree, where libgit2 cannot tell (SHA-256).

`git status` would run the filters that the repository configures, to see what a changed file
would become. Here the files are hashed as they stand; a file whose Git LFS pointer is
committed is held against that.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from pathlib import Path

from stemma_attestations import gitobject, lfs_pointer
from stemma_attestations.gitobject import ObjectFormat
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import File, Repository

_SUBMODULES = frozenset({gitobject.SUBMODULE})


def changed(repository: Repository, commit: str, top: Path) -> list[str]:
    """Tracked paths whose staged or actual bytes are not those of the commit, sorted."""
    committed = {file.path: file for file in repository.files(repository.commit(commit).tree)}
    tracked = _tracked(repository)
    paths = sorted(committed.keys() | tracked.keys(), key=os.fsencode)
    return [p for p in paths if not _same(repository, committed.get(p), tracked.get(p), top)]


def _tracked(repository: Repository) -> dict[str, File]:
    """What is staged. Raises Refused for a conflict that nobody solved."""
    found: dict[str, File] = {}
    for line in program.run(repository.directory, "ls-files", "-s", "-z").split(b"\0"):
        if not line:
            continue
        about, _, path = os.fsdecode(line).partition("\t")
        mode, name, stage = about.split(" ")
        if stage != "0" or len(found) >= LIMITS.git_files:
            raise Refused("its index has conflicts, or more files than are looked at")
        found[path] = File(path, mode, name)
    return found


def _same(repository: Repository, before: File | None, now: File | None, top: Path) -> bool:
    if before is None or now is None or (before.mode, before.id) != (now.mode, now.id):
        return False
    if now.mode in _SUBMODULES:
        return True  # its own repository is another source
    path = top / now.path
    try:
        what = path.lstat()
        if stat.S_ISLNK(what.st_mode):
            raw = os.fsencode(os.readlink(path))
            is_link = now.mode == gitobject.LINK
            return is_link and gitobject.identify("blob", raw, repository.object_format) == now.id
        if not stat.S_ISREG(what.st_mode):
            return False
        executable = bool(what.st_mode & stat.S_IXUSR)
        if now.mode == gitobject.LINK or executable != (now.mode == gitobject.EXECUTABLE):
            return False
        if _hashed(path, what.st_size, repository.object_format) == now.id:
            return True
        return _points_to(repository, now, path)
    except OSError:
        return False


def _hashed(path: Path, size: int, object_format: ObjectFormat) -> str:
    found = hashlib.new(object_format, b"blob %d\0" % size, usedforsecurity=False)
    _feed(path, found.update)
    return found.hexdigest()


def _points_to(repository: Repository, file: File, path: Path) -> bool:
    """Whether a pointer is committed, and the bytes are those that it stands for."""
    try:
        wanted = lfs_pointer.parse(repository.blob(file.id, lfs_pointer.MOST))
    except Refused:
        return False  # larger than any pointer
    found = hashlib.sha256()
    if wanted is not None:
        _feed(path, found.update)
    return wanted is not None and wanted.sha256.value == found.hexdigest()


def _feed(path: Path, update: Callable[[bytes], object]) -> None:
    with path.open("rb") as source:
        while piece := source.read(1 << 20):
            update(piece)
