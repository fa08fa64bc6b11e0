"""A DVC project on disk: which of the files that its lock speaks of are there, and are those."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from stemma_attestations.digest import Digest
from stemma_attestations.documents import dvc
from stemma_attestations.errors import BadManifest, BadPath
from stemma_attestations.manifest import Entry, Manifest
from stemma_registry import directory, files
from stemma_registry.config import LIMITS
from stemma_registry.errors import BadTree, NotFound, Unavailable
from stemma_registry.gitrepo.capturing import public_remote
from stemma_registry.gitrepo.surrounding import surrounding
from stemma_registry.importing.taking import Document

LOCK = "dvc.lock"
_CHUNK = 1024 * 1024


def read(folder: Path, scope: str | None) -> Document:
    """The lock of a project. Paths mean something in `scope` only: else where it was cloned from.

    Raises NotFound, BadDocument, Unavailable.
    """
    path = folder / LOCK
    raw = files.read(path, LOCK, LIMITS.import_bytes)
    reading = dvc.read(raw, scope or scope_of(folder), _Files(folder).look)
    return Document(LOCK, raw, dvc.SOURCE, reading)


def scope_of(folder: Path) -> str:
    """Host and path of the remote with the folder's place in it, else the folder's name."""
    here = folder.resolve()
    repository = surrounding(here)
    if repository is None:
        return here.name or "project"
    top = Path(repository.workdir or here).resolve()
    remote = public_remote(repository)
    parts = urlsplit(remote) if remote else None
    base = f"{parts.netloc}{parts.path.removesuffix('.git')}" if parts else top.name
    inside = os.path.relpath(here, top)
    return base if inside == "." else f"{base}/{inside}"


@dataclass(frozen=True)
class _Files:
    root: Path

    def look(self, path: str) -> dvc.Found | None:
        """A file or directory of the project; None where it is neither, or lies outside."""
        clean = os.path.normpath(path)
        if os.path.isabs(clean) or clean.split("/")[0] == "..":
            return None
        if os.path.isdir(self.root / clean) and not os.path.islink(self.root / clean):
            return self._directory(clean)
        hashed = self._file(clean)
        return dvc.Found(hashed[0].sha256, hashed[1]) if hashed else None

    def _file(self, path: str) -> tuple[Entry, str] | None:
        """A file's entry and its MD5, in one pass. Links are not followed."""
        sha, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        try:
            with directory.open_beneath(self.root, path) as source:
                while chunk := source.read(_CHUNK):
                    sha.update(chunk)
                    md5.update(chunk)
                    size += len(chunk)
        except OSError:
            return None
        return Entry(path, size, Digest("sha256", sha.hexdigest())), md5.hexdigest()

    def _directory(self, path: str) -> dvc.Found | None:
        """A directory as the artifact that pushing it would make."""
        try:
            tree = directory.scan(self.root / path)
        except (BadTree, NotFound, Unavailable):
            return None
        read = [(file.path, self._file(f"{path}/{file.path}")) for file in tree.files]
        if tree.oddities or not all(hashed for _, hashed in read):
            return None
        found = [(name, hashed[0], hashed[1]) for name, hashed in read if hashed]
        try:
            manifest = Manifest.of(Entry(name, one.size, one.sha256) for name, one, _ in found)
        except (BadManifest, BadPath):
            return None
        return dvc.Found(
            manifest.digest, dvc.directory_md5([(name, md5) for name, _, md5 in found])
        )
