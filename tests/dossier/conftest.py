"""Fixtures for the dossier's tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.dossier.scene import DossierScene


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> DossierScene:
    """A scene that the tests of a module share: they write nothing into its ledger."""
    return DossierScene(tmp_path_factory.mktemp("shared"))


@pytest.fixture(scope="module")
def good(shared: DossierScene) -> Path:
    """The dossier of its model."""
    return shared.make()


@pytest.fixture
def scene(tmp_path: Path) -> DossierScene:
    """A scene of one's own."""
    return DossierScene(tmp_path)
