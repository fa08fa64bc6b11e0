"""The scene of tests/faults, and ways to let processes loose on it together."""

from __future__ import annotations

from pathlib import Path

import pytest

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
def scene(template: Scene, tmp_path: Path) -> Scene:
    """A copy, its catalogue up to date."""
    made = template.copy(tmp_path / "scene")
    made.run("list").expect(0)
    return made
