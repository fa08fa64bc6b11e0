"""One repository on this machine, read object by object; SHA-1 or SHA-256.

Git believes the index of a pack: an object read by its id need not have it. So every object
is held against its id here.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

from stemma_attestations import gitobject
from stemma_attestations.gitobject import BadObject, Commit, ObjectFormat, Tag, TreeEntry
from stemma_registry.config import LIMITS
from stemma_registry.errors import Damaged, NotFound, Refused, Unavailable
from stemma_registry.gitrepo import alternates, program

_REVISION = re.compile(r"(?!-)[^\x00-\x1f\x7f]{1,1000}\Z")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Ref:
    """A reference: `id` of what it names, `peeled` of what an annotated tag leads to."""

    name: str
    id: str
    peeled: str


@dataclass(frozen=True)
class File:
    """A file of a commit: its path, as Git has it, its mode and the id of its blob."""

    path: str
    mode: str
    id: str


class Repository:
    """An open repository. `worktree` is None for a bare one. Not for several threads at once."""

    def __init__(
        self, directory: Path, object_format: ObjectFormat, worktree: Path | None = None
    ) -> None:
        self.directory = directory
        self.object_format = object_format
        self.worktree = worktree
        self._objects: _Objects | None = None

    @classmethod
    def open(cls, path: Path) -> Repository:
        """The repository at or around `path`. Raises NotFound and Refused."""
        here = path if path.is_dir() else path.parent
        directory = _directory(here)
        alternates.check(directory)
        told = program.run(directory, "rev-parse", "--show-object-format", "--is-bare-repository")
        object_format, bare = told.decode().split()
        if object_format not in gitobject.DIGITS:
            raise Refused(f"{path} has objects of a format that is not known ({object_format})")
        worktree = None if bare == "true" else _worktree(here)
        return cls(directory, cast("ObjectFormat", object_format), worktree)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the process that reads objects."""
        if self._objects is not None:
            self._objects.close()
            self._objects = None

    @property
    def branch(self) -> str | None:
        """The branch that is checked out; None where none is."""
        asked = ("symbolic-ref", "--quiet", "--short", "HEAD")
        found = program.run(self.directory, *asked, accepted=(0, 1))
        return os.fsdecode(found.removesuffix(b"\n")) or None

    @property
    def remote(self) -> str | None:
        """The URL of `origin`, else of the first remote, as the configuration has it."""
        asked = ("config", "--get-regexp", "--null", r"^remote\..*\.url$")
        told = os.fsdecode(program.run(self.directory, *asked, accepted=(0, 1)))
        pairs = [item.partition("\n") for item in told.split("\0") if item]
        urls = {key: value for key, _, value in pairs}
        return urls.get("remote.origin.url") or next(iter(urls.values()), None)

    def resolve(self, revision: str) -> str:
        """The id of the commit that a revision names. Raises NotFound."""
        if not _REVISION.match(revision):
            raise NotFound(f"no such revision: {revision!r:.80}")
        asked = ("rev-parse", "--verify", "--quiet", "--end-of-options", revision + "^{commit}")
        found = program.run(self.directory, *asked, accepted=(0, 1, 128)).decode().strip()
        if len(found) != gitobject.DIGITS[self.object_format]:
            raise NotFound(f"no such revision in {self.directory}: {revision!r:.80}")
        return found

    def refs(self, *prefixes: str) -> list[Ref]:
        """References below prefixes such as `refs/tags/`, by name."""
        form = "--format=%(objectname)%00%(*objectname)%00%(refname)"
        found = []
        for line in program.run(self.directory, "for-each-ref", form, "--", *prefixes).split(b"\n"):
            if line:
                own, peeled, name = line.decode(errors="surrogateescape").split("\0", 2)
                found.append(Ref(name, own, peeled or own))
        return found

    def named(self, prefix: str) -> dict[str, str]:
        """References below a prefix, and what each names: no object is looked at for it."""
        form = "--format=%(objectname) %(refname)"
        told = program.run(self.directory, "for-each-ref", form, "--", prefix)
        lines = told.decode(errors="surrogateescape").split("\n")
        pairs = (line.partition(" ") for line in lines if line)
        return {name: id_ for id_, _, name in pairs}

    def read(self, name: str, most: int | None = None) -> tuple[str, bytes]:
        """Kind and bytes of an object, held against its id.

        Raises NotFound, Refused where it has more than `most` bytes, Damaged and Unavailable.
        """
        if len(name) != gitobject.DIGITS[self.object_format]:
            raise NotFound(f"no object of this repository: {name:.80}")
        if self._objects is None:
            self._objects = _Objects(self.directory)
        try:
            kind, data = self._objects.read(name, LIMITS.git_object_bytes if most is None else most)
        except (Refused, Unavailable):
            self.close()  # the rest of the answer is still in the pipe
            raise
        if gitobject.identify(kind, data, self.object_format) != name:
            raise Damaged(f"{self.directory} gives other bytes for the object {name}")
        return kind, data

    def commit(self, name: str) -> Commit:
        """A commit by its id. Raises as `read`, and Damaged for what is no commit."""
        return self._as("commit", gitobject.commit, name)

    def tag(self, name: str) -> Tag:
        """An annotated tag by its id. Raises as `read`, and Damaged for what is none."""
        return self._as("tag", gitobject.tag, name)

    def tree(self, name: str) -> tuple[TreeEntry, ...]:
        """A tree by its id. Raises as `read`, and Damaged for what is no tree."""
        return self._as("tree", partial(gitobject.tree, object_format=self.object_format), name)

    def blob(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a file by its id. Raises as `read`, and Damaged for what is no blob."""
        return self._as("blob", bytes, name, most)

    def _as(
        self, kind: str, reading: Callable[[bytes], _T], name: str, most: int | None = None
    ) -> _T:
        found, data = self.read(name, most)
        if found != kind:
            raise Damaged(f"{self.directory}: the object {name} is a {found}, not a {kind}")
        try:
            return reading(data)
        except BadObject as error:
            raise Damaged(f"{self.directory}: the {kind} {name} cannot be read: {error}") from error

    def at(self, commit: str, path: str) -> tuple[str, str]:
        """Mode and id of what a commit has at a path; `""` is its tree. Raises NotFound."""
        mode, name = gitobject.TREE, self.commit(commit).tree
        for part in [part for part in path.split("/") if part]:
            entries = self.tree(name) if mode == gitobject.TREE else ()
            found = next((e for e in entries if e.name == os.fsencode(part)), None)
            if found is None:
                raise NotFound(f"commit {commit[:12]} has no {path!r:.200}")
            mode, name = found.mode, found.id
        return mode, name

    def files(self, tree: str) -> list[File]:
        """Everything below a tree but trees, by path. Raises Refused past the limits."""
        count, found, pending = 0, [], [(0, "", tree)]
        while pending:
            depth, prefix, name = pending.pop()
            if depth > LIMITS.git_depth:
                raise Refused(f"a tree that is deeper than {LIMITS.git_depth} folders")
            for entry in self.tree(name):
                count += 1
                if count > LIMITS.git_files:
                    raise Refused(f"a tree of more than {LIMITS.git_files} entries")
                path = prefix + os.fsdecode(entry.name)
                if entry.mode == gitobject.TREE:
                    pending.append((depth + 1, path + "/", entry.id))
                else:
                    found.append(File(path, entry.mode, entry.id))
        return sorted(found, key=lambda file: os.fsencode(file.path))

    def between(self, include: Sequence[str], exclude: Sequence[str]) -> list[str]:
        """The commits that are reached from some and not from others, newest first.

        Ids go in, so that nothing is taken for an option. Raises Refused past the limit.
        """
        wanted = "\n".join([*include, *("^" + name for name in exclude)]) + "\n"
        most = LIMITS.git_commits
        asked = ("rev-list", f"--max-count={most + 1}", "--stdin")
        found = program.run(self.directory, *asked, stdin=wanted.encode()).decode().split()
        if len(found) > most:
            raise Refused(f"a range of more than {most} commits; name a narrower one")
        return found

    def descendants(self, name: str, among: Sequence[str]) -> set[str]:
        """Those of these commits, which are all here, that contain another one."""
        wanted = "".join(f"{line}\n" for line in (f"^{name}", *among))
        asked = ("rev-list", "--ancestry-path", f"--max-count={LIMITS.git_commits + 1}", "--stdin")
        found = program.run(self.directory, *asked, stdin=wanted.encode()).decode().split()
        if len(found) > LIMITS.git_commits:
            raise Refused(f"more than {LIMITS.git_commits} commits; name a later one")
        return set(found).intersection(among)

    def require_whole(self) -> None:
        """Raises Refused for a shallow repository: it does not know what came before what."""
        told = program.run(self.directory, "rev-parse", "--is-shallow-repository")
        if told.strip() != b"false":
            raise Refused(
                f"{self.directory} is shallow, so which commit contains which is not known here; "
                "run `git fetch --unshallow`"
            )


class _Objects:
    """A `git cat-file` that is asked for one object after the other."""

    def __init__(self, directory: Path) -> None:
        self._pending = b""
        try:
            self._process = subprocess.Popen(  # noqa: S603 - plumbing
                program.command(directory, "cat-file", "--batch"),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=program.environment(),
                cwd="/",
                bufsize=0,
            )
        except OSError as error:
            raise Unavailable(f"git cannot be started ({error})") from error

    def read(self, name: str, most: int) -> tuple[str, bytes]:
        """Kind and bytes, as Git gives them."""
        stdin = self._process.stdin
        assert stdin is not None  # noqa: S101 - for the type checker
        until = time.monotonic() + LIMITS.git_seconds
        try:
            stdin.write(name.encode() + b"\n")
        except OSError as error:
            raise Unavailable(f"git cat-file has ended ({error})") from error
        header = self._line(until).decode(errors="replace").split(" ")
        if len(header) != 3 or header[0] != name:
            raise NotFound(f"the repository has no object {name}")
        size = int(header[2])
        if size > most:
            raise Refused(f"the object {name} has {size} bytes, more than the {most} that are read")
        data = self._take(size + 1, until)
        return header[1], data[:size]

    def _line(self, until: float) -> bytes:
        while b"\n" not in self._pending:
            self._more(until)
        line, _, self._pending = self._pending.partition(b"\n")
        return line

    def _take(self, count: int, until: float) -> bytes:
        parts, have = [self._pending], len(self._pending)
        while have < count:
            self._pending = b""
            self._more(until)
            parts.append(self._pending)
            have += len(self._pending)
        data = b"".join(parts)
        self._pending = data[count:]
        return data[:count]

    def _more(self, until: float) -> None:
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 - for the type checker
        ready, _, _ = select.select([stdout], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            raise Unavailable(f"git cat-file gives no answer within {LIMITS.git_seconds:g} s")
        got = os.read(stdout.fileno(), 1 << 20)
        if not got:
            raise Unavailable("git cat-file has ended; `git fsck` says what is wrong")
        self._pending += got

    def close(self) -> None:
        """Whether it listens or not."""
        self._process.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.wait()


def _directory(here: Path) -> Path:
    """The Git directory of what is at `here` or above. Raises NotFound."""
    try:
        found = program.run(None, "rev-parse", "--absolute-git-dir", at=here)
    except Refused as error:
        raise NotFound(f"no Git repository at {here} ({error})") from error
    return Path(os.fsdecode(found.removesuffix(b"\n")))


def _worktree(here: Path) -> Path | None:
    """The folder that holds `.git`: not what the configuration says about it."""
    whole = here.resolve()
    return next((p for p in (whole, *whole.parents) if (p / ".git").exists()), None)
