"""strace: which calls a command makes, and making one of them fail or be its last.

The command waits at its gate while strace attaches, so that only its own work
is seen. strace counts the calls of each name in each thread from one; the
writing is all done by the first thread.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.scene import Scene
from tests.programs import require_program
from tests.zygote import SECONDS, Child, Finished

# Every call that changes a file system; those that an architecture lacks are marked by `?`.
CHANGES = (
    *("openat", "write", "pwrite64", "?pwritev", "?writev", "fsync", "fdatasync", "ftruncate"),
    *("?rename", "renameat", "?renameat2", "?link", "linkat", "?symlink", "symlinkat"),
    *("?unlink", "unlinkat", "?mkdir", "mkdirat", "?rmdir", "fchmod", "?chmod", "fchmodat"),
    *("fallocate", "copy_file_range", "sendfile", "utimensat", "?creat", "?open", "truncate"),
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(?:<(.*?)>)?(.*)")
_CUT = re.compile(r"(\d+) +(\w+)\((.*?)(?:\) += \?| <unfinished \.\.\.>).*")
_RESUMED = re.compile(r"\d+ +<\.\.\. \w+ resumed>")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FD = re.compile(r"(?:\d+|AT_FDCWD)<([^<>]*)>")


@dataclass(frozen=True)
class Call:
    """One call. `paths` are those of its descriptors, `texts` its strings; `result` is -1 where
    it failed, and None where it did not return."""

    name: str
    number: int
    paths: tuple[str, ...]
    texts: tuple[str, ...]
    arguments: str
    result: int | None
    opened: str | None
    injected: bool

    @property
    def creates(self) -> bool:
        """Whether it changes something: an `openat` that only reads does not."""
        return self.name != "openat" or "O_CREAT" in self.arguments or "O_TRUNC" in self.arguments

    @property
    def target(self) -> str:
        """The path that it is about: its first text, seen from its first descriptor."""
        at = self.paths[0] if self.paths else ""
        return os.path.join(at, self.texts[0]) if self.texts else at


@dataclass(frozen=True)
class Traced:
    """A command under strace: how it ended, and what its first thread did."""

    finished: Finished
    calls: tuple[Call, ...]

    @property
    def killed(self) -> bool:
        """Whether the injected signal ended it."""
        return self.finished.code == -9


def traced(
    scene: Scene, *argv: str, inject: str | None = None, watch: Sequence[str] = CHANGES
) -> Traced:
    """Run a command under strace. `inject` is what strace takes: `CALL:error=EIO:when=3`."""
    with _attached(scene, argv, inject, watch) as (child, log):
        child.go()
        finished = child.wait()
    return Traced(finished, tuple(_parse(log, child.pid)))


@contextlib.contextmanager
def stopped(scene: Scene, *argv: str, inject: str) -> Iterator[Callable[[], list[Call]]]:
    """A command that stops itself at the injected SIGSTOP, for as long as the block lasts.

    Gives a function for what it has done so far. It goes on behind the block.
    """
    with _attached(scene, argv, inject, CHANGES) as (child, log):
        child.go()
        deadline = time.monotonic() + SECONDS
        while _state(child.pid) not in "Tt" or "SIGSTOP" not in log.read_text():
            assert time.monotonic() < deadline, "the command never stopped"
            time.sleep(0.01)
        try:
            yield lambda: _parse(log, child.pid)
        finally:
            os.kill(child.pid, signal.SIGCONT)
            child.wait()


def _state(pid: int) -> str:
    """The letter that /proc has for what a process does."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


@contextlib.contextmanager
def _attached(
    scene: Scene, argv: Sequence[str], inject: str | None, watch: Sequence[str]
) -> Iterator[tuple[Child, Path]]:
    """A command that waits at its gate, with strace attached, and where strace writes."""
    strace = require_program("strace")
    child = scene.zygote.start(scene.seat, *argv, gate=True)
    log = scene.folder / f"strace-{child.pid}.log"
    options = [f"--trace={','.join(watch)}", *([f"--inject={inject}"] if inject else [])]
    tracer = subprocess.Popen(
        [strace, "-f", "-y", "-s", "400", "-o", str(log), *options, "-p", str(child.pid)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert tracer.stderr is not None
    with tracer.stderr:
        said = tracer.stderr.readline()
        assert "attached" in said, said + tracer.stderr.read()
        yield child, log
        tracer.stderr.read()
    tracer.wait(30)


def points(baseline: Traced) -> list[tuple[str, int]]:
    """Every (call, when) at which the command changes something, in the order of its calls."""
    return [(call.name, call.number) for call in baseline.calls if call.creates]


def sample(items: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """At most `count` of the items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    step = (len(items) - 1) / (count - 1)
    return [items[round(i * step)] for i in range(count)]


def _parse(log: Path, pid: int) -> list[Call]:
    """The calls of the first thread."""
    calls: list[Call] = []
    counts: Counter[str] = Counter()
    for line in log.read_text(errors="replace").splitlines():
        if not line.startswith(f"{pid} ") or _RESUMED.match(line):
            continue
        match = _LINE.fullmatch(line)
        cut = None if match else _CUT.fullmatch(line)
        found = match or cut
        if found is None:  # signals and exits
            continue
        name, arguments = found.group(2), found.group(3)
        counts[name] += 1
        result = int(match.group(4)) if match and match.group(4) != "?" else None
        calls.append(
            Call(
                name=name,
                number=counts[name],
                paths=tuple(_FD.findall(arguments)),
                texts=tuple(_TEXT.findall(arguments)),
                arguments=arguments,
                result=result,
                opened=match.group(5) if match else None,
                injected=bool(match and "INJECTED" in match.group(6)),
            )
        )
    return calls
