"""However a ledger is projected, at once or in steps, by one or by two: the rows are the same."""

from __future__ import annotations

import gc
from dataclasses import replace

import pytest
from sqlalchemy import Connection, select

from stemma_registry.catalogue import bulk, catalogue, nodes, standing, tables
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.catalogue.held import NO_ROOTS
from stemma_registry.catalogue.nodes import Nodes
from stemma_registry.catalogue.seldom import seldom_collecting
from stemma_registry.config import LIMITS
from tests.registry.test_scale import digest, history, say
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On either database."""
    return on_either


def test_a_catalogue_made_anew_has_the_rows_of_one_that_grew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("acme/a:1", {"x": b"x", "y": b"y"})
    history(world, 5)
    world.push("acme/b:1", {"x": b"x", "z": b"z"}, "trained-on=acme/a:1")
    ways = {
        "entry by entry": replace(LIMITS, project_seconds=0.0),
        "forgetting nodes": replace(LIMITS, nodes_met=0),
    }
    for limits in ways.values():
        for module in (catalogue, nodes):
            monkeypatch.setattr(module, "LIMITS", limits)
        fresh = Catalogue.passing(world.store, NO_ROOTS)
        fresh.catch_up()
        with world.view() as view, fresh.reading() as other:
            assert list(differences(view.connection, other)) == []
        fresh.close()


def mark(connection: Connection) -> standing.Mark:
    """Where a catalogue stands that has something in it."""
    found = standing.read(connection)
    assert found is not None
    return found.mark


def test_nodes_of_another_projector_are_found(world: World) -> None:
    """What a transaction remembers is forgotten when somebody else was there in between."""
    say(world, [(0, 1, "trained-on")])
    world.registry.catalogue.catch_up()
    kept: list[Nodes] = []
    for number in (2, 3):
        with world.registry.catalogue.writing() as connection:
            known = Nodes.still(kept[0] if kept else None, connection, mark(connection))
            assert not kept or known is not kept[0]
            ids = known.of([digest(0), digest(1), digest(number)])
            assert len(set(ids)) == 3
            known.leave(mark(connection))
            kept[:] = [known]
        say(world, [(number, 10 + number, "trained-on"), (0, 20 + number, "trained-on")])
        world.registry.catalogue.catch_up()
    with world.view() as view:
        rows = view.connection.execute(select(tables.node.c.value)).scalars().all()
    assert len(rows) == len(set(rows))


def test_nodes_are_kept_where_nobody_was_in_between(world: World) -> None:
    say(world, [(0, 1, "trained-on")])
    world.registry.catalogue.catch_up()
    with world.registry.catalogue.writing() as connection:
        first = Nodes.still(None, connection, mark(connection))
        first.of([digest(0)])
        first.leave(mark(connection))
    with world.registry.catalogue.writing() as connection:
        assert Nodes.still(first, connection, mark(connection)) is first


def test_an_empty_catalogue_is_not_asked_for_nodes(world: World) -> None:
    with world.registry.catalogue.writing() as connection:
        known = Nodes.still(None, connection, None)
        assert known.every
        assert len(set(known.of([digest(0), digest(1), digest(0)]))) == 2
        assert not Nodes.still(None, connection, None).every
        assert Nodes.still(None, connection, None).of([digest(1)]) == known.of([digest(1)])


def test_a_catalogue_keeps_its_mark_while_it_grows(world: World) -> None:
    def made() -> object:
        with world.registry.catalogue.reading() as connection:
            return bulk.ask(connection, "SELECT made FROM state")

    world.registry.catalogue.catch_up()
    before = made()
    say(world, [(0, 1, "trained-on")])
    world.registry.catalogue.catch_up()
    assert made() == before
    world.rebuild()
    assert made() != before


def test_the_collector_is_as_it_was() -> None:
    before = gc.get_threshold()
    with seldom_collecting():
        assert gc.get_threshold()[0] > before[0]
        with seldom_collecting():
            pass
        assert gc.get_threshold()[0] > before[0]
    assert gc.get_threshold() == before
    with seldom_collecting():
        gc.set_threshold(5)
    assert gc.get_threshold()[0] == 5
    gc.set_threshold(*before)
