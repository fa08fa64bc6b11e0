"""`stemma verify --git`: the gate's verdict on what a commit points to, without a checkout.

What a commit holds at a path is held against an artifact as a directory is: pointers give
digests, other files are hashed. Where the path as a whole is no artifact, each folder below it
that is one is judged, and nothing that Git LFS has may be left over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified, Undecided
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.verdict import SEVERITY, Verdict
from stemma_registry import directory, gate
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.errors import BadTree
from stemma_registry.gate import Subject, Terms
from stemma_registry.lineage import erased
from stemma_registry.lineage.erased import Tombstone
from stemma_registry.pointers.contents import Contents, Held
from stemma_registry.reference import Resolved, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.serving.sets import severity


@dataclass(frozen=True)
class Judged:
    """One artifact, or what is none, of a commit. `failure` is None for a yes."""

    path: str
    verdict: Verdict | None
    failure: NotVerified | None


def judge(
    registry: Registry,
    view: Snapshot,
    contents: Contents,
    repository: str,
    expected: NameVersion | None,
    terms: Terms,
) -> list[Judged]:
    """The verdict on what a commit holds at a path; several where the path holds several artifacts.

    Never nothing: what is known as no artifact is a no. Raises NotFound for an expectation that
    nothing is named, Undecided for more than is judged, Unavailable.
    """
    ask = _Asking(registry, view, repository, terms)
    if expected is not None:
        return [ask.held_against(contents, expected)]
    parts = list(ask.parts(contents))
    if len(parts) > LIMITS.git_artifacts:
        raise Undecided(
            f"more than {LIMITS.git_artifacts} artifacts in {contents.path or 'it'}; name a path"
        )
    return [ask.recognised(part) for part in parts or [contents]]


@dataclass(frozen=True)
class _Asking:
    registry: Registry
    view: Snapshot
    repository: str
    terms: Terms

    def parts(self, contents: Contents) -> Iterator[Contents]:
        """The largest folders that are artifacts, and what is left over and has pointers."""
        if self._is_known(contents):
            yield contents
            return
        if not contents.pointers:
            return
        folders, direct = contents.children()
        for folder in folders.values():
            yield from self.parts(folder)
        pointers = [one for one in direct if one.pointers]
        known = [one for one in pointers if self._is_known(one)]
        yield from known
        if len(known) < len(pointers):
            yield contents  # as a whole it is nothing that is known, and that is the answer

    def _is_known(self, contents: Contents) -> bool:
        try:
            manifest = directory.manifest_of(Path(contents.path), contents.observed)
        except BadTree:
            return False
        node = query.node_id(self.view.connection, manifest.digest)
        return node is not None and bool(query.artifacts(self.view.connection, [node]))

    def held_against(self, contents: Contents, expected: NameVersion) -> Judged:
        """Judged as what it should be."""
        found = resolve(self.view, str(expected))
        manifest = gate.load_manifest(self.registry, self.view, found)
        return self._judged(contents, found, manifest, f"is held against {expected}")

    def recognised(self, contents: Contents) -> Judged:
        """Judged as what its bytes are known as."""
        label = Path(self._label(contents))
        try:
            found, manifest = gate.recognise(self.view, label, contents.observed)
        except NotVerified as error:
            return Judged(contents.path, None, error)
        return self._judged(contents, found, manifest, f"has the bytes of {found.label}")

    def _judged(self, contents: Contents, found: Resolved, manifest: Manifest, how: str) -> Judged:
        where = contents.path or "the whole tree"
        stones = erased.inside(self.view, manifest, found.name.name if found.name else None)
        subject = Subject(
            self._label(contents),
            found,
            manifest,
            self._observed(contents, stones),
            (f"{where} of commit {contents.commit} {how}", str(manifest.digest)),
        )
        try:
            verdict = gate.judge(self.registry, self.view, subject, self.terms)
        except NotVerified as error:
            return Judged(contents.path, error.verdict, error)
        return Judged(contents.path, verdict, None)

    def _observed(self, contents: Contents, stones: Mapping[Digest, Tombstone]) -> Observed:
        """What is meant, but for pointers to what the registry does not have."""

        def missing(held: Held) -> str | None:
            pointer = held.pointer
            if pointer is None:
                return None
            stone, size = stones.get(pointer.sha256), self.registry.store.size(pointer.sha256)
            if stone is not None and stone.believed:
                return stone.text
            if size is None:
                return stone.missing if stone else "missing from the store"
            if size != pointer.size:
                return f"its pointer says {pointer.size} bytes, and there are {size}"
            return None

        entries: list[Entry] = []
        odd = list(contents.oddities)
        looked = directory.in_parallel(missing, contents.files, LIMITS.transfers)
        for held, what in zip(contents.files, looked, strict=True):
            if what is None:
                entries.append(held.entry)
            else:
                odd.append((held.entry.path, what))
        return Observed(tuple(entries), tuple(sorted(odd)))

    def _label(self, contents: Contents) -> str:
        path = f":{contents.path}" if contents.path else ""
        return f"{self.repository}@{contents.commit[:12]}{path}"


def worst(judged: Sequence[Judged]) -> NotVerified | None:
    """The most severe no; an Undecided only where nothing definitely failed."""
    found = [one.failure for one in judged if one.failure is not None]
    for kind in (*SEVERITY, Undecided):
        for failure in found:
            if severity(failure) is kind:
                return failure
    return None
