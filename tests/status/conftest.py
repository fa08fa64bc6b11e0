"""Fixtures for the feed's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.status.scene import FeedScene


@pytest.fixture
def feed(tmp_path: Path) -> FeedScene:
    """A feed that was published once, beside a ledger with `acme/d:1`."""
    scene = FeedScene(tmp_path)
    scene.world.push("acme/d:1")
    scene.publish()
    return scene
