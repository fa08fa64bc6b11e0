"""What a quarantine would reach, for all names at once, is what a walk from each of them says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from stemma_attestations.predicates import status
from stemma_registry import custody
from stemma_registry.catalogue import ahead, bulk, statuses
from stemma_registry.config import LIMITS
from stemma_registry.lineage import radius
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from tests.registry.test_scale import digest, history, say
from tests.world import World

NAMES = (None, "n0/n3", "n1/n4", "n2/x", "acme/more")


@pytest.fixture
def world(on_either: World) -> World:
    """On each of the databases."""
    return on_either


def _nodes(view: Snapshot) -> list[int]:
    return [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]


@pytest.mark.parametrize("seed", range(4))
def test_it_is_what_a_walk_from_each_name_says(world: World, seed: int) -> None:
    history(world, seed)
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    world.push("acme/more:1", {"c": b"c", "b": b"b"}, "derived-from=acme/files:1")
    with world.view() as view:
        rows = statuses.statuses(view.connection, status.QUARANTINE)
        states = {(node, name) for node in _nodes(view) for name in NAMES}
        counts = [0, 0]
        # All that was ever stopped, and each by itself; by whoever.
        for some in (rows, *([row] for row in rows)):
            loaded = standing.load(view, some)
            within = ahead.everything(view.connection, {row.node_id for row in some})
            for pessimistic in (False, True):
                found = radius.ways(view, states, loaded, within, pessimistic)
                for state in states:
                    stops, _ = standing.reach(view, state, loaded, pessimistic)
                    assert (state in found) == bool(stops), (state, stops)
                    if stops:
                        counts[pessimistic] += 1
                        assert len(found[state]) == len(min((s.path for s in stops), key=len))
        assert all(counts)


@pytest.mark.parametrize(("seed", "few"), [(0, 0), (1, 0), (2, 2_000), (3, 2_000)])
def test_each_is_stopped_by_what_a_walk_from_it_finds(
    world: World, seed: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By all of it, by which of it directly, and by nothing where nothing is stopped."""
    monkeypatch.setattr(radius, "FEW", few)
    if seed == 3:  # as if more were above each than one looks at
        monkeypatch.setattr(radius, "LIMITS", replace(LIMITS, ancestors=1))
    history(world, seed)
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    with world.view() as view:
        assert radius.stops(view, {(1, None)}, standing.load(view, [])) == {}
        states = {(node, name) for node in _nodes(view) for name in NAMES}
        loaded = standing.load(view, standing.stopping(view))
        found = radius.stops(view, states, loaded)
        several = 0
        for state in states:
            stops, _ = standing.reach(view, state, loaded)
            told = found.get(state, [])
            several = max(several, len(told))
            assert {(one.bundle, one.statement, one.own, one.mark) for one in told} == {
                (one.bundle, one.statement, one.own, one.mark) for one in stops
            }
            assert len(told) == len(stops)
    assert several or not loaded.targets


@pytest.mark.parametrize("seed", range(3))
def test_what_is_below_is_what_a_trace_shows(world: World, seed: int) -> None:
    history(world, seed)
    say(world, [(0, 41, "evaluated-on"), (41, 42, "trained-on")])
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    world.push("acme/more:1", {"c": b"c", "b": b"b"}, f"trained-on={digest(5)}")
    with world.view() as view:
        for node in _nodes(view):
            shown = trace(view, node, Direction.DOWN).nodes.keys()
            assert ahead.everything(view.connection, {node}) == shown


def test_of_two_ways_the_same_is_told_each_time(world: World) -> None:
    """Also in a process that orders a set of names in another way."""
    world.push("base:1")
    for name in ("left:1", "right:1", "middle:1"):
        world.push(name, {"f": name.encode()}, "fine-tuned-from=base:1")
    world.push("end:1", {"f": b"e"}, *(f"merged-from={n}:1" for n in ("right", "left", "middle")))
    with world.view() as view:
        affected = custody.preview(view, "base:1", world.signer("owner")).affected
    ways = {str(item.version.name): item.path for item in affected}
    assert set(ways) == {"base:1", "left:1", "right:1", "middle:1", "end:1"}
    assert all(item.blocked and not item.suspect for item in affected)
    assert ways["base:1"] == ()
    assert len(ways["end:1"]) == 2
    assert "merged-from left:1" in ways["end:1"][0], "which came first"
    assert ways["end:1"][1] == ways["left:1"][0]
    world.quarantine("base:1")
    with world.view() as view:
        end = resolve(view, "end:1")
        found = standing.view(view, end.node, end.name)
    assert found.stops[0].path == ways["end:1"]
