"""What statements call their outputs is told to who shows it, and counts where it matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.names import split_name
from stemma_attestations.predicates import lineage
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import bulk
from stemma_registry.config import LIMITS
from stemma_registry.lineage import called
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, trace
from tests.registry.test_scale import digest, history, tell
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On each of the databases."""
    return on_either


def _two_names(world: World, names: Sequence[str], by: str) -> None:
    """One statement that calls an output two names, and says two edges of it."""
    subjects = [ResourceDescriptor(f"{name}:1", digests=(digest(1),)) for name in names]
    edges = [
        {
            "output": {"digest": {"sha256": digest(1).value}},
            "relation": "merged-from",
            "input": {"digest": {"sha256": digest(source).value}},
        }
        for source in (7, 8)
    ]
    tell(world, Statement.build(subjects, lineage.TYPE, {"edges": edges}), by)


def _said(world: World, bundle: Digest, output: Digest) -> tuple[str, str] | None:
    """What the statement in a bundle calls something first, by the statement itself."""
    raw = get_bytes(world.store, bundle, LIMITS.manifest_bytes)
    subjects = Bundle.parse(raw).statement().subjects
    names = (split_name(one.name) for one in subjects if output in one.digests)
    return next((name for name in names if name is not None), None)


def test_who_shows_names_is_told_what_statements_call_their_outputs(world: World) -> None:
    plain = world.trust
    history(world, 5)
    _two_names(world, ["n1/two", "n2/two"], "owner")
    world.trust_also("somebody", ["some/**"])  # who never says anything
    some = replace(plain, signers=(*plain.signers, world.trust.signers[-1]))
    assert (plain.goes_by_name, some.goes_by_name) == (False, True)
    seen = set[tuple[str, str] | None]()
    for trust in (plain, some):
        world.trust = trust
        with world.view() as view:
            nodes = [i for (i,) in bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")]
            answers = [(trace(view, node, way), None) for node in nodes for way in Direction]
            ways = [between(view, node, one) for node in nodes[:9] for one in nodes[::4]]
            told = [called.with_names(view, *one) for one in (*answers, *ways)]
        if trust is plain:
            first = told
            names = [w.fact.name for found, _ in answers for e in found.edges for w in e.words]
            assert set(names) == {None}, "it is not asked for"
    assert told == first, "who is trusted for some names only is told at once"
    for found, paths in told:
        for edge in found.edges:
            output = found.nodes[edge.output].digest
            for word in edge.words:
                name = _said(world, word.fact.bundle, output)
                assert (word.fact.name, word.fact.version) == (name or (None, None))
                seen.add(name)
        assert all(edge in found.edges for path in paths or () for edge in path)
    assert ("n1/two", "1") in seen
    assert ("n2/two", "1") not in seen
    assert len(seen) > 10


@pytest.mark.parametrize("names", [["n1/two", "n2/two"], ["n2/two", "n1/two"]])
def test_of_several_names_the_one_counts_for_which_he_is_trusted(
    world: World, names: list[str]
) -> None:
    history(world, 5)
    world.trust_also("eve", ["n2/**"])
    _two_names(world, names, "eve")
    with world.view() as view:
        (node,) = (
            i
            for i, value in bulk.ask(view.connection, "SELECT id, value FROM node")
            if bytes(value).hex() == digest(1).value
        )
        found = trace(view, node, Direction.UP, depth=1)
    words = [word for edge in found.edges for word in edge.words if word.signer == "eve"]
    assert len(words) == 2
    assert {(word.assurance, word.fact.name) for word in words} == {(Assurance.ATTESTED, "n2/two")}


def test_nothing_is_asked_where_there_is_no_name(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.push("a/one:1", {"f": b"1"})
    with world.view() as view:
        (node,) = (i for (i,) in bulk.ask(view.connection, "SELECT max(id) FROM artifact"))
        found = trace(view, node, Direction.DOWN)
        assert called.with_names(view, found, None) == (found, None)
