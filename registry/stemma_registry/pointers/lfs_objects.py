"""The objects that `git lfs` keeps in a repository: `lfs/objects/aa/bb/OID` of its Git directory.

They are read and written so that `git lfs checkout` and `git lfs push` find what they need. What
is there is not believed: whoever takes bytes from here hashes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry import directory
from stemma_registry.blobs.streams import CHUNK
from stemma_registry.directory import Found
from stemma_registry.errors import BlobMissing, Refused
from stemma_registry.pointers import worktree
from stemma_registry.pointers.worktree import WORK, folder_at, make_folders

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


@contextlib.contextmanager
def placing(common: Path, root: Path, file: Found, digest: Digest) -> Iterator[None]:
    """Keep a file's bytes among the objects, if the block that takes them away ends well.

    The blocks are shared where the file system can; else a file that has no other name is not
    copied either: its bytes go under this one. They get it last: as long as they have their own
    name somebody may write to them. Raises Refused where the file changed meanwhile; whatever
    else is the matter, there is no object, and the registry has the bytes.
    """
    work = f"stemma-{secrets.token_hex(8)}"
    made = _prepared(common, root, file, digest, work)
    try:
        yield
        if made:
            with contextlib.suppress(OSError):
                _name(common, work, digest)
    finally:
        if made:
            with contextlib.suppress(OSError), folder_at(common, WORK) as folder:
                os.unlink(work, dir_fd=folder)


def _prepared(common: Path, root: Path, file: Found, digest: Digest, work: str) -> bool:
    """Whether there is a work file with the bytes now; none is needed for what is there."""
    there = opened(common, digest, file.stat.st_size)
    if there is not None:
        there.close()
        return False
    *parents, own = file.path.split("/")
    try:
        make_folders(common, WORK)
        with folder_at(common, WORK) as target, folder_at(root, parents) as source:
            _same_bytes((source, own), (target, work), file)
            now = os.stat(own, dir_fd=source, follow_symlinks=False)
            try:
                worktree.check_same(file, now)
            except Refused:
                os.unlink(work, dir_fd=target)
                raise
    except OSError:
        return False
    return True


def _name(common: Path, work: str, digest: Digest) -> None:
    *folders, name = _parts(digest)
    make_folders(common, folders)
    with folder_at(common, WORK) as source, folder_at(common, folders) as target:
        os.rename(work, name, src_dir_fd=source, dst_dir_fd=target)
        os.fsync(target)


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


def _parts(digest: Digest) -> list[str]:
    return ["lfs", "objects", digest.value[:2], digest.value[2:4], digest.value]
