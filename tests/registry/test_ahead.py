"""Walks that look ahead give the answers of those that ask at each step."""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.catalogue import ahead, bulk, query
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, trace
from tests.registry.test_scale import digest, history, say
from tests.world import World


@pytest.mark.parametrize("seed", range(2))
def test_looking_ahead_changes_no_answer(
    tmp_path: Path, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether a walk foresees everything, a little, or nothing."""
    world = World(tmp_path)
    history(world, seed, size=20)
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    world.push("acme/made:1", {"b": b"b", "c": b"c"}, f"trained-on={Digest.of(b'b')}")
    # Both ways, and a way there that is longer than the way back.
    say(world, [(0, 18, "derived-from"), (18, 17, "derived-from"), (0, 16, "same-as")])
    say(world, [(17, 16, "same-as"), (16, 15, "derived-from")])
    with world.view() as view:
        nodes = [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]
        answers = []
        for most in (ahead.NODES, 5, 0):
            monkeypatch.setattr(ahead, "NODES", most)
            traces = [trace(view, node, way) for node in nodes for way in Direction]
            ways = [between(view, node, one) for node in nodes for one in nodes[::5]]
            answers.append((traces, ways))
    assert answers[0] == answers[1] == answers[2]
    assert max(len(found.nodes) for found in answers[0][0]) > 10
    assert any(paths for _, paths in answers[0][1])


def test_what_is_foreseen_is_what_is_met(tmp_path: Path) -> None:
    """Nothing is asked for later, and nothing that a walk does not come to."""
    world = World(tmp_path)
    edges = [(0, 1, "trained-on"), (1, 2, "merged-from"), (1, 3, "evaluated-on")]
    say(world, [*edges, (3, 4, "trained-on")])
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(2)}")
    world.push("acme/made:1", {"c": b"c"}, f"trained-on={Digest.of(b'b')}")
    with world.view() as view:
        node = {i: query.node_id(view.connection, digest(i)) or 0 for i in range(5)}
        down = ahead.around(view.connection, {node[0]}, down=True).nodes
        met = trace(view, node[0], Direction.DOWN).nodes.keys()
        assert down < met
        assert met - down == {node[3]}
        assert ahead.around(view.connection, {node[4]}, down=False).nodes == {node[4], node[3]}
        assert ahead.around(view.connection, {node[2]}, down=False, end=node[1]).nodes == {
            node[1],
            node[2],
        }
