"""The walk upward: the same states as one level at a time, in few queries, whoever adds edges."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations.trust import Assurance
from stemma_registry.lineage import ancestry, climbing
from stemma_registry.lineage.climbing import Climb
from stemma_registry.reference import resolve
from tests.world import World

CHAIN = 12


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A chain, each made from the one before; the first two meet again in every third."""
    world = World(tmp_path)
    world.push("m/0:1", kind="model")
    for i in range(1, CHAIN):
        further = ["derived-from=m/0:1"] if i % 3 == 0 and i > 1 else []
        world.push(f"m/{i}:1", None, f"fine-tuned-from=m/{i - 1}:1", *further, kind="model")
    return world


def walked(world: World, least: Assurance) -> tuple[list[tuple[str, int]], Climb]:
    """Label and distance of everything upstream of the last."""
    with world.view() as view:
        start = (resolve(view, f"m/{CHAIN - 1}:1").node, f"m/{CHAIN - 1}")
        found = ancestry.ancestors(view, world.store, {}, start, [ancestry.Walk(least)])
        way = Climb(view)
        met, frontier = {start}, [start]
        while frontier:
            frontier = [s for s in way.parents(frontier, least) if s not in met]
            met.update(frontier)
        return sorted((one.label, one.depth) for one in found if not one.code), way


@pytest.mark.parametrize("ahead", [0, 1, 3, 1000])
def test_how_much_is_read_ahead_changes_no_answer(
    world: World, monkeypatch: pytest.MonkeyPatch, ahead: int
) -> None:
    monkeypatch.setattr(climbing, "AHEAD", ahead)
    found, _ = walked(world, Assurance.ATTESTED)
    depths = dict(found)
    assert len(depths) == CHAIN - 1
    assert depths["m/10:1"] == 1
    assert depths["m/0:1"] == 3  # by way of m/9


def test_strangers_edges_are_not_stepped_on(world: World) -> None:
    before, _ = walked(world, Assurance.ATTESTED)
    world.push("junk/a:1", kind="model", by="stranger")
    world.push("m/5:1", None, "derived-from=junk/a:1", kind="model", by="stranger")
    assert walked(world, Assurance.ATTESTED)[0] == before
    with_theirs = dict(walked(world, Assurance.SIGNED)[0])
    assert with_theirs["junk/a:1"] == 7


def test_what_is_read_in_vain_is_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers hang chains of their own on every model."""
    for i in range(CHAIN):
        world.push(f"junk/{i}:0", kind="model", by="stranger")
        for j in range(1, 5):
            above = f"derived-from=junk/{i}:{j - 1}"
            world.push(f"junk/{i}:{j}", None, above, kind="model", by="stranger")
        parents = [f"derived-from=junk/{i}:4"]
        world.push(f"m/{i}:1", None, *parents, kind="model", by="stranger")
    monkeypatch.setattr(climbing, "AHEAD", 8)
    monkeypatch.setattr(climbing, "IN_VAIN", 0)
    found, way = walked(world, Assurance.ATTESTED)
    assert len(found) == CHAIN - 1
    stepped = CHAIN + 1  # the commit, too
    assert len(way._into) <= stepped + 2 * 8
