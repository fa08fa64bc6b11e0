"""`stemma` as its users run it: whole processes, with a home and a registry made for the run."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.measuring import Contestant, Sample, process, settle

NAME = "bench/data:1"
# Of whoever runs it; a start that compiles everything anew is no user's.
_FOREIGN = ("AWS_", "STEMMA_", "PYTHONDONTWRITEBYTECODE")
STEMMA = [sys.executable, "-m", "stemma_cli.main"]
_numbers = itertools.count()


@dataclass(frozen=True)
class Seat:
    """A user: a folder with the home and nothing else in it, and a registry."""

    folder: Path
    registry: str
    more: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def made(
        cls, work: Path, registry: str | None = None, more: Mapping[str, str] | None = None
    ) -> Seat:
        """A new user with an empty registry: in a local folder unless a location is given."""
        folder = work / f"seat-{next(_numbers)}"
        folder.mkdir(parents=True)
        seat = cls(folder, registry or str(folder / "registry"), more or {})
        subprocess.run(
            [*STEMMA, "init"], env=seat.environment, cwd=folder, check=True, capture_output=True
        )
        return seat

    @property
    def environment(self) -> dict[str, str]:
        """Of this user, with nothing of whoever runs the benchmark."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        home = str(self.folder / "home")
        return {**kept, "STEMMA_HOME": home, "STEMMA_REGISTRY": self.registry, **self.more}

    def run(self, *arguments: str) -> Sample:
        """A command as a whole process."""
        return process([*STEMMA, *arguments], self.environment, self.folder)

    def push(self, directory: Path, name: str = NAME, *options: str) -> Sample:
        """`stemma push`."""
        return self.run("push", str(directory), name, "--kind", "model", "--json", *options)

    def verify(self, directory: Path, name: str = NAME) -> Sample:
        """`stemma verify DIR --as NAME:VERSION`."""
        return self.run("verify", str(directory), "--as", name, "--json")

    def pull(self, target: Path, name: str = NAME) -> Sample:
        """`stemma pull`."""
        return self.run("pull", name, str(target), "--json")

    def forget(self) -> None:
        """Throw the read cache away."""
        shutil.rmtree(self.folder / "home/cache", ignore_errors=True)

    def end(self) -> None:
        """Remove the home, and the registry where it is a local folder."""
        shutil.rmtree(self.folder)


def tiny(work: Path) -> Path:
    """A directory of one file of a few bytes."""
    folder = work / "tiny"
    folder.mkdir(exist_ok=True)
    if not (folder / "a").exists():
        (folder / "a").write_text("a tiny file\n")
    return folder


class Start:
    """A command on the tiny directory: its start, and all that it does but move bytes."""

    def __init__(self, command: str, seat: Seat, work: Path) -> None:
        self.command, self.seat, self.work = command, seat, work
        self.name, self.number = f"bench/tiny-{command}:", 0
        if command != "push":
            seat.push(tiny(work), self.name + "0")

    def contestant(self) -> Contestant:
        """To be run in turn with the rest."""
        return Contestant(f"stemma {self.command}, a tiny directory", "start", self.run)

    def run(self) -> Sample:
        """Once."""
        settle()
        folder, seat = tiny(self.work), self.seat
        if self.command == "verify":
            return seat.verify(folder, self.name + "0")
        if self.command == "push":
            self.number += 1
            (folder / "a").write_text(f"{os.urandom(8).hex()}\n")
            return seat.push(folder, self.name + str(self.number))
        seat.forget()
        target = self.work / "tiny-pulled"
        try:
            return seat.pull(target, self.name + "0")
        finally:
            shutil.rmtree(target)
