"""The retrain plan: everything that is bad, once, each after what it is made from."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import Malformed, Undecided
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.incident import plan as planning
from stemma_registry.incident import planned
from stemma_registry.incident.plan import Plan
from stemma_registry.incident.reach import in_order
from tests.building import examples
from tests.incident.conftest import model, runs
from tests.world import World

SIZE = 9
numbers = st.integers(0, SIZE - 1)


def plan(world: World, text: str = "data/web:1", *replace: str, limit: int = 100) -> Plan:
    with world.view() as view:
        return planning.plan(world.registry, view, text, replace, limit)


def names(found: Plan) -> list[str]:
    return [step.thing.label for step in found.steps]


def reachable(pairs: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """The transitive closure, the slow way."""
    found = set(pairs)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


@given(st.lists(st.tuples(numbers, numbers), max_size=25), st.permutations(range(SIZE)))
@examples(150)
def test_any_graph_is_put_in_order(pairs: list[tuple[int, int]], shuffled: list[int]) -> None:
    rank = {node: f"{node:03}" for node in range(SIZE)}
    groups = in_order(shuffled, pairs, rank)
    assert sorted(node for group in groups for node in group) == list(range(SIZE))
    place = {node: i for i, group in enumerate(groups) for node in group}
    assert all(place[near] <= place[far] for near, far in pairs)
    closed = reachable(pairs)
    for a in range(SIZE):
        for b in range(a):
            assert (place[a] == place[b]) == ((a, b) in closed and (b, a) in closed)
    assert in_order(sorted(shuffled), sorted(pairs), rank) == groups, "one order, every time"


def test_a_long_chain_is_no_deep_recursion() -> None:
    count = 50_000
    pairs = [(i, i + 1) for i in range(count - 1)]
    rank = {i: f"{count - i:09}" for i in range(count)}
    assert in_order(range(count), pairs, rank) == [[i] for i in range(count)]


def test_each_is_made_after_what_it_is_made_from(world: World) -> None:
    found = plan(world)
    assert names(found) == ["models/base:1", "models/a:1", "models/b:1", "models/soup:1"]
    assert [step.after for step in found.steps] == [(), (1,), (1,), (2, 3)]
    assert [step.circle for step in found.steps] == [None] * 4
    assert {step.owner for step in found.steps} == {"owner"}
    assert [(one.label, planned.because(one)) for one in found.survives] == [
        ("models/judge:1", "evaluated-on data/web:1"),
        ("models/other:1", "trained-on data/forum:1"),
    ]


def test_the_recipe_says_how_to_make_it(world: World) -> None:
    base, _, b, _ = plan(world).steps
    assert base.recipe is not None
    assert b.recipe is not None
    assert (base.recipe.build, base.recipe.commit) == ("train", world.commit)
    assert base.recipe.parameters == {"epochs": "3"}
    told = {one.label: (one.bad, one.step) for one in [*base.recipe.materials, *b.recipe.materials]}
    assert told["data/web:1"] == (True, None)
    assert told["models/base:1"] == (False, 1)
    assert told["data/forum:1"] == (False, None)


def test_where_it_runs_is_said_and_on_whose_word(world: World) -> None:
    runs(world, "models/a:1", "gpu-1")
    runs(world, "models/a:1", "gpu-2", by="eve")
    step = plan(world).steps[1]
    assert [(one.spot.host, one.believed) for one in step.deployed.found] == [
        ("gpu-1", True),
        ("gpu-2", False),
    ]
    assert planned.where(step) == "1 host, hosts that are not believed"


def test_a_stranger_adds_no_step_and_changes_no_order(world: World) -> None:
    before = planned.document(plan(world))
    for name in ("base", "a", "soup"):  # circles, if anybody believed them
        inputs = ("trained-on=models/soup:1", "trained-on=data/web:1")
        world.push(f"models/{name}:1", {"w": f"models/{name}:1".encode()}, *inputs, by="eve")
    model(world, "evil/x:1", "trained-on=data/web:1", by="eve")
    after = plan(world)
    document = planned.document(after)
    assert document["steps"] == before["steps"]
    assert [one.label for one in after.suspect] == ["evil/x:1"]


def test_what_came_from_itself_is_one_circle(world: World) -> None:
    model(world, "models/base:1", "distilled-from=models/soup:1")
    model(world, "models/last:1", "quantized-from=models/a:1")
    found = plan(world)
    assert set(names(found)[:4]) == {f"models/{n}:1" for n in ("base", "a", "b", "soup")}
    assert [step.circle for step in found.steps] == [1, 1, 1, 1, None]
    assert names(found)[4] == "models/last:1"
    assert any(note.startswith("*") for note in planned.notes(found))


def test_a_file_is_bad_wherever_it_is(world: World) -> None:
    world.push("data/copy:1", {"b.csv": b"b", "more": b"m"})
    found = plan(world, "sha256:3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d")
    assert names(found)[:2] == ["data/copy:1", "data/web:1"]
    assert set(names(found)) >= {"models/base:1", "models/soup:1"}


def test_what_was_quarantined_together_is_bad_together(world: World) -> None:
    world.quarantine("data/web:1")
    world.push("data/copy:1", {"b.csv": b"b", "more": b"m"})
    model(world, "models/copy:1", "trained-on=data/copy:1")
    found = plan(world)
    assert {"data/copy:1", "models/copy:1"} <= set(names(found))
    assert len(found.bad) == 3
    assert found.bad[0].label == "data/web:1"
    assert all(step.stopped for step in found.steps)


def test_replacing_what_is_bad(world: World) -> None:
    world.push("data/web:2", {"a.csv": b"other"})
    found = plan(world, "data/web:1", "data/web:1=data/web:2")
    assert [step.clean for step in found.steps] == [True] * 4
    world.quarantine("data/forum:1")
    found = plan(world, "data/web:1", "data/web:1=data/web:2")
    assert [(s.thing.label, s.still) for s in found.steps if not s.clean] == [
        ("models/b:1", "data/forum:1"),
        ("models/soup:1", "data/forum:1"),
    ]
    both = ("data/web:1=data/web:2", "models/b:1=models/judge:1")
    assert all(step.clean for step in plan(world, "data/web:1", *both).steps)


def test_what_replaces_nothing(world: World) -> None:
    world.push("data/web:2", {"c": b"c"}, "filtered-from=data/web:1")
    found = plan(world, "data/web:1", "data/web:1=data/web:2")
    assert found.replaced[0].problem == "data/web:2 came from what is bad itself"
    assert not any(step.clean for step in found.steps)
    world.push("data/bad:1")
    world.quarantine("data/bad:1")
    found = plan(world, "data/web:1", "data/web:1=data/bad:1")
    assert "is stopped" in str(found.replaced[0].problem)
    with pytest.raises(Refused, match="is not bad"):
        plan(world, "data/web:1", "data/forum:1=data/bad:1")
    with pytest.raises(Malformed, match="BAD=GOOD"):
        plan(world, "data/web:1", "data/web:1")
    with pytest.raises(NotFound):
        plan(world, "data/web:1", "data/web:1=data/none:1")


def test_a_stranger_does_not_spoil_a_replacement(world: World) -> None:
    world.push("data/web:2", {"c": b"c"})
    world.push("data/web:2", {"c": b"c"}, "filtered-from=data/web:1", by="eve")
    world.quarantine("data/web:2", by="eve")
    found = plan(world, "data/web:1", "data/web:1=data/web:2")
    assert [step.clean for step in found.steps] == [True] * 4


def test_limits(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found = plan(world, limit=1)
    assert (names(found), found.more) == (["models/base:1"], 3)
    monkeypatch.setattr("stemma_registry.incident.reach.LIMITS", type(LIMITS)(ancestors=2))
    with pytest.raises(Undecided, match="the limit is a named one"):
        plan(world)


def test_the_same_answer_after_a_rebuild(world: World) -> None:
    world.quarantine("data/web:1")
    before = json.dumps(planned.document(plan(world)))
    world.rebuild()
    assert json.dumps(planned.document(plan(world))) == before


def test_what_nothing_came_from(world: World) -> None:
    found = plan(world, "models/soup:1")
    assert (found.steps, found.survives, found.more) == ((), (), 0)
