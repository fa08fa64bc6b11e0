"""Runs the demo's commands, shows them as typed, and insists on their exit codes."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WIDTH = 78
TIMEOUT = 300  # seconds for one command; all of them together take far less
AT_ONCE = 2  # commands that do not wait for each other run two at a time


class DemoFailed(Exception):
    """Something was not as the story says; the message is one line."""


@dataclass(frozen=True)
class Command:
    """One command line: what is shown, what is executed, and the exit code it must have."""

    shown: tuple[str, ...]
    executed: tuple[str, ...]
    expect: int = 0

    def __str__(self) -> str:
        return shlex.join(self.shown)


@dataclass(frozen=True)
class Result:
    """What a command wrote and returned."""

    command: Command
    code: int
    stdout: str
    stderr: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object on stdout. Raises DemoFailed."""
        try:
            found = json.loads(self.stdout)
        except ValueError as error:
            raise DemoFailed(f"no JSON on stdout from: {self.command}") from error
        if not isinstance(found, dict):
            raise DemoFailed(f"no JSON object on stdout from: {self.command}")
        return found


def stemma(*arguments: str, expect: int = 0) -> Command:
    """The `stemma` command of this interpreter's environment.

    `-P` keeps the current directory, which holds the training code, off the path.
    """
    executed = (sys.executable, "-P", "-m", "stemma_cli.main", *arguments)
    return Command(("stemma", *arguments), executed, expect)


def python(*arguments: str) -> Command:
    """A script of the training repository."""
    return Command(("python", *arguments), (sys.executable, *arguments))


def git(*arguments: str) -> Command:
    """Plain Git, without the settings of this user or machine."""
    return Command(("git", *arguments), ("git", *arguments))


class Transcript:
    """Commands run in `folder`; every one of them is also kept in `log`, with its exit code."""

    def __init__(self, folder: Path, environment: Mapping[str, str], log: Path) -> None:
        self.folder = folder
        self._environment = dict(environment)
        self._log = log
        self._scenes = 0

    def scene(self, title: str) -> None:
        """Start a numbered part of the story."""
        self._scenes += 1
        heading = f"{self._scenes}. {title}"
        print(f"\n{heading}\n{'-' * len(heading)}", flush=True)

    def say(self, text: str) -> None:
        """A paragraph."""
        print("\n" + textwrap.fill(" ".join(text.split()), WIDTH), flush=True)

    def run(self, command: Command) -> Result:
        """Show the command, its whole output, and its exit code where it is not 0."""
        show_command(command)
        result = self._execute(command)
        show_output(result)
        self._check(result)
        return result

    def quietly(self, command: Command) -> Result:
        """Run without showing anything."""
        return self.all_quietly([command])[0]

    def all_quietly(self, commands: Sequence[Command]) -> list[Result]:
        """Run independent commands, two at a time; nothing is shown unless one fails."""
        with ThreadPoolExecutor(AT_ONCE) as workers:
            results = list(workers.map(self._execute, commands))
        for result in results:
            if result.code != result.command.expect:
                show_command(result.command)
                show_output(result)
            self._check(result)
        return results

    def verdicts(self, commands: Sequence[Command]) -> None:
        """Run independent commands; of each show the first line of output and the exit code."""
        print()
        for result in self.all_quietly(commands):
            lines = (result.stdout + result.stderr).strip().splitlines() or ["(no output)"]
            print(f"$ {result.command}\n  {lines[0]}\n  exit code {result.code}", flush=True)

    def _execute(self, command: Command) -> Result:
        try:
            done = subprocess.run(
                command.executed,
                cwd=self.folder,
                env=self._environment,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                encoding="utf-8",
                errors="replace",
                timeout=TIMEOUT,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise DemoFailed(f"no answer after {TIMEOUT} seconds from: {command}") from error
        except OSError as error:
            raise DemoFailed(f"could not start: {command}: {error}") from error
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{command}  # exit code {done.returncode}\n")
        return Result(command, done.returncode, done.stdout, done.stderr)

    @staticmethod
    def _check(result: Result) -> None:
        if result.code != result.command.expect:
            told = f"exit code {result.code} instead of {result.command.expect}"
            raise DemoFailed(f"{told} from: {result.command}")


def show_command(command: Command) -> None:
    """The line as typed, broken between options where it is long."""
    lines = ["$"]
    for words in _options(command.shown):
        if len(lines[-1]) + 1 + len(words) > WIDTH - 2 and lines[-1].strip():
            lines.append("     ")
        lines[-1] += f" {words}"
    print("\n" + " \\\n".join(lines), flush=True)


def show_output(result: Result) -> None:
    """Both streams, indented."""
    output = (result.stdout + result.stderr).strip("\n")
    if output:
        print(textwrap.indent(output, "  "), flush=True)
    if result.code:
        print(f"  exit code {result.code}", flush=True)


def _options(words: Sequence[str]) -> Iterator[str]:
    """Quoted words; an option stays together with its value."""
    kept: list[str] = []
    for word in words:
        if kept and kept[-1].startswith("--") and not word.startswith("--"):
            kept[-1] += f" {shlex.quote(word)}"
        else:
            kept.append(shlex.quote(word))
    yield from kept
