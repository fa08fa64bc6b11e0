"""A model that was judged, to be read by the process that asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from stemma_attestations.errors import BytesDiffer
from stemma_attestations.manifest import Entry
from stemma_attestations.names import NameVersion
from stemma_attestations.verdict import Verdict
from stemma_registry import directory
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Unavailable
from stemma_registry.registry import Registry
from stemma_registry.serving import sealed, tensors
from stemma_registry.serving.asking import Approved, Place, Question, approve, check_standing
from stemma_registry.serving.private import (
    Fetch,
    PrivateDirectory,
    base_for,
    from_directory,
    from_store,
)

MODEL = "model"


class VerifiedModel:
    """Files of one artifact, copied and hashed after its verdict was a yes.

    `path` is a private tree of these files and nothing else, read-only. Nothing that is
    done to where they came from changes them. It goes with `close`, or the `with` block.
    """

    def __init__(self, approved: Approved, private: PrivateDirectory, path: Path) -> None:
        self.verdict: Verdict = approved.verdict
        self.files: Mapping[str, Entry] = approved.manifest.by_path
        self.path = path
        self._approved, self._private = approved, private
        self._looks = {name: _look(os.stat(path / name)) for name in self.files}

    def open(self, path: str) -> BinaryIO:
        """A file of the artifact, for reading.

        A small one is a sealed file in memory, hashed as it is filled. A larger one is the
        private copy, which was hashed as it was made. Raises NotFound, BytesDiffer, Unavailable.
        """
        entry = self._entry(path)
        source = self._source(path)
        if entry.size > LIMITS.sealed_bytes or not sealed.available():
            return source
        with source:
            try:
                return sealed.sealed_copy(source, entry.sha256, entry.size)
            except Damaged as error:
                raise BytesDiffer(f"{path}: {error}") from error

    def load_safetensors(self, path: str) -> dict[str, Any]:
        """The tensors of a file, by name: read-only NumPy arrays (a Tensor where it has no type).

        What is hashed is the very memory that is handed out. Raises NotFound, BytesDiffer,
        Unavailable, and NotVerified for a header that breaks a rule.
        """
        entry = self._entry(path)
        with self._source(path) as source:
            try:
                return tensors.load(source, entry)
            except OSError as error:
                raise Unavailable(f"cannot read {path}: {error.strerror}") from error

    def check_standing(self, place: Place) -> None:
        """Ask again whether it is stopped; no file is read. Raises Quarantined, Undecided."""
        with place.view() as (registry, view):
            check_standing(registry, view, self._approved)

    def close(self) -> None:
        """Remove the private copy. Files that are open stay readable."""
        self._private.close()

    def _entry(self, path: str) -> Entry:
        entry = self.files.get(path)
        if entry is None:
            raise NotFound(f"{self.verdict.resource} has no file {path!r:.200}")
        return entry

    def _source(self, path: str) -> BinaryIO:
        try:
            source = directory.open_beneath(self.path, path)
        except OSError as error:
            raise Unavailable(f"cannot read {path}: {error.strerror}") from error
        if _look(os.fstat(source.fileno())) != self._looks[path]:
            source.close()
            raise BytesDiffer(f"{path}: the private copy was changed")
        return source

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def open_verified(
    subject: str | Path,
    *,
    expected: str | None = None,
    registry: str | None = None,
    trust: str | None = None,
    home: Path | None = None,
    folder: Path | None = None,
    policy: str | None = None,
    stage: str | None = None,
    progress: Progress | None = None,
) -> VerifiedModel:
    """Judge a reference (text), or a directory (a Path, or `expected` says what it should be).

    What is not said comes from where the command line has it: $STEMMA_REGISTRY,
    $STEMMA_HOME, the home's trust root and policy. `folder` is where the private copy is made.
    Raises NotVerified and its kin where the verdict is no yes, NotFound, Unavailable, Refused.
    """
    place = Place.of(os.environ, registry, home, trust)
    name = NameVersion.parse(expected) if expected is not None else None
    text = f"./{subject}" if isinstance(subject, Path) and not subject.is_absolute() else subject
    question = Question(str(text), name, place.terms(policy, stage))
    with place.view() as (store, view):
        (approved,) = approve(store, view, [question], progress)
        base = folder or base_for(place.home, os.environ, approved.manifest.size)
        private = PrivateDirectory(base)
        try:
            path = private.put(MODEL, approved.manifest, fetch_for(store, approved), progress)
            model = VerifiedModel(approved, private, path)
            model.check_standing(place)  # copying may have taken long
        except BaseException:
            private.close()
            raise
    return model


def fetch_for(registry: Registry, approved: Approved) -> Fetch:
    """Where the bytes of a yes are to be had: in the directory that was judged, or the store."""
    root = approved.question.directory
    return from_store(registry.store) if root is None else from_directory(root)


def _look(found: os.stat_result) -> tuple[int, ...]:
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
