"""Which artifact a commit itself holds under a name: a folder, its Git LFS pointers followed.

Where the folder is, GTO's `artifacts.yaml` says; else it is the folder of that name. No byte that
a pointer stands for is read: it names its SHA-256 and its size.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
from collections.abc import Iterable, Mapping

from stemma_attestations import gitobject, lfs_pointer, yaml_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDocument, Malformed
from stemma_attestations.gitobject import BadObject, TreeEntry
from stemma_attestations.manifest import Entry, Manifest
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Refused
from stemma_registry.gitrepo import bulk
from stemma_registry.gitrepo.repository import File, Repository

ANNOTATIONS = "artifacts.yaml"
Root = Mapping[bytes, TreeEntry]


def roots_of(repository: Repository, commits: Iterable[str]) -> dict[str, Root]:
    """The top folder of each commit, by few calls of Git; without those that cannot be read."""
    trees: dict[str, str] = {}
    for name, found in bulk.read(repository, commits, LIMITS.git_object_bytes):
        if found.kind == "commit":
            with contextlib.suppress(BadObject):
                trees[name] = gitobject.commit(found.data).tree
    roots: dict[str, Root] = {}
    for name, found in bulk.read(repository, trees.values(), LIMITS.git_object_bytes):
        if found.kind == "tree":
            with contextlib.suppress(BadObject):
                entries = gitobject.tree(found.data, repository.object_format)
                roots[name] = {entry.name: entry for entry in entries}
    return {commit: roots[tree] for commit, tree in trees.items() if tree in roots}


def manifest_of(repository: Repository, commit: str, root: Root, name: str) -> Digest | None:
    """The digest of what a commit holds under a name; None where that is no artifact.

    Raises Unavailable.
    """
    try:
        path = _path(repository, root, name)
        if path is None or os.fsencode(path.split("/")[0]) not in root:
            return None
        mode, found = repository.at(commit, path)
        if mode == gitobject.TREE:
            files = repository.files(found)
        else:
            files = [File(posixpath.basename(path), mode, found)]
        return _manifest(repository, files)
    except (NotFound, Damaged, Refused, Malformed):
        return None


def _path(repository: Repository, root: Root, name: str) -> str | None:
    """Where it is, inside the repository."""
    path, listed = name, root.get(ANNOTATIONS.encode())
    try:
        if listed is not None:
            raw = repository.blob(listed.id, yaml_strict.MAX_BYTES)
            document = yaml_strict.load(raw, BadDocument)
            entry = document.get(name) if isinstance(document, dict) else None
            if isinstance(entry, dict) and isinstance(entry.get("path"), str):
                path = entry["path"]
    except (NotFound, Damaged, Refused, BadDocument):
        pass  # then nothing is said, and the folder of that name is looked at
    clean = posixpath.normpath(path)
    inside = not posixpath.isabs(clean) and clean.split("/")[0] not in ("..", ".")
    return clean if inside else None


def _manifest(repository: Repository, files: list[File]) -> Digest | None:
    if not files or len(files) > LIMITS.tag_folder_files:
        return None
    entries, left = [], LIMITS.tag_folder_bytes
    for file in files:
        if file.mode not in (gitobject.BLOB, gitobject.EXECUTABLE):
            return None
        data = repository.blob(file.id, min(left, LIMITS.git_object_bytes))
        left -= len(data)
        pointer = lfs_pointer.parse(data)
        if pointer is None:
            entries.append(Entry(file.path, len(data), Digest.of(data)))
        elif pointer.extended:
            return None  # a program makes the file of what the pointer names
        else:
            entries.append(Entry(file.path, pointer.size, pointer.sha256))
    return Manifest.of(entries).digest
