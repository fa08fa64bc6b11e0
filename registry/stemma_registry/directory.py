"""Directories: what is in one, hashed once, without following a link.

Every component below the root is opened relative to its parent's descriptor
with O_NOFOLLOW, so that nobody can swap a directory for a link half way.
Empty directories hold no bytes and are passed over.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest, BadPath
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.observed import Observed
from stemma_registry import stat_cache
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import CHUNK, Progress, hash_stream
from stemma_registry.config import LIMITS
from stemma_registry.errors import AlreadyThere, BadTree, Damaged, NotFound, Unavailable
from stemma_registry.files import make_directory, sync_directory
from stemma_registry.stat_cache import StatCache

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_KINDS: tuple[tuple[Callable[[int], bool], str], ...] = (
    (stat.S_ISLNK, "a symbolic link, not a regular file"),
    (stat.S_ISFIFO, "a pipe, not a regular file"),
    (stat.S_ISSOCK, "a socket, not a regular file"),
    (stat.S_ISBLK, "a device, not a regular file"),
    (stat.S_ISCHR, "a device, not a regular file"),
)
MAX_DEPTH = 256
# What is the machine's fault says nothing about the file.
_OURS = (errno.EMFILE, errno.ENFILE, errno.EIO, errno.ENOMEM)
CHANGED = "a file that changed while it was read"
T = TypeVar("T")
R = TypeVar("R")

BATCH_BYTES = 4 * CHUNK
BATCH_FILES = 64

# What is done with an open file of so many bytes, to learn its digest.
Take = Callable[[BinaryIO, int, Progress | None], Digest]


class Memory(Protocol):
    """Digests known from before (a `StatCache`)."""

    def recall(self, path: str, found: os.stat_result) -> Digest | None:
        """The digest of a file that need not be read again."""

    def note(self, path: str, found: os.stat_result, digest: Digest, started: float) -> None:
        """A file was read from `started` on, and looked so afterwards."""


@dataclass(frozen=True)
class Found:
    """A regular file below a root, as it looked when the directory was listed."""

    path: str
    stat: os.stat_result


@dataclass(frozen=True)
class Tree:
    """A listed directory: its files, and what is not a plain file, both in path order."""

    root: Path
    files: tuple[Found, ...]
    oddities: tuple[tuple[str, str], ...]


def observe(
    tree: Tree,
    progress: Progress | None = None,
    take: Take | None = None,
    cache: Memory | None = None,
    workers: int | None = None,
) -> Observed:
    """The files of a tree with their digests, and whatever cannot be an artifact's.

    Each file is read once, by `take` (which may store it too), unless `cache`
    knows it. Raises what `take` raises; what cannot be read, or changes
    meanwhile, is among the oddities.
    """
    if progress is not None:
        progress.expect(sum(file.stat.st_size for file in tree.files))
    reader = _Reader(tree.root, take or _digest, cache or StatCache.off(), progress)
    shares = in_parallel(reader.read, _shares(tree.files), workers or os.cpu_count() or 1)
    results = [result for share in shares for result in share]
    entries = sorted((r for r in results if isinstance(r, Entry)), key=lambda e: e.path)
    odd = [r for r in results if not isinstance(r, Entry)]
    return Observed(tuple(entries), tuple(sorted([*tree.oddities, *odd])))


def in_parallel(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """The results in order; an error stops what has not begun. Raises what `work` raises."""
    with ThreadPoolExecutor(workers) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def manifest_of(root: Path, observed: Observed) -> Manifest:
    """The manifest of an observed tree. Raises BadTree where it cannot be an artifact."""
    if observed.oddities:
        path, what = observed.oddities[0]
        more = f" (and {len(observed.oddities) - 1} more)" if len(observed.oddities) > 1 else ""
        raise BadTree(f"{root}: {path!r:.120} is {what}{more}")
    try:
        return Manifest.of(observed.entries)
    except (BadPath, BadManifest) as error:
        raise BadTree(f"{root}: {error}") from error


def identify(path: Path) -> Digest:
    """The digest of a file's bytes, or of a directory's manifest. Raises NotFound, BadTree."""
    try:
        if path.is_dir():
            return manifest_of(path, observe(scan(path))).digest
        with path.open("rb") as source:
            return Digest("sha256", hashlib.file_digest(source, "sha256").hexdigest())
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            raise NotFound(f"{path!s:.80} is neither a reference nor a file") from error
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error


def open_beneath(root: Path, path: str) -> BinaryIO:
    """Open a file below `root` for reading, following no link. Raises OSError."""
    *parents, name = path.split("/")
    directory = open_directory(root, parents)
    try:
        fd = os.open(name, _FILE, dir_fd=directory)
    finally:
        os.close(directory)
    return os.fdopen(fd, "rb", buffering=0)


def open_directory(root: Path, parts: Sequence[str]) -> int:
    """A descriptor of a folder below `root`, following no link. Raises OSError."""
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts:
            child = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = child
    except OSError:
        os.close(directory)
        raise
    return directory


def materialise(
    store: Store,
    manifest: Manifest,
    target: Path,
    progress: Progress | None = None,
    last: Callable[[], None] | None = None,
) -> None:
    """Write an artifact into the new directory `target`: whole and verified, or not at all.

    `last` is called when all is written and nothing has the name yet; what it raises is a no.
    Raises AlreadyThere, BlobMissing, Damaged, Unavailable.
    """
    if os.path.lexists(target):
        raise AlreadyThere(f"{target} exists; name a directory that does not")
    parent = target.absolute().parent
    work = parent / f".{target.name}.stemma-{secrets.token_hex(6)}"
    try:
        make_directory(parent)
        _sweep(parent, f".{target.name}.stemma-")
        work.mkdir(mode=0o755)
        _write_files(store, manifest, work, progress)
        _sync_directories(work)
        if last is not None:
            last()
        os.rename(work, target)
        sync_directory(parent)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if work.exists():
            shutil.rmtree(work, ignore_errors=True)


def _sweep(parent: Path, prefix: str) -> None:
    """Remove what pulls to the same target left behind when they were killed."""
    for left in parent.iterdir():
        if left.name.startswith(prefix):
            age = time.time() - left.lstat().st_mtime
            if age > LIMITS.stale_temporary_seconds:
                shutil.rmtree(left, ignore_errors=True)


def scan(root: Path) -> Tree:
    """List everything below `root`. Raises NotFound, BadTree, Unavailable."""
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no directory {root}") from error
    except NotADirectoryError as error:
        raise BadTree(f"{root} is not a directory") from error
    except OSError as error:
        raise Unavailable(f"cannot read {root}: {error.strerror}") from error
    files: list[Found] = []
    oddities: list[tuple[str, str]] = []
    try:
        _scan_into(top, "", files, oddities, 0)
    except OSError as error:
        raise Unavailable(f"cannot read {root}: {error.strerror}") from error
    finally:
        os.close(top)
    files.sort(key=lambda file: file.path)
    return Tree(root, tuple(files), tuple(sorted(oddities)))


def _scan_into(
    directory: int, prefix: str, files: list[Found], oddities: list[tuple[str, str]], depth: int
) -> None:
    if depth > MAX_DEPTH:
        oddities.append((prefix.rstrip("/"), f"nested deeper than {MAX_DEPTH} directories"))
        return
    for name in os.listdir(directory):
        path = prefix + name
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            oddities.append((shown, "a name that is not UTF-8"))
            continue
        try:
            found = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                child = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    _scan_into(child, path + "/", files, oddities, depth + 1)
                finally:
                    os.close(child)
            elif stat.S_ISREG(found.st_mode):
                files.append(Found(path, found))
            else:
                oddities.append((path, _what(found.st_mode)))
        except OSError as error:
            if error.errno in _OURS:
                raise
            oddities.append((path, f"unreadable ({error.strerror})"))


def _what(mode: int) -> str:
    return next((what for test, what in _KINDS if test(mode)), "not a regular file")


def _shares(files: Sequence[Found]) -> list[list[Found]]:
    """Files to be read one after the other by one thread: neighbours, the largest shares first."""
    shares: list[tuple[int, list[Found]]] = []
    share: list[Found] = []
    parent, size = "", 0
    for file in files:
        above, length = file.path.rpartition("/")[0], file.stat.st_size
        if share and (above != parent or len(share) == BATCH_FILES or size + length > BATCH_BYTES):
            shares.append((size, share))
            share, size = [], 0
        parent = above
        share.append(file)
        size += length
    if share:
        shares.append((size, share))
    return [share for _, share in sorted(shares, key=lambda pair: -pair[0])]


@dataclass(frozen=True)
class _Reader:
    """Reads shares of a tree."""

    root: Path
    take: Take
    cache: Memory
    progress: Progress | None

    def read(self, share: Sequence[Found]) -> list[Entry | tuple[str, str]]:
        """The entry of each file, or its path and why it has none."""
        try:
            directory = open_directory(self.root, share[0].path.split("/")[:-1])
        except OSError as error:
            if error.errno in _OURS:
                raise Unavailable(f"cannot read {share[0].path}: {error.strerror}") from error
            return [(file.path, f"unreadable ({error.strerror})") for file in share]
        try:
            return [self._read(directory, file) for file in share]
        finally:
            os.close(directory)

    def _read(self, directory: int, file: Found) -> Entry | tuple[str, str]:
        path, started = file.path, stat_cache.now()
        known = self.cache.recall(path, file.stat)
        if known is not None:
            if self.progress is not None:
                self.progress.expect(-file.stat.st_size)
            return Entry(path, file.stat.st_size, known)
        try:
            fd = os.open(path.rpartition("/")[2], _FILE, dir_fd=directory)
            with os.fdopen(fd, "rb", buffering=0) as source:
                before = os.fstat(fd)
                if not stat.S_ISREG(before.st_mode):
                    return path, _what(before.st_mode)
                digest = self.take(source, before.st_size, self.progress)
                after = os.fstat(fd)
        except OSError as error:
            if error.errno in _OURS:
                raise Unavailable(f"cannot read {path}: {error.strerror}") from error
            return path, f"unreadable ({error.strerror})"
        except Damaged:
            return path, CHANGED
        stamps = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (before, after)]
        if stamps[0] != stamps[1]:
            return path, CHANGED
        self.cache.note(path, after, digest, started)
        return Entry(path, after.st_size, digest)


def _digest(source: BinaryIO, size: int, progress: Progress | None) -> Digest:
    """The digest of a whole file. Raises Damaged where it is not as long as it was."""
    if size < CHUNK:
        data = source.read(size + 1)
        digest, count = Digest("sha256", hashlib.sha256(data).hexdigest()), len(data)
        if progress is not None:
            progress(count)
    else:
        digest, count = hash_stream(source, size, progress=progress)
    if count != size:
        raise Damaged(f"a file of {size} bytes has another size now")
    return digest


def _write_files(store: Store, manifest: Manifest, root: Path, progress: Progress | None) -> None:
    if progress is not None:
        progress.expect(manifest.size)
    for directory in sorted({(root / entry.path).parent for entry in manifest.entries}):
        directory.mkdir(parents=True, exist_ok=True)

    def write(entry: Entry) -> None:
        with (root / entry.path).open("x+b", buffering=0) as out:
            store.fetch(entry.sha256, out, progress)
            os.fsync(out.fileno())

    largest_first = sorted(manifest.entries, key=lambda entry: -entry.size)
    for _ in in_parallel(write, largest_first, LIMITS.transfers):
        pass


def _sync_directories(root: Path) -> None:
    for directory, _, _ in os.walk(root):
        sync_directory(Path(directory))
