"""A Git work tree: where a path stands in it, its files, and how one is replaced.

No link is followed below the root, and a file is replaced whole or not at all, only where it is
still the one that was looked at.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from stemma_attestations import lfs_pointer
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry import directory
from stemma_registry.directory import Found, Tree
from stemma_registry.errors import BadTree, NotFound, Refused, Unavailable
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository

GIT = ".git"
WORK = ("lfs", "tmp")  # of the Git directory: `git lfs` tidies it up


@dataclass(frozen=True)
class Place:
    """A path of a work tree. `root` is the tree's, `inside` the path in it (`""`: all of it).

    `git` is its Git directory, `common` the one that holds what all its work trees share.
    """

    root: Path
    inside: str
    git: Path
    common: Path

    @property
    def path(self) -> Path:
        """The path on this machine."""
        return self.root / self.inside if self.inside else self.root

    @property
    def folder(self) -> str:
        """The path in the work tree of the folder that an artifact's paths start from."""
        return self.inside if self.path.is_dir() else self.inside.rpartition("/")[0]

    def whole(self, path: str) -> str:
        """The path in the work tree of a file that `tree` lists."""
        if self.path.is_dir():
            return f"{self.inside}/{path}" if self.inside else path
        return self.inside


def find(path: Path) -> Place:
    """Where a path stands. Raises NotFound outside a work tree, Refused for what is no part of it.

    Links above the work tree are followed, and links in it as far as they lead into it.
    """
    if path.is_symlink():
        raise Refused(f"{path} is a symbolic link; name what it leads to")
    if not path.exists():
        raise NotFound(f"no file or directory {path}")
    with Repository.open(path) as repo:
        root, git = repo.worktree, repo.directory
    if root is None:
        raise NotFound(f"{path} is in no Git work tree")
    try:
        inside = path.resolve().relative_to(root).as_posix()
    except ValueError as error:
        raise Refused(f"{path} leads out of the work tree {root}") from error
    inside = "" if inside == "." else inside
    if GIT in inside.casefold().split("/"):
        raise Refused(f"{path} is Git's own")
    return Place(root, inside, git, common(git))


def common(git: Path) -> Path:
    """The Git directory that holds what all work trees of a repository share."""
    asked = program.run(git, "rev-parse", "--path-format=absolute", "--git-common-dir")
    return Path(os.fsdecode(asked.removesuffix(b"\n")))


def tree(place: Place) -> Tree:
    """The files at a place but Git's own: those below a folder, or the one. Raises BadTree."""
    if place.path.is_dir():
        found = directory.scan(place.path)
        if place.inside:
            return found
        files = tuple(file for file in found.files if not _is_gits(file.path))
        odd = tuple(one for one in found.oddities if not _is_gits(one[0]))
        return Tree(found.root, files, odd)
    looked = place.path.lstat()
    if not stat.S_ISREG(looked.st_mode):
        raise BadTree(f"{place.path} is no regular file")
    return Tree(place.path.parent, (Found(place.path.name, looked),), ())


def tracked(place: Place) -> list[Found]:
    """The files below a place, by their paths in the work tree, without other repositories."""
    listed = tree(place)
    found = [Found(place.whole(file.path), file.stat) for file in listed.files]
    others = {file.path.partition(f"/{GIT}/")[0] for file in found if f"/{GIT}/" in file.path}
    others |= {file.path[: -len(GIT) - 1] for file in found if file.path.endswith(f"/{GIT}")}
    return [f for f in found if not any(f.path.startswith(other + "/") for other in others)]


def pointer_at(root: Path, file: Found) -> Pointer | None:
    """What a file says, where it is a pointer. Raises Unavailable."""
    if not 0 < file.stat.st_size <= lfs_pointer.MOST:
        return None
    return lfs_pointer.parse(start_of(root, file.path, lfs_pointer.MOST + 1))


def start_of(root: Path, path: str, most: int) -> bytes:
    """The first bytes of a file. Raises Unavailable."""
    try:
        with directory.open_beneath(root, path) as source:
            return source.read(most)
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error


def replace(place: Place, file: Found, fill: Callable[[BinaryIO], None]) -> None:
    """Put what `fill` writes in the place of a file that still looks as it did; keep its mode.

    Until then it is in the Git directory, so that nobody who is killed leaves something among the
    files. Raises Refused where it changed meanwhile, Unavailable, and what `fill` raises.
    """
    *parents, name = file.path.split("/")
    work = f"stemma-{secrets.token_hex(8)}"
    try:
        with folder_at(place.root, parents) as parent, _beside(place, parent) as beside:
            try:
                flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
                fd = os.open(work, flags, 0o600, dir_fd=beside)
                with os.fdopen(fd, "w+b", buffering=0) as out:
                    fill(out)
                    os.fchmod(fd, stat.S_IMODE(file.stat.st_mode) & 0o777)
                    os.fsync(fd)
                check_same(file, os.stat(name, dir_fd=parent, follow_symlinks=False))
                os.rename(work, name, src_dir_fd=beside, dst_dir_fd=parent)
                os.fsync(parent)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(work, dir_fd=beside)
    except OSError as error:
        raise Unavailable(f"cannot write {file.path}: {error.strerror or error}") from error


@contextlib.contextmanager
def folder_at(root: Path, parts: Sequence[str]) -> Iterator[int]:
    """A descriptor of a folder below a root, following no link. Raises OSError."""
    folder = directory.open_directory(root, parts)
    try:
        yield folder
    finally:
        os.close(folder)


def make_folders(root: Path, parts: Sequence[str]) -> None:
    """Make folders below each other, following no link. Raises OSError."""
    for depth, name in enumerate(parts):
        with folder_at(root, parts[:depth]) as parent, contextlib.suppress(FileExistsError):
            os.mkdir(name, dir_fd=parent)


def check_same(file: Found, now: os.stat_result) -> None:
    """Raises Refused where a file is no longer as it looked."""
    if _look(file.stat) != _look(now):
        raise Refused(f"{file.path} changed meanwhile, and is left as it is")


@contextlib.contextmanager
def _beside(place: Place, parent: int) -> Iterator[int]:
    """Where a file is made that is to be moved into a folder: on the same file system."""
    if os.fstat(parent).st_dev != place.common.stat().st_dev:
        yield parent
        return
    make_folders(place.common, WORK)
    with folder_at(place.common, WORK) as folder:
        yield folder


def _look(found: os.stat_result) -> tuple[int, ...]:
    """Not the time of the inode's change: another name for it is none of the bytes."""
    return (found.st_dev, found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns)


def _is_gits(path: str) -> bool:
    return path == GIT or path.startswith(f"{GIT}/")
