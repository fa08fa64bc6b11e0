"""Collecting and erasing on every store there is: what is deleted leaves nothing behind."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.care import erase
from stemma_registry.care.collect import Collector
from tests.contracts.places import PLACES, Place
from tests.registry.collecting import NEVER, NOW, gc, is_whole, planned
from tests.world import World

LARGE = bytes(range(256)) * (80 * 1024)  # 20 MiB: more than one part on any store


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_what_is_collected_and_erased_is_gone(
    place: Callable[[Path], Place], tmp_path: Path
) -> None:
    (tmp_path / "store").mkdir()
    where = place(tmp_path / "store")
    store = where.open()
    world = World(tmp_path, store)
    world.push("acme/data:1", {"kept.txt": b"kept", "large.bin": LARGE[::-1]})
    before = where.leftovers()
    blob = Digest.of(LARGE)
    store.put(io.BytesIO(LARGE), blob, len(LARGE))
    store.read_range(blob, len(LARGE) - 10, 10)
    assert gc(world, NEVER).condemned == 1
    assert [item.size for item in planned(world).due] == [len(LARGE)]
    assert gc(world, NOW).deleted == 1
    assert store.size(blob) is None
    who = Collector(world.registry, world.trust, world.signer("owner"), world.now)
    with who.view() as view:
        seen = erase.preview(world.registry, view, "acme/data:1", "large.bin", who.signer)
    erase.erase(who, seen, "a person asked")
    assert store.size(seen.blob) is None
    assert where.leftovers() == before
    assert is_whole(world)
    assert world.code("acme/data:1") == 12
    # What was there and is not may be pushed again, from the beginning.
    world.push("acme/again:1", {"large.bin": LARGE})
    assert world.code("acme/again:1") == 0
