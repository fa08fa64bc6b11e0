"""The objects that `git lfs` keeps in a repository: `lfs/objects/aa/bb/OID` of its Git directory.

They are read and written so that `git lfs checkout` and `git lfs push` find what they need. What
is there is not believed: whoever takes bytes from here hashes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry import directory
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.directory import Found
from stemma_registry.errors import BlobMissing
from stemma_registry.pointers import worktree

_CLONE = 0x40049409  # FICLONE, linux/fs.h: the same blocks, until one of the two changes


def opened(common: Path, digest: Digest, size: int) -> BinaryIO | None:
    """An object that is there and has that size."""
    *folders, name = _parts(digest)
    try:
        source = directory.open_beneath(common, "/".join([*folders, name]))
    except OSError:
        return None
    if os.fstat(source.fileno()).st_size != size:
        source.close()
        return None
    return source


def opening(common: Path, pointer: Pointer) -> Callable[[], BinaryIO]:
    """A way to open what a pointer names, when it is time. Raises BlobMissing then."""

    def opens() -> BinaryIO:
        source = opened(common, pointer.sha256, pointer.size)
        if source is None:
            raise BlobMissing(f"the object {pointer.sha256.short} of `git lfs` is gone")
        return source

    return opens


def place(common: Path, root: Path, file: Found, digest: Digest) -> bool:
    """Have a file's bytes among the objects; whether they were put there.

    The blocks are shared where the file system can; else a file that has no other name gets
    this one, and is not copied. Raises Refused where it changed meanwhile, OSError.
    """
    *folders, name = _parts(digest)
    there = opened(common, digest, file.stat.st_size)
    if there is not None:
        there.close()
        return False
    _make(common, folders)
    target = directory.open_directory(common, folders)
    work = f".stemma-{secrets.token_hex(8)}"
    try:
        *parents, own = file.path.split("/")
        source_folder = directory.open_directory(root, parents)
        try:
            _same_bytes((source_folder, own), (target, work), file)
            worktree.check_same(file, os.stat(own, dir_fd=source_folder, follow_symlinks=False))
        finally:
            os.close(source_folder)
        os.rename(work, name, src_dir_fd=target, dst_dir_fd=target)
        os.fsync(target)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(work, dir_fd=target)
        os.close(target)
    return True


def _same_bytes(source: tuple[int, str], work: tuple[int, str], file: Found) -> None:
    """Make a work file that holds what the source does. Both are names in open folders."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(source[1], flags, dir_fd=source[0]), "rb", buffering=0) as data:
        if _cloned(data, work) or (file.stat.st_nlink == 1 and _linked(source, work)):
            return
        with _new(work) as out:
            while chunk := data.read(CHUNK):
                out.write(chunk)
            os.fsync(out.fileno())


def _cloned(data: BinaryIO, work: tuple[int, str]) -> bool:
    with _new(work) as out:
        try:
            fcntl.ioctl(out.fileno(), _CLONE, data.fileno())
            os.fsync(out.fileno())
        except OSError:
            os.unlink(work[1], dir_fd=work[0])
            return False
    return True


def _linked(source: tuple[int, str], work: tuple[int, str]) -> bool:
    try:
        os.link(source[1], work[1], src_dir_fd=source[0], dst_dir_fd=work[0], follow_symlinks=False)
    except OSError:
        return False
    return True


def _new(work: tuple[int, str]) -> BinaryIO:
    fd = os.open(
        work[1], os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644, dir_fd=work[0]
    )
    return os.fdopen(fd, "wb")


def _make(common: Path, folders: list[str]) -> None:
    """Make folders below each other, following no link. Raises OSError."""
    for depth, folder in enumerate(folders):
        parent = directory.open_directory(common, folders[:depth])
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(folder, dir_fd=parent)
        finally:
            os.close(parent)


def _parts(digest: Digest) -> list[str]:
    return ["lfs", "objects", digest.value[:2], digest.value[2:4], digest.value]
