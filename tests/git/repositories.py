"""Real repositories, made by the real `git`, of both object formats."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

FORMATS = ("sha1", "sha256")
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass(frozen=True)
class Checkout:
    """A working tree and what `git` says in it."""

    root: Path
    object_format: str

    @classmethod
    def make(cls, root: Path, object_format: str = "sha1", *, bare: bool = False) -> Checkout:
        root.mkdir(parents=True)
        made = cls(root, object_format)
        kind = ["--bare"] if bare else []
        made.git("init", "-q", "-b", "main", f"--object-format={object_format}", *kind)
        return made

    def git(self, *arguments: str, stdin: bytes = b"", when: str | None = None) -> str:
        """What a command prints, run at a time of Git's; a failure is the test's."""
        env = ENVIRONMENT if when is None else {**ENVIRONMENT, "GIT_COMMITTER_DATE": when}
        done = subprocess.run(
            ["git", *arguments], cwd=self.root, env=env, input=stdin, capture_output=True
        )
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        return done.stdout.decode(errors="surrogateescape").removesuffix("\n")

    def commit(self, message: str = "a change", **files: str | bytes) -> str:
        """Write files (`__` in a name is a dot, `/` by `___`), commit them, and give the id."""
        for name, content in files.items():
            path = self.root / name.replace("___", "/").replace("__", ".")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(params=FORMATS)
def checkout(request: pytest.FixtureRequest, tmp_path: Path) -> Checkout:
    """An empty repository, of each object format in turn."""
    return Checkout.make(tmp_path / "work", request.param)
