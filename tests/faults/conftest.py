"""One scene is made for all tests; each gets a copy."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.commands import COMMANDS
from tests.faults.scene import Scene
from tests.zygote import Zygote, shared


@pytest.fixture(scope="session")
def zygote() -> Zygote:
    """The real command line, warm."""
    return shared()


@pytest.fixture(scope="session")
def template(zygote: Zygote, tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The scene that is copied; nobody changes it."""
    return Scene.build(tmp_path_factory.mktemp("template") / "scene", zygote)


@pytest.fixture
def fresh(template: Scene, tmp_path: Path) -> Callable[[], Scene]:
    """Copies of the scene, as many as asked for."""
    count = 0

    def copy() -> Scene:
        nonlocal count
        count += 1
        return template.copy(tmp_path / f"scene{count}")

    return copy


@pytest.fixture
def scene(fresh: Callable[[], Scene]) -> Scene:
    """One copy."""
    return fresh()


@pytest.fixture
def prepared(template: Scene, tmp_path: Path) -> Callable[[str], Callable[[], Scene]]:
    """For a command of the table: copies of the scene in which it can be run."""

    def prepare(command: str) -> Callable[[], Scene]:
        first = tmp_path / f"prepared-{command}"
        if not first.exists():
            COMMANDS[command].before(template.copy(first))
        source = Scene(first, template.zygote)

        def copy() -> Scene:
            return source.copy(tmp_path / f"copy{next(copies)}")

        return copy

    copies = itertools.count()
    return prepare
