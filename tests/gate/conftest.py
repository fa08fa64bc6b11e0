"""One registry for the room, put back before each test."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.calling import caller
from tests.gate.desk import Desk, restore


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where it lies, at every test the same: catalogues are named after their registries."""
    return tmp_path_factory.mktemp("gate")


@pytest.fixture
def desk(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Desk]:
    """The registry of `Desk.build`, as new."""
    folder, saved = place / "desk", place / "saved"
    monkeypatch.setenv("STEMMA_HOME", str(folder / "home"))
    monkeypatch.setenv("STEMMA_REGISTRY", str(folder / "registry"))
    desk = Desk(folder, caller(capsys))
    before = os.getcwd()
    if saved.exists():
        restore(saved, folder)
        os.chdir(folder / "work")
    else:
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "work").mkdir(parents=True)
        os.chdir(folder / "work")
        desk.build()
        shutil.copytree(folder, saved, symlinks=True)
    yield desk
    os.chdir(before)
