"""What was stopped is asked only of what a walk met, however much was stopped elsewhere."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pytest
from sqlalchemy import Connection

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import status
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.catalogue import bulk, halts, query, statuses
from stemma_registry.ledger.entry import STATUS
from stemma_registry.lineage import marks
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.trace import Direction, trace
from tests.registry.test_scale import digest, history, lift, stop, tell
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On each of the databases."""
    return on_either


def _stop_file(world: World, data: bytes, by: str = "owner") -> Digest:
    said = status.build_quarantine("bad", "2026-01-01T00:00:00Z", data.decode())
    about = [ResourceDescriptor(digests=(Digest.of(data),))]
    return tell(world, Statement.build(about, status.TYPE, said), by, STATUS)


def _eventful(world: World, seed: int) -> None:
    history(world, seed)
    world.push("acme/files:1", {"a": b"a", "b": b"b"}, f"trained-on={digest(3)}")
    world.push("acme/more:1", {"b": b"b", "c": b"c"}, f"trained-on={Digest.of(b'a')}")
    world.push("acme/last:1", {"d": b"d"}, "trained-on=acme/more:1")
    _stop_file(world, b"b")
    _stop_file(world, b"c", "stranger")
    first = stop(world, [5, 6, 7])
    stop(world, [6, 30], "some")
    lift(world, first, [5, 6])


@pytest.mark.parametrize("seed", range(4))
def test_the_answers_are_those_about_all_that_was_ever_stopped(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    _eventful(world, seed)
    with world.view() as view:
        nodes = [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]
        asked = set[int]()

        def seen(connection: Connection, action: str, some: Collection[int]) -> list[Any]:
            asked.update(some)
            return of(connection, action, some)

        of = statuses.statuses_of
        with monkeypatch.context() as watched:
            watched.setattr(statuses, "statuses_of", seen)
            few = [
                (standing.view(view, node, None), [trace(view, node, way) for way in Direction])
                for node in nodes
            ]
        everything = standing.in_force
        monkeypatch.setattr(standing, "in_force", lambda snapshot, _=None: everything(snapshot))
        monkeypatch.setattr(marks, "in_force", lambda snapshot, _=None: everything(snapshot))
        every = [
            (standing.view(view, node, None), [trace(view, node, way) for way in Direction])
            for node in nodes
        ]
        assert few == every
        assert any(view.stops for view, _ in few)
        assert any(view.suspects for view, _ in few)
        stopped = {row.node_id for row in statuses.statuses(view.connection, status.QUARANTINE)}
        assert asked & stopped


def test_a_place_is_there_for_what_is_quarantined_of_it(world: World) -> None:
    _eventful(world, 0)
    with world.view() as view:
        connection = view.connection
        a, b, c, d = (query.node_id(connection, Digest.of(one)) for one in (b"a", b"b", b"c", b"d"))
        named = dict(bulk.ask(connection, "SELECT name, artifact_id FROM version"))
        assert halts.targets(connection, {named["acme/files"]}) == {b}
        assert halts.targets(connection, {named["acme/more"]}) == {b, c}
        assert halts.targets(connection, {named["acme/last"], a or 0, d or 0}) == set()
        assert halts.targets(connection, {b or 0, named["acme/files"]}) == {b}
        rows = statuses.statuses(connection, status.QUARANTINE)
        for row in rows:
            assert row in statuses.statuses_of(connection, status.QUARANTINE, [row.node_id])
        every = statuses.statuses_of(connection, status.QUARANTINE, {row.node_id for row in rows})
        assert sorted(every, key=repr) == sorted(rows, key=repr)
        assert [row.fact.n for row in every] == sorted(row.fact.n for row in rows)


def test_releases_of_more_than_a_query_can_name_are_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = [stop(world, [node]) for node in range(5)]
    for node, act in enumerate(acts[:4]):
        lift(world, act, [node])
    with world.view() as view:
        every = statuses.releases(view.connection)
        assert len(every) == 4
        monkeypatch.setattr(query.batches, "__defaults__", (2,))
        found = statuses.releases_of(view.connection, [act.value for act in acts])
    assert found == every
