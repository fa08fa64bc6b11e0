"""However a ledger is projected, at once or in steps, by one or by two: the rows are the same."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select

from stemma_attestations.digest import Digest
from stemma_attestations.edges import Edge
from stemma_attestations.marks import Mark
from stemma_attestations.predicates.provenance import Input
from stemma_registry.catalogue import bulk, catalogue, nodes, said, standing, tables
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.catalogue.held import NO_ROOTS
from stemma_registry.catalogue.nodes import Nodes
from stemma_registry.catalogue.packed import Packed
from stemma_registry.catalogue.seldom import seldom_collecting
from stemma_registry.config import LIMITS
from tests.building import examples
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
        "an index last": replace(LIMITS, project_seconds=1e-9),
        "packing nodes": replace(LIMITS, nodes_met=0),
        "forgetting nodes": replace(LIMITS, nodes_met=0, nodes_packed=0),
    }
    for limits in ways.values():
        for module in (catalogue, nodes):
            monkeypatch.setattr(module, "LIMITS", limits)
        fresh = Catalogue.passing(world.store, NO_ROOTS)
        fresh.catch_up()
        with world.view() as view, fresh.reading() as other:
            assert list(differences(view.connection, other)) == []
        fresh.close()


def test_nothing_is_asked_about_an_artifact_that_comes_with_its_provenance(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its number is higher than that of any file: it is none of them (`made`)."""
    asked, run = list[str](), bulk.run

    def noted(connection: Connection, sql: str, **values: Any) -> None:
        asked.append(sql)
        run(connection, sql, **values)

    monkeypatch.setattr(bulk, "run", noted)
    world.push("acme/base:1", {"x": b"x"})
    world.push("acme/tuned:1", {"y": b"y"}, "fine-tuned-from=acme/base:1")
    assert any("INTO state" in sql for sql in asked)
    assert not any("INTO made" in sql for sql in asked)


def test_what_has_no_foreign_keys_refers_to_what_is_there(world: World) -> None:
    world.push("acme/a:1", {"x": b"x"})
    history(world, 6)
    world.push("acme/b:1", {"x": b"x", "z": b"z"}, "trained-on=acme/a:1")
    with world.view() as view:
        for table, column, other in (
            ("edge", "input_id", "node"),
            ("edge", "output_id", "node"),
            ("edge", "statement_id", "statement"),
            ("subject", "node_id", "node"),
            ("subject", "statement_id", "statement"),
        ):
            there = f"SELECT count(*) FROM {table}"
            astray = f"{there} WHERE {column} NOT IN (SELECT id FROM {other})"
            assert bulk.ask(view.connection, there)[0][0] > 5
            assert bulk.ask(view.connection, astray) == [(0,)]


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


def test_nodes_are_found_where_they_are_packed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "LIMITS", replace(LIMITS, nodes_met=2))
    commits = [Digest("gitCommit", f"{number:040x}") for number in range(4)]
    many = [digest(number) for number in range(40)] + commits
    with world.registry.catalogue.writing() as connection:
        known = Nodes.still(None, connection, None)
        ids = [known.of([one])[0] for one in many]
        assert len(set(ids)) == len(many)
        assert len(known.packed) >= 30
        assert [known.there(one) for one in many] == ids
        assert known.of(many) == ids
        assert known.there(digest(99)) is None
        assert known.one(digest(98)) == max(ids) + 1


def _alike(number: int) -> str:
    """Digests of which three and three begin with the same bytes."""
    return f"{number // 3:016x}" + digest(number).value[16:]


def test_packed_digests_are_told_apart_by_all_of_their_bytes() -> None:
    """Or not at all, where others begin alike; never is one taken for another."""
    packed, ids = Packed(), {_alike(number): number + 1 for number in range(600)}
    for start in range(0, 600, 50):
        part = dict(list(ids.items())[start : start + 50])
        packed.add(part)
        packed.add(dict(list(part.items())[:7]))  # again: there once
    packed.add({})
    assert len(packed) >= 600
    found = packed.find(list(ids))
    assert all(one in (i, -1) for one, i in zip(found, ids.values(), strict=True))
    assert sum(one > 0 for one in found) >= 200
    strange = [_alike(number)[:16] + digest(number + 1000).value[16:] for number in range(300)]
    assert set(packed.find(strange)) == {-1}
    assert set(packed.find([digest(number).value for number in range(300)])) == {0}


def test_a_node_that_begins_like_others_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nodes, "LIMITS", replace(LIMITS, nodes_met=2))
    many = [Digest("sha256", _alike(number)) for number in range(60)]
    with world.registry.catalogue.writing() as connection:
        known = Nodes.still(None, connection, None)
        ids = [known.of([one])[0] for one in many]
        assert len(set(ids)) == len(many)
        assert known.of(many) == ids
        assert [Nodes.still(None, connection, None).of([one])[0] for one in many] == ids


@examples(200)
@given(st.lists(st.integers(0, 9), max_size=200))
def test_a_column_is_converted_as_value_by_value(column: list[int]) -> None:
    assert list(bulk._converted(column, str)) == list(map(str, column))


_ENDS = st.integers(0, 3)
_NAMES = st.sampled_from([None, "a:1", "a:2", "b:1", "no name"])
_SAID = st.tuples(_ENDS, _ENDS, st.sampled_from(["trained-on", "x" * 70, "x" * 80]), _NAMES)


@examples(400)
@given(st.lists(st.tuples(_SAID, st.sampled_from(Mark)), max_size=6), st.booleans())
def test_rows_of_edges_are_the_same_in_the_short_way(
    drawn: list[tuple[tuple[int, int, str, str | None], Mark]], exact: bool
) -> None:
    edges = [
        Edge(digest(output), Input(relation, digest(source), name), Mark.EXACT if exact else mark)
        for (source, output, relation, name), mark in drawn
    ]
    ends = [[one[0][at] for one in drawn] for at in (0, 1)]
    rows = said.edge_rows(7, edges, *ends)
    with patch.object(said, "_plain_rows", return_value=None):
        assert rows == said.edge_rows(7, edges, *ends)


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
