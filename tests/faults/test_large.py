"""An artifact that is larger than the memory it may take: push, verify and pull in a stream."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.zygote import Finished, Seat

pytestmark = pytest.mark.faults
GIGABYTE = 10**9
ADDRESS_SPACE = 512 * 1024 * 1024


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    """A home and a registry, thrown away at once: they are large."""
    seat = Seat(tmp_path / "home", tmp_path / "registry", tmp_path / "work")
    seat.cwd.mkdir()
    yield seat
    for folder in (seat.home, seat.registry, seat.cwd):
        shutil.rmtree(folder, ignore_errors=True)


def limited(seat: Seat, *argv: str) -> Finished:
    """An interpreter of its own that may not have more address space; not just resident memory."""
    done = subprocess.run(
        [sys.executable, "-m", "stemma_cli.main", *argv],
        cwd=seat.cwd,
        env={**seat.environment, **path_of_this_process()},
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE,) * 2),
    )
    return Finished(argv, done.returncode, done.stdout, done.stderr)


def path_of_this_process() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k == "PYTHONPATH"}


def there_and_back(seat: Seat, size: int) -> None:
    source = seat.cwd / "source"
    source.mkdir()
    with (source / "weights.bin").open("wb") as out:
        out.truncate(size)  # reads as zeros, and takes no room
        out.write(b"the beginning")
    needed = 2 * size + GIGABYTE
    if shutil.disk_usage(seat.cwd).free < needed:
        pytest.skip(f"needs {needed / GIGABYTE:.0f} GB of free disk")
    limited(seat, "init").expect(0)
    limited(seat, "push", "source", "models/large:1", "--kind", "model").expect(0)
    limited(seat, "verify", "models/large:1").expect(0)
    limited(seat, "pull", "models/large:1", "out").expect(0)
    limited(seat, "verify", "out", "--as", "models/large:1").expect(0)
    assert (seat.cwd / "out" / "weights.bin").stat().st_size == size
    limited(seat, "audit", "--read-data").expect(0)


def test_the_limit_is_one(seat: Seat) -> None:
    """Or the tests below could not fail."""
    code = f"bytes({ADDRESS_SPACE})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE,) * 2),
    )
    assert done.returncode != 0
    assert "MemoryError" in done.stderr
    limited(seat, "--version").expect(0)


@pytest.mark.slow
def test_one_gigabyte(seat: Seat) -> None:
    there_and_back(seat, GIGABYTE)


@pytest.mark.slow
def test_ten_gigabytes(seat: Seat) -> None:
    there_and_back(seat, 10 * GIGABYTE)
