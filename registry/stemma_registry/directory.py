"""Directories: what is in one, hashed once, without following a link.

Every component below the root is opened relative to its parent's descriptor
with O_NOFOLLOW, so that nobody can swap a directory for a link half way.
Empty directories hold no bytes and are passed over.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadManifest, BadPath
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.verify import Observed
from stemma_registry.blobs.contract import Store
from stemma_registry.errors import AlreadyThere, BadTree, NotFound, Unavailable

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

Progress = Callable[[int], None]


def observe(root: Path, progress: Progress | None = None) -> Observed:
    """Everything below `root`: files with their digests, and whatever is not a plain file.

    `progress` is told bytes as they are hashed. Raises NotFound, Unavailable.
    """
    files, oddities = _scan(root)
    workers = min(8, os.cpu_count() or 1)
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda path: _hash(root, path, progress), files))
    entries = tuple(r for r in results if isinstance(r, Entry))
    oddities += [r for r in results if not isinstance(r, Entry)]
    return Observed(entries, tuple(sorted(oddities)))


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
    if path.is_dir():
        return manifest_of(path, observe(path)).digest
    try:
        with path.open("rb") as source:
            return Digest("sha256", hashlib.file_digest(source, "sha256").hexdigest())
    except FileNotFoundError as error:
        raise NotFound(f"{path} is neither a reference nor a file") from error
    except OSError as error:
        raise Unavailable(f"cannot read {path}: {error.strerror}") from error


def open_beneath(root: Path, path: str) -> BinaryIO:
    """Open a file below `root` for reading, following no link. Raises OSError."""
    parts = path.split("/")
    directory = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            child = os.open(part, _DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = child
        fd = os.open(parts[-1], _FILE, dir_fd=directory)
    finally:
        os.close(directory)
    return os.fdopen(fd, "rb", buffering=0)


def materialise(
    store: Store, manifest: Manifest, target: Path, progress: Progress | None = None
) -> None:
    """Write an artifact into the new directory `target`: whole and verified, or not at all.

    Raises AlreadyThere, BlobMissing, Damaged, Unavailable.
    """
    if os.path.lexists(target):
        raise AlreadyThere(f"{target} exists; name a directory that does not")
    parent = target.absolute().parent
    work = parent / f".{target.name}.stemma-{secrets.token_hex(6)}"
    try:
        make_directory(parent)
        work.mkdir(mode=0o755)
        for entry in manifest.entries:
            _write_file(work / entry.path, store.chunks(entry.sha256), progress)
        _sync_directories(work)
        os.rename(work, target)
        sync_directory(parent)
    except OSError as error:
        raise Unavailable(f"cannot write {target}: {error.strerror or error}") from error
    finally:
        if work.exists():
            shutil.rmtree(work, ignore_errors=True)


def make_directory(path: Path) -> None:
    """Make a directory and its parents, so that a power cut leaves all of them. Raises OSError."""
    missing = [p for p in (path, *path.parents) if not p.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for made in reversed(missing):
        sync_directory(made.parent)


def _scan(root: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """Paths of regular files, and oddities, below `root`; both sorted by path."""
    try:
        top = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise NotFound(f"no directory {root}") from error
    except NotADirectoryError as error:
        raise BadTree(f"{root} is not a directory") from error
    except OSError as error:
        raise Unavailable(f"cannot read {root}: {error.strerror}") from error
    files: list[str] = []
    oddities: list[tuple[str, str]] = []
    try:
        _scan_into(top, "", files, oddities, 0)
    except OSError as error:
        raise Unavailable(f"cannot read {root}: {error.strerror}") from error
    finally:
        os.close(top)
    return sorted(files), oddities


def _scan_into(
    directory: int, prefix: str, files: list[str], oddities: list[tuple[str, str]], depth: int
) -> None:
    if depth > MAX_DEPTH:
        oddities.append((prefix.rstrip("/"), f"nested deeper than {MAX_DEPTH} directories"))
        return
    for name in sorted(os.listdir(directory)):
        path = prefix + name
        try:
            path.encode("utf-8")
        except UnicodeEncodeError:
            shown = path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            oddities.append((shown, "a name that is not UTF-8"))
            continue
        try:
            mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
            if stat.S_ISDIR(mode):
                child = os.open(name, _DIRECTORY, dir_fd=directory)
                try:
                    _scan_into(child, path + "/", files, oddities, depth + 1)
                finally:
                    os.close(child)
            elif stat.S_ISREG(mode):
                files.append(path)
            else:
                oddities.append((path, _what(mode)))
        except OSError as error:
            oddities.append((path, f"unreadable ({error.strerror})"))


def _what(mode: int) -> str:
    return next((what for test, what in _KINDS if test(mode)), "not a regular file")


def _hash(root: Path, path: str, progress: Progress | None) -> Entry | tuple[str, str]:
    """A file's entry, or the path and why it has none."""
    try:
        with open_beneath(root, path) as source:
            before = os.fstat(source.fileno())
            if not stat.S_ISREG(before.st_mode):
                return path, _what(before.st_mode)
            state, size = hashlib.sha256(), 0
            for chunk in _chunks(source):
                state.update(chunk)
                size += len(chunk)
                if progress is not None:
                    progress(len(chunk))
                if size > before.st_size:
                    break  # somebody is still writing, perhaps for ever
            after = os.fstat(source.fileno())
    except OSError as error:
        return path, f"unreadable ({error.strerror})"
    stamps = [(s.st_size, s.st_mtime_ns, s.st_ctime_ns) for s in (before, after)]
    if stamps[0] != stamps[1] or size != before.st_size:
        return path, "a file that changed while it was read"
    return Entry(path, size, Digest("sha256", state.hexdigest()))


def _chunks(source: BinaryIO) -> Iterator[memoryview]:
    """The file's bytes through one reused buffer; each view is valid until the next."""
    buffer = memoryview(bytearray(1024 * 1024))
    while count := source.readinto(buffer):  # type: ignore[attr-defined]
        yield buffer[:count]


def _write_file(path: Path, chunks: Iterable[bytes], progress: Progress | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("xb") as out:
        for chunk in chunks:
            out.write(chunk)
            if progress is not None:
                progress(len(chunk))
        out.flush()
        os.fsync(out.fileno())


def _sync_directories(root: Path) -> None:
    for directory, _, _ in os.walk(root):
        sync_directory(Path(directory))


def sync_directory(directory: Path) -> None:
    """Make the names in a directory durable. Raises OSError."""
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
