"""strace: which calls a command makes, and making one of them fail or be its last.

The command waits at its gate while strace attaches, so that only its own work
is seen. strace counts the calls of each name in each thread from one: a call
that is the third of its name in two threads is injected twice, unless the first
ends the command.
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
    *("syncfs", "sync_file_range", "ioctl"),
)
# Digests differ from run to run, and so do the directories to make with them and each thread's
# share of the work: of the points of one run, so many at least are reached in another.
REACHED = 0.5
_TASK = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|\?)(?:<(.*?)>)?(.*)")
_BEGUN = re.compile(r"(\w+)\((.*)")
_UNFINISHED = " <unfinished ...>"
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')
_FD = re.compile(r"(?:\d+|AT_FDCWD)<([^<>]*)>")


@dataclass(frozen=True)
class Call:
    """One call. `paths` are those of its descriptors, `texts` its strings; `result` is -1 where
    it failed, and None where it did not return. While it was under way, `overlap` calls of
    other threads ended."""

    name: str
    number: int
    paths: tuple[str, ...]
    texts: tuple[str, ...]
    arguments: str
    result: int | None
    opened: str | None
    injected: bool
    overlap: int = 0

    @property
    def creates(self) -> bool:
        """Whether it changes something: an `openat` that only reads does not."""
        if self.name == "ioctl":
            return "FICLONE" in self.arguments
        return self.name != "openat" or "O_CREAT" in self.arguments or "O_TRUNC" in self.arguments

    def __repr__(self) -> str:
        shown = self.arguments if len(self.arguments) < 300 else f"{self.arguments[:300]}..."
        return f"{self.name}#{self.number}({shown}) = {self.result}{' INJECTED' * self.injected}"

    @property
    def target(self) -> str:
        """The path that it is about: its first text, seen from its first descriptor."""
        at = self.paths[0] if self.paths else ""
        return os.path.join(at, self.texts[0]) if self.texts else at


@dataclass(frozen=True)
class Traced:
    """A command under strace: how it ended, and what it did, in the order in which calls ended."""

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
    return Traced(finished, tuple(_parse(log)))


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
            yield lambda: _parse(log)
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
    return list(dict.fromkeys((call.name, call.number) for call in baseline.calls if call.creates))


def sample(items: Sequence[tuple[str, int]], count: int) -> list[tuple[str, int]]:
    """At most `count` of the items, evenly spread, the first and the last among them."""
    if len(items) <= count:
        return list(items)
    step = (len(items) - 1) / (count - 1)
    return [items[round(i * step)] for i in range(count)]


def _parse(log: Path) -> list[Call]:
    """The calls of all threads, in the order in which they ended; those that did not, last."""
    calls: list[Call] = []
    counts: Counter[tuple[str, str]] = Counter()
    under_way: dict[str, tuple[str, int, int]] = {}
    for line in log.read_text(errors="replace").splitlines():
        found = _TASK.fullmatch(line)
        if found is None:  # strace is still writing it
            continue
        task, text = found.groups()
        resumed = _RESUMED.fullmatch(text)
        if resumed and task in under_way:
            begun, number, since = under_way.pop(task)
            calls.append(_call(begun + resumed.group(1), number, len(calls) - since))
        elif (name := _BEGUN.match(text)) is not None:  # signals and exits look otherwise
            counts[task, name.group(1)] += 1
            number = counts[task, name.group(1)]
            if text.endswith(_UNFINISHED):
                under_way[task] = (text.removesuffix(_UNFINISHED), number, len(calls))
            else:
                calls.append(_call(text, number, 0))
    done = len(calls)
    calls += [_call(text, number, done - since) for text, number, since in under_way.values()]
    return calls


def _call(text: str, number: int, overlap: int) -> Call:
    """A call as strace writes it, with or without a result."""
    whole = _CALL.fullmatch(text)
    found = whole or _BEGUN.match(text)
    assert found is not None, text
    arguments = found.group(2)
    return Call(
        name=found.group(1),
        number=number,
        paths=tuple(_FD.findall(arguments)),
        texts=tuple(_TEXT.findall(arguments)),
        arguments=arguments,
        result=int(whole.group(3)) if whole and whole.group(3) != "?" else None,
        opened=whole.group(4) if whole else None,
        injected=bool(whole and "INJECTED" in whole.group(5)),
        overlap=overlap,
    )
