"""Git trees of artifacts: computed from stored bytes where somebody asks, and kept nowhere.

A tree with pointers only follows from the manifest. Any other needs the bytes of what is no
pointer; a search over many artifacts reads few of them (see `LIMITS.tree_*`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stemma_attestations import gitattributes, gittree
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDocument, Undecided
from stemma_attestations.gitobject import ObjectFormat
from stemma_attestations.manifest import Entry
from stemma_registry import gate
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import manifests
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.reference import Resolved
from stemma_registry.registry import Registry, Snapshot


class Pointers(StrEnum):
    """Which files are LFS pointers in the tree."""

    ALL = "all"
    NONE = "none"
    ATTRIBUTES = "attributes"  # those that the artifact's own .gitattributes names


@dataclass(frozen=True)
class Found:
    """The artifacts (nodes) that have a tree, and whether some were not looked at."""

    nodes: tuple[tuple[int, Pointers], ...]
    looked_at: int
    cut: bool


def of_artifact(
    registry: Registry, view: Snapshot, found: Resolved, form: str, pointers: Pointers
) -> Digest:
    """The tree of an artifact, of any size. Raises NotFound, and what `compute` raises."""
    manifest = gate.load_manifest(registry, view, found)
    wanted: ObjectFormat = "sha1" if form == "sha1" else "sha256"
    return compute(registry.store, manifest.entries, wanted, pointers)


def compute(
    store: Store, entries: Sequence[Entry], form: ObjectFormat, pointers: Pointers
) -> Digest:
    """The tree of an artifact's files.

    Raises Undecided where bytes that it takes are lost or damaged, Refused for a
    `.gitattributes` that is not read.
    """
    return _tree(store, entries, form, _plain(store, entries, pointers))


def _tree(
    store: Store, entries: Sequence[Entry], form: ObjectFormat, plain: Sequence[Entry]
) -> Digest:
    read = {entry.path for entry in plain}
    blobs = {}
    for entry in entries:
        if entry.path in read:
            blobs[entry.path] = _blob_id(store, entry, form)
        else:
            blobs[entry.path] = gittree.pointer_id(form, entry)
    return gittree.tree_id(form, blobs)


def search(view: Snapshot, store: Store, tree: Digest) -> Found:
    """The artifacts of which `tree` is a Git tree, the newest first. Raises Undecided."""
    form = gittree.format_of(tree)
    ids, cut = manifests.newest(view.connection, LIMITS.alias_artifacts, LIMITS.alias_files)
    found: list[tuple[int, Pointers]] = []
    room = LIMITS.tree_search_bytes
    for node, entries in manifests.entries(view.connection, ids):
        if gittree.all_pointers(form, entries) == tree:
            found.append((node, Pointers.ALL))
            continue
        for pointers, plain in _kinds(store, entries):
            size = sum(entry.size for entry in plain)
            if size > min(room, LIMITS.tree_bytes):
                cut = True
                continue
            room -= size
            try:
                if _tree(store, entries, form, plain) == tree:
                    found.append((node, pointers))
                    break
            except Undecided:
                cut = True
    return Found(tuple(found), len(ids), cut)


def aliases(store: Store | None, entries: Sequence[Entry]) -> Iterator[Digest]:
    """Every Git tree of an artifact that can be told without reading much; none without a store."""
    for form in gittree.FORMATS:
        yield gittree.all_pointers(form, entries)
        if store is None:
            continue
        for _, plain in _kinds(store, entries):
            if sum(entry.size for entry in plain) <= LIMITS.tree_bytes:
                try:
                    yield _tree(store, entries, form, plain)
                except Undecided:
                    continue


def _kinds(store: Store, entries: Sequence[Entry]) -> Iterator[tuple[Pointers, list[Entry]]]:
    """The ways of committing that are not pointers alone, each once, and what they take to read."""
    said: list[Entry] | None = None
    with contextlib.suppress(Refused, Undecided):
        said = _plain(store, entries, Pointers.ATTRIBUTES)
    if said is not None:
        yield Pointers.ATTRIBUTES, said
    if said is None or len(said) < len(entries):
        yield Pointers.NONE, list(entries)


def _plain(store: Store, entries: Sequence[Entry], pointers: Pointers) -> list[Entry]:
    """The files that are themselves in the tree. Raises Undecided, Refused."""
    if pointers is Pointers.ALL:
        return []
    if pointers is Pointers.NONE:
        return list(entries)
    said = [e for e in entries if e.path.rpartition("/")[2] == gitattributes.NAME]
    if sum(entry.size for entry in said) > gitattributes.MAX_BYTES:
        raise Refused(f".gitattributes of more than {gitattributes.MAX_BYTES} bytes are not read")
    try:
        rules = gitattributes.rules({e.path: _read(store, e) for e in said})
    except BadDocument as error:
        raise Refused(f"{error}; ask for `--pointers all` or `none`") from error
    return [entry for entry in entries if not gitattributes.is_pointer(rules, entry.path)]


def _read(store: Store, entry: Entry) -> bytes:
    try:
        return get_bytes(store, entry.sha256, gitattributes.MAX_BYTES)
    except (BlobMissing, Damaged) as error:
        raise Undecided(f"{entry.path}: {error}") from error


def _blob_id(store: Store, entry: Entry, form: ObjectFormat) -> bytes:
    state, size = gittree.BlobHash(form, entry.size), 0
    try:
        for chunk in store.chunks(entry.sha256):
            size += len(chunk)
            state.update(chunk)
    except (BlobMissing, Damaged) as error:
        raise Undecided(f"{entry.path}: {error}") from error
    if size != entry.size:
        raise Undecided(f"{entry.path}: {size} bytes, and its manifest says {entry.size}")
    return state.id
