"""Commits for a running `git fast-import`.

It moves the branch at its end, and at every checkpoint, and only ever forward: since there is one
chain of commits for a ledger, somebody who exports at the same time does no harm.
"""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from pathlib import Path

from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused, Unavailable
from stemma_registry.gitledger.rendering import BRANCH, WHO, Rendered
from stemma_registry.gitrepo import program

# Quick rather than small: `git repack -adf` finds good deltas. What was acknowledged is on disk.
_FAST = ("-c", "core.compression=1", "-c", "core.fsync=committed", "-c", "core.fsyncMethod=batch")


class Feed:
    """One export's commits, in order. Nothing is started before the first of them."""

    def __init__(self, directory: Path, parent: str | None) -> None:
        self.count = 0
        self._directory = directory
        self._parent = parent
        self._process: subprocess.Popen[bytes] | None = None
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `abandon`

    def add(self, rendered: Rendered) -> None:
        """The next commit. Raises Unavailable."""
        parts = [b"commit %s\n" % BRANCH.encode()]
        parts += [b"%s %s %d +0000\n" % (b"author", WHO, rendered.seconds)]
        parts += [b"%s %s %d +0000\n" % (b"committer", WHO, rendered.seconds)]
        parts += _data(rendered.message)
        if self.count == 0 and self._parent is not None:
            parts.append(b"from %s\n" % self._parent.encode())
        parts.append(b"deleteall\n")
        for name, data in rendered.files.items():
            parts += [b"M 100644 inline %s\n" % name.encode(), *_data(data)]
        self.count += 1
        if self.count % LIMITS.ledger_export_commits == 0:
            parts.append(b"checkpoint\n")
        self._write(b"".join(parts))

    def end(self) -> bool:
        """Finish; whether the branch is where it was brought. Raises Unavailable.

        False where it is further on, or elsewhere.
        """
        if self._process is None:
            return True
        self._write(b"done\n")
        code = self._wait(LIMITS.ledger_export_seconds)
        if code not in (0, 1):
            raise Unavailable(f"git fast-import: {self._complaint() or f'ended with {code}'}")
        return code == 0

    def abandon(self) -> None:
        """End without moving the branch any further. Harmless after `end`."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._wait(LIMITS.git_seconds)
        self._said.close()

    def _write(self, data: bytes) -> None:
        if self._process is None:
            self._process = self._start()
        assert self._process.stdin is not None  # noqa: S101 - for the type checker
        try:
            self._process.stdin.write(data)
        except OSError as error:
            self._wait(LIMITS.git_seconds)
            said = self._complaint() or str(error)
            raise Unavailable(f"git fast-import has ended: {said}") from error

    def _start(self) -> subprocess.Popen[bytes]:
        asked = (*_FAST, "fast-import", "--quiet", "--done", "--date-format=raw")
        try:
            return subprocess.Popen(  # noqa: S603 - plumbing, on arguments of ours
                program.command(self._directory, *asked),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                env=program.environment(),
                cwd="/",
                bufsize=1 << 20,
            )
        except OSError as error:
            raise Refused(f"git fast-import cannot be started ({error})") from error

    def _wait(self, seconds: float) -> int:
        process = self._process
        assert process is not None  # noqa: S101 - for the type checker
        assert process.stdin is not None  # noqa: S101 - for the type checker
        with contextlib.suppress(OSError):  # it listens no more: its status says why
            process.stdin.close()
        try:
            return process.wait(seconds)
        except subprocess.TimeoutExpired as error:
            process.kill()
            process.wait()
            raise Unavailable(f"git fast-import has not ended within {seconds:g} s") from error

    def _complaint(self) -> str:
        self._said.seek(0)
        return program.said(self._said.read(64 * 1024))


def _data(data: bytes) -> tuple[bytes, bytes, bytes]:
    return b"data %d\n" % len(data), data, b"\n"
