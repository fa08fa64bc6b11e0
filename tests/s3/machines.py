"""Machines that share nothing but a bucket: each has its home, catalogue, cache and checkout."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests import seaweed
from tests.world import commit_all
from tests.zygote import Child, Finished, Seat, Zygote


@dataclass(frozen=True)
class Machine:
    """One machine. `location` is the registry that all of them use."""

    folder: Path
    zygote: Zygote
    location: str

    @classmethod
    def new(cls, folder: Path, zygote: Zygote, location: str) -> Machine:
        """A machine with a Git checkout of its own and nothing in its home."""
        machine = cls(folder, zygote, location)
        machine.write("work", {"train.py": b"print('training')\n"})
        commit_all(machine.work)
        return machine

    @property
    def work(self) -> Path:
        """The checkout, in which commands run."""
        return self.folder / "work"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    def write(self, where: str, files: Mapping[str, bytes]) -> Path:
        """Write files below the machine's folder."""
        root = self.folder / where
        for path, data in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_bytes(data)
        return root

    def start(self, *argv: str | Path, **options: Any) -> Child:
        """Start a command."""
        seat = Seat(self.home, self.folder / "registry", self.work)
        environment = {"STEMMA_REGISTRY": self.location, **seaweed.shared().environment()}
        return self.zygote.start(seat, *argv, environment=environment, **options)

    def run(self, *argv: str | Path, **options: Any) -> Finished:
        """Run a command to its end."""
        return self.start(*argv, **options).wait()

    def ask(self, *argv: str | Path, code: int = 0) -> Any:
        """A command's JSON document."""
        return self.run(*argv, "--json").expect(code).document


def new_location() -> str:
    """A place in a bucket that nobody used before."""
    return f"s3://{seaweed.shared_bucket()}/{secrets.token_hex(8)}"
