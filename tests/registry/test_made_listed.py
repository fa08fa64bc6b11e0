"""A BOM of a file of an artifact: what stops a package stops the artifact, as its preview says."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.predicates import mlbom
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry import describe
from stemma_registry.catalogue import bulk, halts, past
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.measures import matching
from stemma_registry.reference import resolve
from tests.registry.test_made import FILES, counts, is_as_when_made_anew
from tests.registry.test_scale import tell
from tests.world import World

BAD = "pkg:pypi/evil@2.1.0"
ALL = ("models/m:1", "models/n:1", "prod/m:1", "models/o:1")


@pytest.fixture
def world(on_either: World) -> World:
    """On either database; `ada` may speak about models."""
    on_either.trust_also("ada", ["models/**"])
    return on_either


def pushed(world: World) -> None:
    """n was made from m, which prod/m is too; o has another file of the same name."""
    for ref in ("models/m:1", "prod/m:1"):
        world.push(ref, FILES, kind="model")
    world.push("models/n:1", {"w": b"n"}, "fine-tuned-from=models/m:1", kind="model")
    world.push("models/o:1", {"model.bin": b"other"}, kind="model")


def listed(world: World, data: bytes, by: str = "owner", name: str = "model.bin") -> None:
    """A BOM about a file."""
    said = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [{"type": "library", "name": "evil", "purl": BAD}],
    }
    about = ResourceDescriptor(name, digests=(Digest.of(data),))
    tell(world, Statement.build([about], mlbom.TYPE, said), by)


def stop(world: World, by: str = "owner") -> str:
    of, signer = matching.packages("pkg:pypi/evil"), world.signer(by)
    return str(matching.stop(world.registry, world.trust, signer, of, "bad", world.now)[0])


def expected(world: World, by: str = "owner") -> dict[str, tuple[bool, bool]]:
    """What the preview says: whether a name is stopped, and whether it is suspect."""
    with world.view() as view:
        seen = matching.preview(view, matching.packages("pkg:pypi/evil"), world.signer(by))
    return {str(one.version.name): (one.blocked, one.suspect) for one in seen.affected}


def is_so(world: World, said: dict[str, tuple[bool, bool]]) -> None:
    """The gate, and the list, say what the preview said."""
    found = counts(world, *ALL)
    assert {
        ref: (stops > 0, others > 0) for ref, (stops, others) in zip(ALL, found, strict=True)
    } == {ref: said.get(ref, (False, False)) for ref in ALL}
    with world.view() as view:
        marks = {str(one.version.name): one.marks for one in describe.listing(view)}
    assert {ref for ref in ALL if marks[ref] == ("package",)} == {
        ref for ref in ALL if said.get(ref, (False, False))[0]
    }


@pytest.mark.parametrize("order", list(itertools.permutations(("model", "bom", "stop"))))
def test_whichever_came_first(world: World, order: Sequence[str], tmp_path: Path) -> None:
    steps = {
        "model": lambda: pushed(world),
        "bom": lambda: listed(world, b"weights"),
        "stop": lambda: stop(world),
    }
    digest = [steps[one]() for one in order][order.index("stop")]
    said = expected(world)
    assert {ref for ref, (blocked, _) in said.items() if blocked} == set(ALL[:3])
    is_so(world, said)
    assert [world.code(ref) for ref in ALL] == [11, 11, 11, 0]
    is_as_when_made_anew(world, tmp_path)
    with world.view() as view:
        node = resolve(view, "models/m:1").node
        (found,) = standing.view(view, node, None).stops
        assert found.target == f"model.bin ({Digest.of(b'weights').short})"
        # No edge leads into the file, and a trace shows it for edges only.
        up = trace(view, node, Direction.UP)
        assert Digest.of(b"weights") not in {one.digest for one in up.nodes.values()}
        last = {"model": 4, "bom": 1, "stop": 1}[order[-1]]
        with past.looking_back(view.connection, view.n - last):
            assert standing.view(view, node, None).stops == ()
    assert digest is not None
    world.release(digest)
    assert counts(world, *ALL) == [(0, 0)] * 4


@pytest.mark.parametrize("by", ["owner", "ada"])
@pytest.mark.parametrize("of_bom", ["owner", "ada", "stranger"])
def test_both_have_to_be_believed_about_what_holds_it(world: World, by: str, of_bom: str) -> None:
    pushed(world)
    listed(world, b"weights", of_bom)
    said = expected(world, by)
    stops = {
        ("owner", "owner"): {"models/m:1", "models/n:1", "prod/m:1"},
        ("owner", "ada"): {"models/m:1", "models/n:1"},
    }
    assert {ref for ref, (blocked, _) in said.items() if blocked} == stops.get((by, of_bom), set())
    assert {ref for ref, pair in said.items() if any(pair)} == set(ALL[:3])
    digest = stop(world, by)
    is_so(world, said)
    world.release(digest)
    if by == "owner":
        assert counts(world, *ALL) == [(0, 0)] * 4


def test_it_is_looked_up_and_not_looked_through(world: World) -> None:
    pushed(world)
    stop(world)
    listed(world, b"weights")
    with world.view() as view:
        node = resolve(view, "models/m:1").node
        asked, values = halts.question(view.connection, halts.Sought(environments=(1,)))
        values |= {"first": node, "node": node, "budget": 100}
        assert bulk.ask(view.connection, asked, **values)
        if view.connection.dialect.name == "sqlite":
            rows = bulk.ask(view.connection, f"EXPLAIN QUERY PLAN {asked}", **values)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "SEARCH f USING PRIMARY KEY (artifact_id=?)" in plan
            assert not any(f"SCAN {table}" in plan for table in ("f", "b", "p", "edge"))
