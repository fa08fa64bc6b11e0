"""The contract suite runs once for each place."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_registry.blobs.contract import Store
from tests.contracts.places import PLACES, Place


@pytest.fixture(params=sorted(PLACES))
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A fresh store of each kind."""
    return PLACES[request.param](tmp_path)


@pytest.fixture
def store(place: Place) -> Store:
    """A handle of that store."""
    return place.open()
