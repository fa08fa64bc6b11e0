"""`stemma checkout`: pointers of a work tree get the bytes that they stand for.

Every byte is hashed on its way. What is quarantined, or erased, is refused. Only a file that is
a pointer is replaced; whatever else is in the work tree stays.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer, Quarantined, StemmaError, Undecided
from stemma_attestations.lfs_pointer import Pointer
from stemma_attestations.manifest import Entry
from stemma_attestations.verify import explain
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.directory import Found, in_parallel
from stemma_registry.errors import BlobMissing, Damaged, Refused, Unavailable
from stemma_registry.lineage import erased, status
from stemma_registry.lineage.erased import Tombstone
from stemma_registry.pointers import attributes, index, worktree
from stemma_registry.pointers.contents import EXTENDED
from stemma_registry.pointers.worktree import Place
from stemma_registry.registry import Registry, Snapshot

_NOT_HANDED = (
    "Git does not hand it to Git LFS, and would commit the bytes; "
    "`git lfs track` it, or `stemma add` it"
)


@dataclass(frozen=True)
class Left:
    """A pointer that is one still, and why."""

    path: str
    error: StemmaError


@dataclass(frozen=True)
class Restored:
    """What came of it. Paths are the work tree's."""

    written: tuple[Entry, ...]
    left: tuple[Left, ...]


@dataclass
class Judge:
    """Says of blobs whether they may be handed out, each once."""

    view: Snapshot
    store: Store
    allow_quarantined: bool = False
    _stones: dict[Digest, Tombstone] | None = None
    _stops: dict[int, str | None] = field(default_factory=dict)

    def check(self, pointer: Pointer) -> None:
        """Raises BlobMissing, Quarantined, Undecided, BytesDiffer, Refused."""
        if pointer.extended:
            raise Refused(EXTENDED)
        if self._stones is None:
            self._stones = erased.tombstones(self.view)
        stone, size = self._stones.get(pointer.sha256), self.store.size(pointer.sha256)
        if stone is not None and (stone.believed or size is None):
            raise BytesDiffer(stone.missing)
        if size is None:
            raise BlobMissing(f"the registry does not have its bytes ({pointer.sha256.short})")
        if size != pointer.size:
            raise BytesDiffer(f"its pointer says {pointer.size} bytes, and there are {size}")
        if not self.allow_quarantined and (why := self._stopped(pointer.sha256)) is not None:
            raise Quarantined(why)

    def _stopped(self, blob: Digest) -> str | None:
        """Why a blob is not handed out: itself, or each artifact that has it, is stopped."""
        node = query.node_id(self.view.connection, blob)
        if node is None:
            return None  # nothing was ever said of it
        own = self._stop(node)
        if own is not None:
            return own
        holders = dict.fromkeys(
            part.artifact_id for part in query.containers(self.view.connection, [node])
        )
        why = None
        for holder in list(holders)[: LIMITS.names]:  # so many that are stopped are enough
            why = self._stop(holder)
            if why is None:
                return None
        return why

    def _stop(self, node: int) -> str | None:
        """Why a node is stopped. Raises Undecided."""
        if node not in self._stops:
            view = self.view
            upstream = status.view(view, node, None)
            # Who believes nobody cannot tell a real stop from a forged one: any stop holds.
            stops = upstream.stops or (() if view.trust.signers else upstream.suspects)
            if not stops and upstream.undecided:
                raise Undecided(upstream.undecided)
            self._stops[node] = "; ".join(explain(stops[0])) if stops else None
        return self._stops[node]


def checkout(
    registry: Registry,
    view: Snapshot,
    paths: Sequence[Path],
    *,
    allow_quarantined: bool = False,
    progress: Progress | None = None,
) -> Restored:
    """Bring the bytes of all pointers at or below the paths.

    Raises NotFound and Refused for a path that is in no work tree; what is the matter with one
    pointer is among those that are left.
    """
    judge = Judge(view, registry.store, allow_quarantined)
    places: dict[Path, Place] = {}
    wanted: dict[tuple[Path, str], tuple[Found, Pointer]] = {}
    left: dict[tuple[Path, str], Left] = {}
    for place in map(worktree.find, paths):
        places[place.root] = place
        found = _pointers(place)
        handed = attributes.filtered(place, (file.path for file, _ in found))
        for file, pointer in found:
            key = (place.root, file.path)
            try:
                if file.path not in handed:
                    raise Refused(_NOT_HANDED)
                judge.check(pointer)
            except StemmaError as error:
                left[key] = Left(file.path, error)
            else:
                wanted[key] = file, pointer
    if progress is not None:
        progress.expect(sum(pointer.size for _, pointer in wanted.values()))
    done = list(_write(registry.store, places, wanted.items(), progress))
    written = [one for one in done if isinstance(one, Entry)]
    more = [one for one in done if isinstance(one, Left)]
    for root, place in places.items():
        here = {path: pointer for (top, path), (_, pointer) in wanted.items() if top == root}
        index.refresh(place, here)
    return Restored(
        tuple(sorted(written)), tuple(sorted([*left.values(), *more], key=lambda one: one.path))
    )


def worst(left: Iterable[Left]) -> StemmaError | None:
    """What weighs most among the reasons why pointers were left."""
    errors = [one.error for one in left]
    for kind in (BytesDiffer, Damaged, Quarantined, Undecided, Unavailable, StemmaError):
        for error in errors:
            if isinstance(error, kind):
                return error
    return None


def _pointers(place: Place) -> list[tuple[Found, Pointer]]:
    """The files below a place that are pointers now."""
    found = []
    for file in worktree.tracked(place):
        pointer = worktree.pointer_at(place.root, file)
        if pointer is not None:
            found.append((file, pointer))
    return found


def _write(
    store: Store,
    places: Mapping[Path, Place],
    wanted: Iterable[tuple[tuple[Path, str], tuple[Found, Pointer]]],
    progress: Progress | None,
) -> Iterable[Entry | Left]:
    """Put the bytes in the place of each pointer; what became of it."""

    def write(item: tuple[tuple[Path, str], tuple[Found, Pointer]]) -> Entry | Left:
        (root, _), (file, pointer) = item

        def fill(out: BinaryIO) -> None:
            store.fetch(pointer.sha256, out, progress)
            if os.fstat(out.fileno()).st_size != pointer.size:
                raise Damaged(f"blob {pointer.sha256.short} has another size than its pointer says")

        try:
            worktree.replace(places[root], file, fill)
        except StemmaError as error:
            return Left(file.path, error)
        return Entry(file.path, pointer.size, pointer.sha256)

    return in_parallel(write, wanted, LIMITS.transfers)
