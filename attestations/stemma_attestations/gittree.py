"""The Git tree that a manifest is: what `git rev-parse REV:path` says of the same files.

https://git-scm.com/book/en/v2/Git-Internals-Git-Objects; the object formats are SHA-1 and
SHA-256 (https://git-scm.com/docs/hash-function-transition). Which files are pointers is said
by `stemma_attestations.gitattributes`, or by whoever asks. When the two are equal, and when
they cannot be, is in docs/formats/aliases.md.

A tree id is an alias, never an identity: it says nothing of which bytes stand behind a pointer
but by that pointer's text, and SHA-1 can be collided.
"""

from __future__ import annotations

import hashlib
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_attestations.gitobject import (
    BLOB,
    DIGITS,
    EXECUTABLE,
    TREE,
    ObjectFormat,
    identify,
)
from stemma_attestations.lfs_pointer import Pointer
from stemma_attestations.manifest import Entry

_FILE, _PROGRAM, _FOLDER = BLOB.encode(), EXECUTABLE.encode(), TREE.encode()


FORMATS: tuple[ObjectFormat, ...] = ("sha1", "sha256")


def format_of(tree: Digest) -> ObjectFormat:
    """By which hash a `gitTree` digest is, which its length tells."""
    return "sha1" if len(tree.value) == DIGITS["sha1"] else "sha256"


class BlobHash:
    """The id of a Git blob of `size` bytes, fed as they come."""

    def __init__(self, form: ObjectFormat, size: int) -> None:
        self._state = hashlib.new(form, b"blob %d\0" % size, usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """The next bytes."""
        self._state.update(data)

    @property
    def id(self) -> bytes:
        """The raw id of all that came."""
        return self._state.digest()


@dataclass
class _Folder:
    files: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)  # mode, blob
    folders: dict[bytes, _Folder] = field(default_factory=dict)


def pointer(entry: Entry) -> bytes:
    """The canonical Git LFS pointer of a file; of an empty one that is nothing, as LFS has it."""
    if entry.size == 0:
        return b""
    return Pointer(entry.sha256, entry.size).raw


def blob_id(form: ObjectFormat, data: bytes) -> bytes:
    """The raw id of a Git blob."""
    return bytes.fromhex(identify("blob", data, form))


def pointer_id(form: ObjectFormat, entry: Entry) -> bytes:
    """The raw id of the blob that stands for a file in LFS: its bytes are not needed."""
    return blob_id(form, pointer(entry))


def tree_id(
    form: ObjectFormat, blobs: Mapping[str, bytes], executable: Container[str] = ()
) -> Digest:
    """The tree of files (path -> raw blob id), each an ordinary one (mode 100644) but for those."""
    top = _Folder()
    for path, blob in blobs.items():
        *parents, name = path.encode().split(b"/")
        here = top
        for parent in parents:
            here = here.folders.setdefault(parent, _Folder())
        here.files[name] = _PROGRAM if path in executable else _FILE, blob
    return Digest("gitTree", _hash(form, top).hex())


def all_pointers(form: ObjectFormat, entries: Iterable[Entry]) -> Digest:
    """The tree where every file is a pointer: of a manifest alone."""
    return tree_id(form, {entry.path: pointer_id(form, entry) for entry in entries})


def _hash(form: ObjectFormat, top: _Folder) -> bytes:
    """Deepest first, without recursion: a path has up to 2,048 components."""
    order, done = [top], dict[int, bytes]()
    for folder in order:  # which grows while it is walked
        order.extend(folder.folders.values())
    for folder in reversed(order):
        items = [(name, mode, blob, name) for name, (mode, blob) in folder.files.items()]
        # Git sorts a folder as if its name ended with a slash.
        items += [
            (name + b"/", _FOLDER, done[id(below)], name) for name, below in folder.folders.items()
        ]
        body = b"".join(mode + b" " + name + b"\0" + blob for _, mode, blob, name in sorted(items))
        done[id(folder)] = bytes.fromhex(identify("tree", body, form))
    return done[id(top)]
