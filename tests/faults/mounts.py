"""File systems for tests, made and unmade. They need root; without it a test is skipped loudly."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import pytest

from tests.programs import nothing_may_be_skipped, require_program


def cannot(reason: str) -> NoReturn:
    """Skip the test, or fail where all is required."""
    if nothing_may_be_skipped():
        pytest.fail(reason)
    pytest.skip(reason)


def mount(target: Path, *arguments: str) -> None:
    """`mount ARGUMENTS TARGET`."""
    program = require_program("mount")
    if os.geteuid() != 0:
        cannot("needs root to mount file systems")
    target.mkdir(exist_ok=True)
    _run([program, *arguments, str(target)])


def unmount(target: Path) -> None:
    """Unmount, now or when nobody uses it any more."""
    subprocess.run(["umount", "-l", str(target)], check=True)


def make_ext4(image: Path, megabytes: int) -> None:
    """An empty ext4 file system in a file."""
    program = shutil.which("mkfs.ext4")
    if program is None:
        cannot("needs mkfs.ext4 (Debian: apt-get install e2fsprogs)")
    with image.open("wb") as out:
        out.truncate(megabytes * 1024 * 1024)
    _run([program, "-q", "-F", str(image)])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        cannot(f"needs leave to mount file systems ({done.stderr.strip()[:200]})")
