"""Fixtures for the registry's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty registry in memory whose owner is trusted for everything."""
    return World(tmp_path)
