"""One registry is made for all tests of this room; each gets a copy."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.scene import Scene
from tests.zygote import shared

# What a command line, a shell or a careless program could trip over.
ODD = {
    "{path}": b"braces",
    "-rf": b"dashes",
    "--help": b"more dashes",
    "deep/{path}/$STEMMA_MODEL": b"dollar",
    "deep/a b'c": b"blank and quote",
}


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    """The scene that is copied; nobody changes it. `models/odd:1` has the odd names."""
    scene = Scene.build(tmp_path_factory.mktemp("serving") / "scene", shared())
    scene.write("work/odd", ODD)
    scene.run("push", "odd", "models/odd:1", "--kind", "model").expect(0)
    return scene


@pytest.fixture
def scene(template: Scene, tmp_path: Path) -> Scene:
    """One copy."""
    return template.copy(tmp_path / "scene")
