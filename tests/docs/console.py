"""Examples in the documentation: finding them, running them, comparing what they print.

Three kinds of fenced block in a page are run, in order, in one scratch folder
with a home of its own:

    ```console      lines that begin with `$ ` (and `> ` for more of the same)
                    are commands for one bash, what follows is their output,
                    stdout and stderr as a terminal would show them
    ```sh deploy.sh a file of that name, written where the shell is
    ```yaml x.yaml  likewise: any language with a file name behind it

In an output, a line `...` stands for any lines and `[..]` for anything in a
line. Digests (twelve hex digits or more) and times may be others in what is
printed, because keys, signatures and clocks are; a command that quotes a digest
gets the one that was printed. A command has to end with 0, unless the next one
is `echo $?` and so says with what.

`python -m tests.docs.console PAGE...` runs pages and writes what differs back.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs.commands import SHIM

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 120.0
SHOWN_HOME = "/home/ada"
WIDTH = 80
# Puts something into the home before a page is run, and says what its environment has more.
Prepare = Callable[[Path], Mapping[str, str]]
_FENCE = re.compile(r"^```(\w+)(?: +(\S+))?\s*$")
_HEX = r"(?<![0-9A-Za-z])[0-9a-f]{12,64}(?![0-9A-Za-z])"
_TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
_TOKEN = re.compile(rf"(?P<hex>{_HEX})|(?P<time>{_TIME})|(?P<any>\[\.\.\])")


@dataclass(frozen=True)
class Command:
    """A command of a page: its text, the lines it should print, and where those are."""

    text: str
    expected: tuple[str, ...]
    first: int  # index of the first expected line in the page
    section: str  # the nearest heading above


@dataclass(frozen=True)
class File:
    """A file that a page shows."""

    name: str
    text: str


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed."""

    command: Command
    code: int
    lines: tuple[str, ...]


def examples(page: Path) -> list[Command | File]:
    """Everything in a page that is run, in order."""
    found: list[Command | File] = []
    section, lines = "", page.read_text(encoding="utf-8").splitlines()
    number = 0
    while number < len(lines):
        if lines[number].startswith("#"):
            section = lines[number].lstrip("#").strip()
        fence = _FENCE.match(lines[number])
        number += 1
        if fence is None:
            continue
        end = next(i for i in range(number, len(lines)) if lines[i] == "```")
        if fence[1] == "console":
            found += _commands(lines, number, end, section)
        elif fence[2]:
            found.append(File(fence[2], "\n".join(lines[number:end]) + "\n"))
        number = end + 1
    return found


def _commands(lines: Sequence[str], start: int, end: int, section: str) -> Iterator[Command]:
    number = start
    while number < end:
        if not lines[number].startswith("$ "):
            raise AssertionError(f"line {number + 1}: a console block begins with a command")
        text = lines[number][2:]
        number += 1
        while number < end and lines[number].startswith("> "):
            text += "\n" + lines[number][2:]
            number += 1
        first = number
        while number < end and not lines[number].startswith("$ "):
            number += 1
        yield Command(text, tuple(lines[first:number]), first, section)


@dataclass
class Digests:
    """Which digest in what was printed is meant by which digest in the page.

    Digests of bytes and commits are the same in every run, those of keys and
    signatures are not. One that was the same once has to stay so.
    """

    meant: dict[str, str] = field(default_factory=dict)  # first twelve digits -> what was printed
    same: set[str] = field(default_factory=set)

    def real(self, text: str) -> str:
        """A command with the real digests in it."""
        return re.sub(_HEX, lambda m: self.meant.get(m[0][:12], m[0])[: len(m[0])], text)

    def shown(self, line: str) -> str:
        """What was printed, in the page's digests where they are known."""
        back = {real[:12]: page for page, real in self.meant.items()}
        return re.sub(_HEX, lambda m: back.get(m[0][:12], m[0][:12]) + m[0][12:], line)

    def _may_be(self, page: str, real: str) -> bool:
        """Whether one may be the other; if so, it is remembered."""
        key = page[:12]
        if page == real:
            self.same.add(key)
        elif key in self.same or real[:12] in self.same:
            return False
        if len(real) >= len(self.meant.get(key, "")):
            self.meant[key] = real
        return True

    def matches(self, expected: Sequence[str], lines: Sequence[str]) -> str | None:
        """None where the lines are those that were expected, else the first that is not."""
        parts: list[list[str]] = [[]]
        for line in expected:
            if line.strip() == "...":
                parts.append([])
            else:
                parts[-1].append(line)
        at = 0
        for i, part in enumerate(parts):
            last = i == len(parts) - 1
            places = [at] if i == 0 else range(at, len(lines) - len(part) + 1)
            if last and i:
                places = [max(at, len(lines) - len(part))]
            for place in places:
                if self._fits(part, lines[place : place + len(part)]):
                    at = place + len(part)
                    break
            else:
                return self._first_difference(part, lines[at:])
        return None if at == len(lines) else f"not expected: {lines[at]!r}"

    def _fits(self, part: Sequence[str], lines: Sequence[str]) -> bool:
        if len(part) != len(lines):
            return False
        before = dict(self.meant)
        if all(map(self._line, part, lines)):
            return True
        self.meant = before
        return False

    def _line(self, expected: str, line: str) -> bool:
        pattern, pages, at = "", [], 0
        for token in _TOKEN.finditer(expected):
            pattern += re.escape(expected[at : token.start()])
            if token["hex"]:
                pages.append(token["hex"])
                pattern += rf"([0-9a-f]{{{len(token['hex'])}}})"
            else:
                pattern += _TIME if token["time"] else ".*"
            at = token.end()
        found = re.fullmatch(pattern + re.escape(expected[at:]), line)
        return found is not None and all(map(self._may_be, pages, found.groups()))

    def _first_difference(self, part: Sequence[str], lines: Sequence[str]) -> str:
        for i, line in enumerate(part):
            got = lines[i] if i < len(lines) else "(nothing more)"
            if i >= len(lines) or not self._line(line, got):
                return f"expected {line!r}, got {got!r}"
        return "the lines do not come in this order"


class Shell:
    """One bash in a scratch folder, in which `stemma` is the real command in a real process."""

    def __init__(self, folder: Path, prepare: Prepare | None = None) -> None:
        self.home = folder / "h"
        self.work = self.home / "work"
        self.work.mkdir(parents=True)
        # As on a machine without the extra; who shows record indexes asks for them.
        (self.home / ".stemma").mkdir()
        (self.home / ".stemma/config.yaml").write_text("record_index: off\n", encoding="utf-8")
        more = prepare(self.home) if prepare else {}
        programs = folder / "bin"
        programs.mkdir()
        write_shim(programs / "stemma")
        path = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc", "-s"],
            cwd=self.work,
            env={**_GIT, "PATH": os.pathsep.join(path), **self._environment(), **more},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def _environment(self) -> dict[str, str]:
        return {
            "HOME": str(self.home),
            "STEMMA_HOME": str(self.home / ".stemma"),
            "LANG": "C.UTF-8",
            "TZ": "UTC",
            "PYTHONDONTWRITEBYTECODE": "1",
        }

    def run(self, text: str) -> tuple[int, list[str]]:
        """Run a command to its end: its exit code and the lines it printed."""
        mark = f"end-{os.urandom(8).hex()}"
        assert self._bash.stdin is not None
        # The last line gives `$?` its value back.
        script = f"eval {shlex.quote(text)} </dev/null\n__=$?; echo {mark} $__; (exit $__)\n"
        self._bash.stdin.write(script.encode())
        self._bash.stdin.flush()
        out, _, code = self._until(mark).rpartition(mark)
        return int(code), out.replace(str(self.home), SHOWN_HOME).splitlines()

    def _until(self, mark: str) -> str:
        assert self._bash.stdout is not None
        deadline, data = time.monotonic() + SECONDS, b""
        ended = re.compile(rb"%b \d+\n\Z" % mark.encode())
        while not ended.search(data):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._bash.stdout], [], [], left)[0]:
                raise AssertionError(f"no end within {SECONDS:.0f} s, after {data!r}")
            part = os.read(self._bash.stdout.fileno(), 65536)
            assert part, f"the shell ended, after {data!r}"
            data += part
        return data.decode()

    def close(self) -> None:
        """End the shell and everything it started."""
        _end(self._bash)
        for stream in (self._bash.stdin, self._bash.stdout):
            if stream is not None:
                stream.close()


def write_shim(program: Path) -> None:
    """Make `program` a `stemma` whose imports are done, in processes of its own all the same."""
    program.write_text(SHIM.format(python=sys.executable, door=str(_door())), encoding="utf-8")
    program.chmod(0o755)


@functools.cache
def _door() -> Path:
    """The door of the one server of `commands`, which ends with this process."""
    folder = tempfile.TemporaryDirectory(prefix="stemma-")
    atexit.register(folder.cleanup)
    door = Path(folder.name) / "door"
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.docs.commands", str(door)], cwd=ROOT, start_new_session=True
    )
    atexit.register(_end, server)
    deadline = time.monotonic() + SECONDS
    while not door.exists():
        assert server.poll() is None, "the commands' server ended"
        assert time.monotonic() < deadline, "the commands' server does not start"
        time.sleep(0.02)
    return door


def _end(leader: subprocess.Popen[bytes]) -> None:
    """Kill a process and its group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader.pid, signal.SIGKILL)
    leader.wait(10)


# One author and one time, so that commits have the same digests in every run.
_GIT = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    **{
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (
            ("NAME", "Ada"),
            ("EMAIL", "ada@example.org"),
            ("DATE", "2026-11-21T09:00:00Z"),
        )
    },
}


def play(
    page: Path, digests: Digests | None = None, prepare: Prepare | None = None
) -> Iterator[Ran]:
    """Run a page from top to bottom."""
    digests = digests or Digests()
    with tempfile.TemporaryDirectory(prefix="stemma-") as folder:
        shell = Shell(Path(folder).resolve(), prepare)
        try:
            for example in examples(page):
                if isinstance(example, File):
                    quoted = shlex.quote(example.text)
                    code, lines = shell.run(f"printf %s {quoted} >{shlex.quote(example.name)}")
                    assert (code, lines) == (0, [])
                    continue
                code, lines = shell.run(digests.real(example.text))
                yield Ran(example, code, tuple(lines))
        finally:
            shell.close()


def _narrow(line: str) -> str:
    """A line cut where it would be too wide, at its digests if that is enough."""
    if len(line) > WIDTH:
        line = re.sub(r"([0-9a-f]{12})[0-9a-f]{52}", r"\1[..]", line)
    return line if len(line) <= WIDTH else line[: WIDTH - 4] + "[..]"


def write(page: Path, prepare: Prepare | None = None) -> int:
    """Put what is really printed into a page wherever it differs; how many times that was."""
    lines, digests, shift, count = page.read_text(encoding="utf-8").splitlines(), Digests(), 0, 0
    for ran in play(page, digests, prepare):
        if digests.matches(ran.command.expected, ran.lines) is None:
            continue
        shown = [_narrow(digests.shown(line)) for line in ran.lines]
        start = ran.command.first + shift
        lines[start : start + len(ran.command.expected)] = shown
        shift += len(shown) - len(ran.command.expected)
        count += 1
        assert digests.matches(shown, ran.lines) is None, ran.command.text
        if ran.code:
            print(f"{page}: exit {ran.code} from {ran.command.text}")
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return count


if __name__ == "__main__":
    for name in sys.argv[1:]:
        print(f"{name}: {write(Path(name))} outputs written")
