"""Edges that arrive before, while and after something is quarantined: all end blocked (P4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stemma_registry import custody
from stemma_registry.catalogue import query
from stemma_registry.lineage import status
from stemma_registry.registry import Registry, snapshot
from tests.stating import edges, node, say
from tests.world import World

LENGTH = 4
_OFFSETS = itertools.count(1_000, 1_000)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One registry for all examples."""
    made = World(tmp_path_factory.mktemp("interleavings"))
    yield made
    made.registry.close()


@pytest.fixture(scope="module")
def another(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The same ledger in somebody else's catalogue, which catches up when it is asked to."""
    with world.elsewhere(tmp_path_factory.mktemp("another") / "catalogue.sqlite3") as registry:
        yield registry


# The links of a chain in any order; the quarantine is decided on, and is appended later; and
# the other one looks at any time.
STEPS: tuple[int | str, ...] = (*range(LENGTH), "decide", "append", "look")
ORDERS = st.permutations(STEPS).filter(lambda steps: steps.index("decide") < steps.index("append"))


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(ORDERS, st.integers(0, LENGTH))
def test_every_interleaving_ends_blocked(
    world: World, another: Registry, steps: list[int | str], forged: int
) -> None:
    ends_blocked(world, another, steps, forged)


@pytest.mark.slow
@pytest.mark.parametrize("first", [step for step in STEPS if step != "append"])
def test_all_interleavings_end_blocked(world: World, another: Registry, first: int | str) -> None:
    """Every order there is, and a stranger at each of the links in turn."""
    tried = 0
    for steps in itertools.permutations(STEPS):
        if steps[0] == first and steps.index("decide") < steps.index("append"):
            ends_blocked(world, another, list(steps), tried % (LENGTH + 1))
            tried += 1
    assert tried == (720 if first == "decide" else 360)


def ends_blocked(world: World, another: Registry, steps: list[int | str], forged: int) -> None:
    """Take the steps in that order: whoever looks then finds the whole chain blocked."""
    offset = next(_OFFSETS)
    say(world, edges([(offset, offset, "derived-from")]))
    targets = None
    for step in steps:
        if step == "decide":
            targets = world.preview(str(node(offset))).targets
        elif step == "append":
            assert targets is not None
            custody.quarantine(
                world.registry, world.trust, world.signer("owner"), targets, "bad", world.now
            )
        elif step == "look":
            another.catalogue.catch_up()
        else:
            assert isinstance(step, int)
            link = (offset + step, offset + step + 1, "derived-from")
            say(world, edges([link]))
        if step == forged:  # a stranger hangs something clean on it, and it on something clean
            free = offset + 500
            say(world, edges([(offset + step, free, "derived-from")]), by="eve")
            say(world, edges([(free + 1, offset + step, "derived-from")]), by="eve")
    for registry in (world.registry, another):
        with snapshot(registry, world.trust, world.now) as view:
            for i in range(LENGTH + 1):
                found = query.node_id(view.connection, node(offset + i))
                assert found is not None
                assert status.view(view, found, None).stops, (i, steps)
            for clean in (offset + 500, offset + 501):
                found = query.node_id(view.connection, node(clean))
                assert found is None or not status.view(view, found, None).stops
