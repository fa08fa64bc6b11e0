"""`stemma add`: publish what lies in a work tree, and leave pointers in its place.

In this order, so that whoever is killed has lost nothing: the artifact is durable in the
registry, `.gitattributes` hands its paths to Git LFS, and then each file is replaced, whole or
not at all. Done again, it goes on where it was.
"""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.lfs_pointer import Pointer
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import git_layout
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.trust import TrustRoot
from stemma_registry import publish
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.directory import Found, Tree
from stemma_registry.errors import BadTree, NotFound, Refused, Unavailable
from stemma_registry.gitrepo.capturing import capture
from stemma_registry.intake import Intake, Known
from stemma_registry.pointers import attributes, index, laying, lfs_objects, worktree
from stemma_registry.pointers.contents import EXTENDED
from stemma_registry.pointers.worktree import Place
from stemma_registry.publish import Published, Push
from stemma_registry.reference import labels
from stemma_registry.registry import Registry, snapshot
from stemma_registry.signing import Signer
from stemma_registry.stat_cache import StatCache

OVER = 1_000_000  # bytes, from which on a text is too much for a review
_GITS = (".gitattributes", ".gitignore", ".gitmodules", ".lfsconfig", ".gitkeep")
_LOOKED = 8_000  # bytes in which Git looks for a NUL, to tell what is no text


@dataclass(frozen=True)
class Named:
    """As what it is published, and what is said about it (see `Push`)."""

    name: NameVersion
    kind: str
    inputs: Sequence[tuple[str, str]] = ()
    parameters: Sequence[tuple[str, str]] = ()
    build: str | None = None


@dataclass(frozen=True)
class Wish:
    """How it is done. Texts of up to `over` bytes stay what they are.

    `objects`: the bytes are kept among those of `git lfs`, too.
    """

    over: int = OVER
    objects: bool = True
    stat_cache: bool = True


@dataclass(frozen=True)
class Added:
    """What came of it. Paths are the work tree's.

    `published` is None where the bytes were known; `laid` is then the entry that says how they are
    committed, where a signer was given who had not said so. `written` are the files that are
    pointers now, `were` those that had been before, `kept` those that are none.
    """

    artifact: Digest
    label: str
    published: Published | None
    written: tuple[Entry, ...]
    were: tuple[str, ...]
    kept: tuple[str, ...]
    attributes: tuple[str, ...]
    laid: int | None = None


def add(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer | None,
    path: Path,
    named: Named | None,
    wish: Wish,
    now: datetime,
    progress: Progress | None = None,
) -> Added:
    """Publish a file or a directory and replace what is large in it by pointers.

    Without a name its bytes are an artifact of the registry, and a signer only says how it is
    committed. Raises NotFound, Refused, BadTree and Unavailable, and what `publish` raises.
    """
    place = worktree.find(path)
    job = _Job(registry, trust, place, wish, now)
    with job.attributes_if_inside() as early:
        manifest, label, done = job.known_or_published(named, signer, progress)
        laid = job.laid(signer, manifest) if done is None and signer is not None else None
    try:
        told = [*early, *attributes.extend(place, job.lines())]
        job.check_attributes()
        written = tuple(job.replaced(manifest))
        index.refresh(place, {entry.path: Pointer(entry.sha256, entry.size) for entry in written})
    except Unavailable as error:  # a full disk, say
        entry = None if done is None else done.entry
        there = "in the registry" if entry is None else f"published (ledger entry {entry})"
        raise Unavailable(
            f"{error}; {label} is {there} already, and the work tree is not done: add it again"
        ) from error
    return Added(
        manifest.digest,
        label,
        done,
        written,
        tuple(sorted(place.whole(path) for path in job.were)),
        tuple(place.whole(file.path) for file in job.kept),
        tuple(told),
        laid,
    )


class _Job:
    """One place on its way: which of its files become pointers, and which are."""

    def __init__(
        self, registry: Registry, trust: TrustRoot, place: Place, wish: Wish, now: datetime
    ) -> None:
        self.registry, self.trust, self.place = registry, trust, place
        self.wish, self.now = wish, now
        self.tree = worktree.tree(place)
        self.were: dict[str, Pointer] = {}
        self.large: list[Found] = []
        self.kept: list[Found] = []
        self._sort()

    def _sort(self) -> None:
        """Say of each file what becomes of it. Raises BadTree."""
        place = self.place
        whole = {file.path: Found(place.whole(file.path), file.stat) for file in self.tree.files}
        handed = attributes.filtered(place, (file.path for file in whole.values()))
        for file in self.tree.files:
            pointer = worktree.pointer_at(place.root, whole[file.path])
            if pointer is not None and pointer.extended:
                raise BadTree(f"{file.path}: {EXTENDED}")
            if pointer is not None:
                self.were[file.path] = pointer
            elif self._is_large(file, whole[file.path], handed):
                self.large.append(file)
            else:
                self.kept.append(file)

    def _is_large(self, file: Found, whole: Found, handed: set[str]) -> bool:
        name, size = file.path.rpartition("/")[2], file.stat.st_size
        if size == 0 or name in _GITS:  # an empty file is its own pointer
            return False
        if whole.path in handed or size > self.wish.over or not self.place.path.is_dir():
            return True
        return b"\0" in worktree.start_of(self.place.root, whole.path, _LOOKED)

    def lines(self) -> list[bytes]:
        """What `.gitattributes` must say of those that Git does not hand to Git LFS yet."""
        wanted = [self.place.whole(path) for path in self._pointers()]
        missing = set(wanted) - attributes.filtered(self.place, wanted)
        return attributes.lines(missing, [self.place.whole(file.path) for file in self.kept])

    def check_attributes(self) -> None:
        """Raises Refused where another `.gitattributes` takes a path away from Git LFS."""
        wanted = [self.place.whole(path) for path in self._pointers()]
        lost = sorted(set(wanted) - attributes.filtered(self.place, wanted))
        if lost:
            raise Refused(
                f"{lost[0]} is published, and left as it is: a {attributes.NAME} below, or "
                "info/attributes, takes it away from Git LFS; mend that and add it again"
            )

    def _pointers(self) -> list[str]:
        return [*self.were, *(file.path for file in self.large)]

    @contextlib.contextmanager
    def attributes_if_inside(self) -> Iterator[list[str]]:
        """`.gitattributes` is part of the whole work tree: it is published as it will be."""
        if self.place.inside:
            yield []
            return
        before = attributes.read(self.place)
        new = attributes.extend(self.place, self.lines())
        try:
            if new:
                self.tree = worktree.tree(self.place)
                self.kept = [file for file in self.kept if file.path != attributes.NAME]
                self.kept += [file for file in self.tree.files if file.path == attributes.NAME]
            yield new
        except BaseException:
            if new:
                attributes.write(self.place, before)
            raise

    def known_or_published(
        self, named: Named | None, signer: Signer | None, progress: Progress | None
    ) -> tuple[Manifest, str, Published | None]:
        """The artifact, what it is called, and what publishing it came to."""
        if named is None or signer is None:
            manifest, label = self._known(progress)
            return manifest, label, None
        place = self.place
        cwd = Path.cwd()
        push = Push(
            directory=self.tree.root,
            name=named.name,
            kind=named.kind,
            inputs=named.inputs,
            parameters=dict(named.parameters),
            working_directory=cwd,
            build=named.build,
            stat_cache=self.wish.stat_cache,
            tree=self._plain(),
            known=self._beside(),
            source=capture(cwd, place.path).source,
            layout=self._layout(),
        )
        done = publish.publish(self.registry, self.trust, signer, push, self.now, progress)
        return done.manifest, str(named.name), done

    def laid(self, signer: Signer, manifest: Manifest) -> int | None:
        """Say how a known artifact is committed, if that is not said."""
        told = self.registry, self.trust, signer, manifest.digest, self._layout(), self.now
        return laying.say(*told)

    def _layout(self) -> Layout | None:
        """How the files are committed after this."""
        plain = [file.path for file in self.kept if file.stat.st_size]
        programs = [file.path for file in self.tree.files if file.stat.st_mode & stat.S_IXUSR]
        return git_layout.of(self._pointers(), plain, programs)

    def _plain(self) -> Tree:
        files = [file for file in self.tree.files if file.path not in self.were]
        return Tree(self.tree.root, tuple(files), self.tree.oddities)

    def _beside(self) -> list[Known]:
        """The files that are pointers, with their bytes as far as Git LFS has them here."""
        common, found = self.place.common, []
        for path, pointer in self.were.items():
            there = lfs_objects.opened(common, pointer.sha256, pointer.size)
            if there is not None:
                there.close()
            opening = lfs_objects.opening(common, pointer) if there is not None else None
            found.append(Known(Entry(path, pointer.size, pointer.sha256), opening))
        return found

    def _known(self, progress: Progress | None) -> tuple[Manifest, str]:
        """The artifact that has these bytes already. Raises NotFound, BlobMissing."""
        store, place = self.registry.store, self.place
        cache = StatCache.of(self.registry.home, self.tree.root)
        if not self.wish.stat_cache:
            cache = StatCache.off()
        beside = self._beside()
        manifest = Intake(store, self._plain(), cache, progress, known=beside).look()
        with snapshot(self.registry, self.trust, self.now) as view:
            node = query.node_id(view.connection, manifest.digest)
            if node is None or not query.artifacts(view.connection, [node]):
                raise NotFound(
                    f"{place.path}: the registry does not know these bytes; say what they are "
                    "with --as NAME:VERSION --kind KIND"
                )
            label = labels(view, {node})[node]
        for entry in manifest.entries:
            if not store.keep(entry.sha256, entry.size):
                raise NotFound(f"{entry.path}: its bytes are gone from the registry; push it again")
        return manifest, label

    def replaced(self, manifest: Manifest) -> Iterator[Entry]:
        """Replace each large file that is still what was stored. Raises Refused, Unavailable."""
        place = self.place
        for file in self.large:
            entry = manifest.by_path[file.path]
            whole = Found(place.whole(file.path), file.stat)
            if entry.size != file.stat.st_size:
                raise Refused(f"{whole.path} changed meanwhile, and is left as it is")
            raw = Pointer(entry.sha256, entry.size).raw
            placing: AbstractContextManager[None] = contextlib.nullcontext()
            if self.wish.objects:  # a convenience: the registry has the bytes
                placing = lfs_objects.placing(place.common, place.root, whole, entry.sha256)
            with placing:
                worktree.replace(place, whole, _writing(raw))
            yield Entry(whole.path, entry.size, entry.sha256)


def _writing(raw: bytes) -> Callable[[BinaryIO], None]:
    def write(out: BinaryIO) -> None:
        out.write(raw)

    return write
