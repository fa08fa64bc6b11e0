"""Git trees of artifacts: computed from stored bytes where somebody asks, and kept nowhere.

A tree with pointers only follows from the manifest. Any other needs the bytes of what is no
pointer; a search over many artifacts reads few of them (see `LIMITS.tree_*`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from stemma_attestations import gitattributes, gittree
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDocument, Undecided
from stemma_attestations.gitobject import ObjectFormat
from stemma_attestations.manifest import Entry
from stemma_attestations.predicates.git_layout import Layout
from stemma_registry import gate, layouts
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import manifests
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.reference import Resolved
from stemma_registry.registry import Registry, Snapshot


class Pointers(StrEnum):
    """Which files are LFS pointers in the tree."""

    ALL = "all"
    NONE = "none"
    ATTRIBUTES = "attributes"  # those that the artifact's own .gitattributes names
    SAID = "said"  # those that somebody says who published it from Git


@dataclass(frozen=True)
class Found:
    """The artifacts (nodes) that have a tree, and whether some were not looked at."""

    nodes: tuple[tuple[int, Pointers], ...]
    looked_at: int
    cut: bool


@dataclass(frozen=True)
class _Way:
    """A way of committing: which files are no pointers, which are programs, and on whose word.

    `believed` is None where it is nobody's word.
    """

    pointers: Pointers
    plain: tuple[Entry, ...]
    executable: frozenset[str] = frozenset()
    believed: bool | None = None

    @classmethod
    def of_layout(cls, entries: Sequence[Entry], layout: Layout, believed: bool) -> _Way:
        plain = tuple(entry for entry in entries if not layout.is_pointer(entry.path))
        return cls(Pointers.SAID, plain, layout.executable, believed)


def of_artifact(
    registry: Registry, view: Snapshot, found: Resolved, form: str, pointers: Pointers
) -> Digest:
    """The tree of an artifact, of any size.

    Raises NotFound, Undecided where bytes that it takes are lost or damaged, and Refused for a
    `.gitattributes` that is not read and for a layout that nobody said.
    """
    entries = gate.load_manifest(registry, view, found).entries
    wanted: ObjectFormat = "sha1" if form == "sha1" else "sha256"
    if pointers is Pointers.SAID:
        facts = layouts.said(view, [found.node]).get(found.node, ())
        way = next(_said(registry.store, entries, facts), None)
        if way is None:
            raise Refused(
                f"nobody said which files of {found.label} are pointers in Git (`stemma add` and "
                "`stemma import git` do); ask for `--pointers attributes`, `all` or `none`"
            )
    else:
        way = _Way(pointers, tuple(_plain(registry.store, entries, pointers)))
    return _Hashing(registry.store, wanted).tree(entries, way)


def search(view: Snapshot, store: Store, tree: Digest) -> Found:
    """The artifacts of which `tree` is a Git tree, the newest first. Raises Undecided."""
    ids, cut = manifests.newest(view.connection, LIMITS.alias_artifacts, LIMITS.alias_files)
    said = layouts.said(view, ids)
    hashing = _Hashing(store, gittree.format_of(tree))
    found: list[tuple[int, Pointers]] = []
    # What one kind of word takes leaves the others what is theirs.
    room = dict.fromkeys((None, True, False), LIMITS.tree_search_bytes)
    for node, entries in manifests.entries(view.connection, ids):
        if gittree.all_pointers(hashing.form, entries) == tree:
            found.append((node, Pointers.ALL))
            continue
        for way in _ways(store, entries, said.get(node, ())):
            size = hashing.unread(way)
            if size > room[way.believed] or _size(way) > LIMITS.tree_bytes:
                cut = True
                continue
            room[way.believed] -= size
            try:
                if hashing.tree(entries, way) == tree:
                    found.append((node, way.pointers))
                    break
            except Undecided:
                cut = True
    return Found(tuple(found), len(ids), cut)


def aliases(
    view: Snapshot, store: Store | None, node: int, entries: Sequence[Entry]
) -> Iterator[Digest]:
    """Every Git tree of an artifact that can be told without reading much; few without a store."""
    for form in gittree.FORMATS:
        yield gittree.all_pointers(form, entries)
    if store is None:
        return
    ways = list(_ways(store, entries, layouts.said(view, [node]).get(node, ())))
    for form in gittree.FORMATS:
        hashing = _Hashing(store, form)
        for way in ways:
            if _size(way) <= LIMITS.tree_bytes:
                with contextlib.suppress(Undecided):
                    yield hashing.tree(entries, way)


class _Hashing:
    """Computes trees, and reads the bytes of each file once, however many trees have it."""

    def __init__(self, store: Store, form: ObjectFormat) -> None:
        self.form = form
        self._store, self._known = store, dict[Digest, bytes]()

    def unread(self, way: _Way) -> int:
        """How many bytes a tree takes that were not read yet."""
        sizes = {e.sha256: e.size for e in way.plain if e.sha256 not in self._known}
        return sum(sizes.values())

    def tree(self, entries: Sequence[Entry], way: _Way) -> Digest:
        """The tree of these files. Raises Undecided."""
        plain = {entry.path for entry in way.plain}
        blobs = {
            entry.path: self._blob(entry)
            if entry.path in plain
            else gittree.pointer_id(self.form, entry)
            for entry in entries
        }
        return gittree.tree_id(self.form, blobs, way.executable)

    def _blob(self, entry: Entry) -> bytes:
        if entry.sha256 not in self._known:
            self._known[entry.sha256] = _blob_id(self._store, entry, self.form)
        return self._known[entry.sha256]


def _ways(
    store: Store, entries: Sequence[Entry], facts: Iterable[tuple[Fact, bool]]
) -> Iterator[_Way]:
    """The ways of committing that are not pointers alone, and what they take to read."""
    yield from _said(store, entries, facts)
    own: list[Entry] | None = None
    with contextlib.suppress(Refused, Undecided):
        own = _plain(store, entries, Pointers.ATTRIBUTES)
    if own is not None:
        yield _Way(Pointers.ATTRIBUTES, tuple(own))
    if own is None or len(own) < len(entries):
        yield _Way(Pointers.NONE, tuple(entries))


def _said(
    store: Store, entries: Sequence[Entry], facts: Iterable[tuple[Fact, bool]]
) -> Iterator[_Way]:
    for fact, believed in facts:
        layout = layouts.read(store, fact)
        if layout is not None:
            yield _Way.of_layout(entries, layout, believed)


def _size(way: _Way) -> int:
    return sum(entry.size for entry in way.plain)


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
