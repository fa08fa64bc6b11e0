"""A registry of this test alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Signed pushes, and whom they are by."""
    return World(tmp_path)
