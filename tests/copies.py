"""A world that was made once, copied for each test that changes it."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Home
from stemma_registry.registry import Registry
from tests.world import World


def copied(made: World, folder: Path) -> World:
    """A copy that lives in `folder`; the registry of `made` is closed."""
    world, store = copy.copy(made), MemoryStore()
    assert isinstance(made.store, MemoryStore)
    store.blob_bytes, store.objects = dict(made.store.blob_bytes), dict(made.store.objects)
    world.folder, world.store, world.home = folder, store, Home(folder / "home")
    world.signers = dict(made.signers)
    world.trust_path = folder / "trust.yaml"
    shutil.copy(made.trust_path, world.trust_path)
    world.catalogue_path = folder / "catalogue.sqlite3"
    if world.place().embedded:
        shutil.copy(made.catalogue_path, world.catalogue_path)
    world.registry = Registry(store, Catalogue.open(world.place(), store), world.home)
    return world
