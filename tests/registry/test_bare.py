"""A rebuild of an embedded catalogue makes an index last, and nobody asks without it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import Connection, inspect, select
from sqlalchemy.schema import CreateIndex, DropIndex

from stemma_registry.catalogue import bare, catalogue, query, standing
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.project import Projector
from stemma_registry.config import LIMITS
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.lineage.trace import Direction, trace
from tests.registry.test_scale import digest, say
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On either database."""
    return on_either


class Killed(BaseException):
    """As if somebody had pulled the plug."""


def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Transactions so short that a rebuild of a few entries takes several, and is a long one."""
    monkeypatch.setattr(catalogue, "LIMITS", replace(LIMITS, project_seconds=1e-9))


def _has_index(connection: Connection) -> bool:
    return t.DOWNWARD.name in {one["name"] for one in inspect(connection).get_indexes("edge")}


def test_a_rebuild_makes_the_index_of_inputs_last(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(6):
        say(world, [(i, i + 1, "trained-on")])
    _hurried(monkeypatch)
    seen = list[tuple[bool, bool]]()
    project = Projector.project

    def look(projector: Projector, entry: LedgerEntry) -> None:
        project(projector, entry)
        here = standing.read(projector.connection)
        seen.append((_has_index(projector.connection), here is not None and here.bare))

    monkeypatch.setattr(Projector, "project", look)
    world.rebuild()
    world.registry.catalogue.catch_up()
    embedded = world.registry.catalogue.database.embedded
    assert seen[0] == (True, False)
    assert seen[-1] == ((False, True) if embedded else (True, False))
    with world.view() as view:
        assert _has_index(view.connection)
        assert not view.connection.execute(select(t.state.c.bare)).scalar()
        assert len(query.edges_from(view.connection, [1, 2, 3, 4, 5, 6, 7])) == 6
    assert world.registry.catalogue.schema_differences() == []
    with world.registry.catalogue.writing() as connection:
        connection.execute(DropIndex(t.DOWNWARD))
    assert t.DOWNWARD.name in str(world.registry.catalogue.schema_differences())
    with world.registry.catalogue.writing() as connection:
        connection.execute(CreateIndex(t.DOWNWARD))
    seen.clear()
    say(world, [(6, 7, "trained-on")])
    world.registry.catalogue.catch_up()
    assert set(seen) == {(True, False)}  # what follows is written with it


def test_whoever_comes_after_a_rebuild_was_killed_makes_the_index(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(6):
        say(world, [(i, i + 1, "trained-on")])
    with world.view() as view:
        node = query.node_id(view.connection, digest(0))
        assert node is not None
        whole = trace(view, node, Direction.DOWN)
    with monkeypatch.context() as patched:
        _hurried(patched)

        def killed(_connection: Connection) -> None:
            raise Killed

        patched.setattr(bare, "clothe", killed)
        world.rebuild()
        with pytest.raises(Killed):
            world.registry.catalogue.catch_up()
    made = world.registry.catalogue
    with made.reading() as connection:
        here = standing.read(connection)
        assert here is not None
        assert here.bare == (not _has_index(connection)) == made.database.embedded
        assert not here.bare or not made.is_of(connection, Held.of(made.roots))
    assert made.schema_differences() == []
    with world.view() as view:
        assert _has_index(view.connection)
        node = query.node_id(view.connection, digest(0))
        assert node is not None
        assert len(trace(view, node, Direction.DOWN).edges) == len(whole.edges) == 6
