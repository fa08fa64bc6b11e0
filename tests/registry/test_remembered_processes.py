"""Two processes write down what they verified, and both are killed: nothing is lost or torn."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

from stemma_registry.config import Home
from tests.registry.remembering import memory, saying

ROOT = Path(__file__).parents[2]
MODULE = "tests.registry.remembering"
EACH = 25


def run(home: Home, first: int) -> list[int]:
    """What two of them had written down when they were killed."""
    argv = [sys.executable, "-m", MODULE, str(home.path)]
    pair = [
        subprocess.Popen([*argv, str(first + i)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for i in range(2)
    ]
    done: list[int] = []
    try:
        for one in pair:
            assert one.stdout is not None
            done += [int(one.stdout.readline()) for _ in range(EACH)]
    finally:
        for one in pair:
            one.kill()
    for one in pair:
        rest, _ = one.communicate()
        done += [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    return done


def test_two_at_once_that_are_killed(tmp_path: Path) -> None:
    home, written = Home(tmp_path / "home"), list[int]()
    for _ in range(2):
        written += run(home, max(written, default=0) + 2)
    known = memory(home)
    known.recall([saying(number)[0] for number in written])
    for number in written:
        bundle, said = saying(number)
        assert known.get(bundle) == said
    path = home.verified / "signatures.sqlite3"
    assert path.stat().st_mode & 0o777 == 0o600
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (count,) = connection.execute("SELECT count(*) FROM said").fetchone()
    connection.close()
    assert len(written) <= count <= len(written) + 4  # each was at one when it was killed
