"""The private store that a dossier is opened into; the files of its artifact lie elsewhere."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.streams import hash_stream
from stemma_registry.directory import CHANGED, open_beneath
from stemma_registry.errors import Damaged

_Stamp = tuple[int, int, int, int, int]


class HeldStore(MemoryStore):
    """What came in a dossier, in memory.

    Ranges of the artifact's own files, for who looks at their formats, are read from the
    directory that is judged. Such a file is hashed when it is opened, and must not change
    from then on.
    """

    def __init__(self, path: Path, blobs: Mapping[Digest, bytes]) -> None:
        super().__init__()
        self.blob_bytes.update(blobs)
        self._path = path
        self._root: Path | None = None
        self._files: Mapping[Digest, str] = {}
        self._reading = threading.Lock()
        self._open: tuple[Digest, BinaryIO, _Stamp] | None = None

    @property
    def location(self) -> str:
        return f"dossier:{self._path}"

    def hold(self, data: bytes) -> Digest:
        """Keep one more; its digest."""
        digest = Digest.of(data)
        self.blob_bytes[digest] = data
        return digest

    def beside(self, root: Path, files: Mapping[Digest, str]) -> None:
        """Read these from below a directory."""
        self._root, self._files = root, files

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        if digest in self.blob_bytes or digest not in self._files or self._root is None:
            return super().read_range(digest, start, length)
        with self._reading:
            source, stamp = self._opened(self._root, digest)
            data = os.pread(source.fileno(), length, start)
            if _stamp(source) != stamp:
                raise Damaged(f"{self._files[digest]} is {CHANGED}")
        return data

    def close(self) -> None:
        """Close the file that was read last."""
        if self._open is not None:
            self._open[1].close()
            self._open = None

    def _opened(self, root: Path, digest: Digest) -> tuple[BinaryIO, _Stamp]:
        if self._open is not None and self._open[0] == digest:
            return self._open[1:]
        self.close()
        path = self._files[digest]
        try:
            source = open_beneath(root, path)
        except OSError as error:
            raise Damaged(f"{path} cannot be read again: {error.strerror}") from error
        stamp = _stamp(source)
        self._open = digest, source, stamp
        if hash_stream(source, stamp[2])[0] != digest:
            raise Damaged(f"{path} is {CHANGED}")
        return source, stamp


def _stamp(source: BinaryIO) -> _Stamp:
    at = os.fstat(source.fileno())
    return at.st_dev, at.st_ino, at.st_size, at.st_mtime_ns, at.st_ctime_ns
