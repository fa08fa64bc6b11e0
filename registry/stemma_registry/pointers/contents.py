"""What a commit holds below a path: the bytes that are meant, without a checkout.

A pointer gives digest and size of the bytes that it stands for; any other file is hashed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from stemma_attestations import gitobject, lfs_pointer
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Undecided
from stemma_attestations.lfs_pointer import Pointer
from stemma_attestations.manifest import Entry
from stemma_attestations.observed import Observed
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.gitrepo.repository import File, Repository

EXTENDED = "a Git LFS pointer with an extension: only its program tells which bytes are meant"
_ODD = {
    gitobject.LINK: "a symbolic link, not a regular file",
    gitobject.SUBMODULE: "a submodule, not a file",
}


@dataclass(frozen=True)
class Held:
    """A file: `entry` is of the bytes that are meant; `pointer` is None where it holds them.

    The path of the entry is below the one that was asked about, that of `file` the repository's.
    """

    entry: Entry
    file: File
    pointer: Pointer | None


@dataclass(frozen=True)
class Contents:
    """What a commit has at `path` (`""`: all of it). `tree` is the commit's own."""

    commit: str
    tree: str
    path: str
    files: tuple[Held, ...]
    oddities: tuple[tuple[str, str], ...]

    @cached_property
    def observed(self) -> Observed:
        """As the gate takes it."""
        return Observed(tuple(held.entry for held in self.files), self.oddities)

    @property
    def pointers(self) -> list[Held]:
        """The files that are pointers."""
        return [held for held in self.files if held.pointer is not None]

    def children(self) -> tuple[dict[str, Contents], list[Contents]]:
        """The folders in it by name, and each file that lies in it directly."""
        files: dict[str, list[Held]] = {}
        odd: dict[str, list[tuple[str, str]]] = {}
        direct = []
        for held in self.files:
            folder, slash, rest = held.entry.path.partition("/")
            if slash:
                files.setdefault(folder, []).append(_renamed(held, rest))
            else:
                direct.append(self._part(folder, [held], []))
        for path, what in self.oddities:
            folder, slash, rest = path.partition("/")
            if slash:
                odd.setdefault(folder, []).append((rest, what))
        folders = files.keys() | odd.keys()
        parts = {name: self._part(name, files.get(name, []), odd.get(name, [])) for name in folders}
        return dict(sorted(parts.items())), direct

    def _part(self, name: str, files: list[Held], odd: list[tuple[str, str]]) -> Contents:
        path = f"{self.path}/{name}" if self.path else name
        return Contents(self.commit, self.tree, path, tuple(files), tuple(odd))


def read(repo: Repository, commit: str, path: str) -> Contents:
    """The contents at a path, `/` between its parts.

    Raises NotFound, Damaged, and Undecided for what is more than is read.
    """
    try:
        return _read(repo, commit, path.strip("/"))
    except Refused as error:
        raise Undecided(f"commit {commit[:12]}: {error}") from error


def _read(repo: Repository, commit: str, path: str) -> Contents:
    mode, name = repo.at(commit, path)
    if mode == gitobject.TREE:
        files = repo.files(name)
        prefix = f"{path}/" if path else ""
    else:
        files = [File(path.rpartition("/")[2], mode, name)]
        prefix = path[: len(path) - len(files[0].path)]
    reader = _Reader(repo)
    held: list[Held] = []
    odd: list[tuple[str, str]] = []
    for file in files:
        what = _ODD.get(file.mode) or reader.meant(file)
        if isinstance(what, str):
            odd.append((file.path.encode(errors="surrogateescape").decode(errors="replace"), what))
            continue
        whole = File(prefix + file.path, file.mode, file.id)
        held.append(Held(Entry(file.path, what.size, what.sha256), whole, reader.pointer(file)))
    ordered = sorted(held, key=lambda one: one.entry.path)
    return Contents(commit, repo.commit(commit).tree, path, tuple(ordered), tuple(sorted(odd)))


def pointers(repo: Repository, commit: str) -> Iterator[tuple[str, Pointer]]:
    """Every pointer of a commit, by path."""
    reader = _Reader(repo)
    for file in repo.files(repo.commit(commit).tree):
        if file.mode not in _ODD and (pointer := reader.pointer(file)) is not None:
            yield file.path, pointer


@dataclass(frozen=True)
class _Meant:
    size: int
    sha256: Digest


class _Reader:
    """Reads each blob once, however often a tree names it, and all of them up to a limit."""

    def __init__(self, repo: Repository) -> None:
        self._repo = repo
        self._known: dict[str, tuple[_Meant, Pointer | None]] = {}
        self._left = LIMITS.git_raw_bytes

    def meant(self, file: File) -> _Meant | str:
        """Which bytes a file stands for, or why that cannot be told. Raises Refused, Damaged."""
        try:
            file.path.encode()
        except UnicodeEncodeError:
            return "a name that is not UTF-8"
        meant, pointer = self._read(file)
        return EXTENDED if pointer is not None and pointer.extended else meant

    def pointer(self, file: File) -> Pointer | None:
        """What a file says, where it is a pointer."""
        return self._read(file)[1]

    def _read(self, file: File) -> tuple[_Meant, Pointer | None]:
        name = file.id
        if name not in self._known:
            try:
                data = self._repo.blob(name)
            except Refused as error:
                raise Refused(
                    f"{file.path!r:.200} is no pointer ({error}); `stemma add` makes it one, or "
                    "name another path"
                ) from error
            self._left -= len(data)
            if self._left < 0:
                raise Refused(
                    f"a commit with more than {LIMITS.git_raw_bytes} bytes that are no pointers; "
                    "name a path in it"
                )
            pointer = lfs_pointer.parse(data)
            meant = _Meant(len(data), Digest.of(data))
            if pointer is not None:
                meant = _Meant(pointer.size, pointer.sha256)
            self._known[name] = meant, pointer
        return self._known[name]


def _renamed(held: Held, path: str) -> Held:
    entry = held.entry
    return Held(Entry(path, entry.size, entry.sha256), held.file, held.pointer)
