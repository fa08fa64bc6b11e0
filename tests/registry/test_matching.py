"""Whatever has a package in it is stopped: by whom, when it arrives, and until when."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.errors import BadStatement, Quarantined
from stemma_attestations.names import NameVersion
from stemma_attestations.packages import BadPackage, Wanted
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates.criterion import Distrusted, Packaged, Retired
from stemma_registry import describe, gate
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, Refused
from stemma_registry.incident import blocks, planned, reported, surviving
from stemma_registry.incident.plan import plan
from stemma_registry.incident.report import incident as collect
from stemma_registry.lineage import status
from stemma_registry.lineage.trace import Direction, trace
from stemma_registry.measures import distrust, matching, retiring, waiving
from stemma_registry.measures.waiving import Wish
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from stemma_registry.trust import change
from tests.copies import copied
from tests.stating import bom, say
from tests.world import World

BAD = "pkg:pypi/evil@2.1.0"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """raw -> m -> n -> q, and o by itself; m was made with evil 2.1.0."""
    world = World(tmp_path_factory.mktemp("made"))
    world.trust_also("ada", ["models/**"])
    world.push("data/raw:1", {"a.txt": b"a"})
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model", by="ada")
    world.push("models/n:1", None, "fine-tuned-from=models/m:1", kind="model")
    world.push("prod/q:1", None, "quantized-from=models/n:1", kind="model")
    world.push("models/o:1", None, kind="model")
    world.push("eval/e:1", None, "evaluated-on=models/m:1", kind="evaluation")
    say(world, bom(world, "models/m:1", ["pkg:pypi/Evil@2.1.0+cu118"]))
    world.registry.close()
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it, for one test to change."""
    world = copied(made, tmp_path)
    yield world
    world.registry.close()


ALL = ("data/raw:1", "models/m:1", "models/n:1", "prod/q:1", "models/o:1", "eval/e:1")
HIT = {"models/m:1", "models/n:1", "prod/q:1"}


def stop(world: World, text: str = BAD, by: str = "owner") -> str:
    of = matching.packages(text)
    digest, _ = matching.stop(
        world.registry, world.trust, world.signer(by), of, "it phones home", world.now
    )
    return str(digest)


def preview(world: World, text: str = BAD, by: str = "owner") -> matching.Preview:
    with world.view() as view:
        return matching.preview(view, matching.packages(text), world.signer(by))


def stopped(world: World) -> set[str]:
    """By the gate; the list and the summary of it say the same."""
    with world.view() as view:
        listed = {str(r.version.name) for r in describe.listing(view) if r.quarantined}
    by_gate = {name for name in ALL if world.code(name) == 11}
    assert listed & set(ALL) == by_gate
    return by_gate


def test_what_has_a_package_is_stopped_with_what_came_of_it(world: World) -> None:
    seen = preview(world)
    assert [str(one.version.name) for one in seen.met] == ["models/m:1"]
    assert {str(one.version.name) for one in seen.affected if one.blocked} == HIT
    assert seen.counts.kinds == {"model": 3}
    assert stopped(world) == set()
    digest = stop(world)
    assert stopped(world) == HIT
    with pytest.raises(Quarantined, match=r"its BOM lists pkg:pypi/evil@2\.1\.0\+cu118") as told:
        world.verify("prod/q:1")
    assert f"{BAD} is stopped: it phones home" in str(told.value)
    world.rebuild()
    assert stopped(world) == HIT
    world.release(digest)
    assert stopped(world) == set()
    with pytest.raises(NotFound, match="released already"):
        world.release(digest)


def test_what_arrives_later_is_stopped(world: World) -> None:
    stop(world, "pkg:pypi/evil@>=2,<3")
    world.push("models/late:1", None, kind="model")
    world.push("models/below:1", None, "merged-from=models/late:1", kind="model")
    assert world.code("models/late:1") == world.code("models/below:1") == 0
    say(world, bom(world, "models/late:1", ["pkg:pypi/evil@2.9"]))
    assert world.code("models/late:1") == world.code("models/below:1") == 11
    say(world, bom(world, "models/o:1", ["pkg:pypi/evil@3.0"]))
    assert world.code("models/o:1") == 0


@pytest.mark.parametrize("of_bom", ["stranger", "x-team"])
def test_a_bom_by_somebody_not_trusted_stops_nothing(world: World, of_bom: str) -> None:
    world.trust_also("x-team", ["x/*"])
    say(world, bom(world, "models/o:1", [BAD]), by=of_bom)
    stop(world)
    assert stopped(world) == HIT
    with world.view() as view:
        seen = status.view(view, *_state(view, "models/o:1"))
    assert [one.reason.partition(",")[0] for one in seen.suspects] == [f"its BOM lists {BAD}"]
    # Nor does such a BOM take back what a believed one says.
    say(world, bom(world, "models/m:1", ["pkg:pypi/good@1"]), by=of_bom)
    assert stopped(world) == HIT
    assert [one.blocked for one in preview(world).affected].count(True) == 3


def _state(view: Snapshot, name: str) -> tuple[int, NameVersion | None]:
    found = resolve(view, name)
    return found.node, found.name


def test_a_criterion_by_a_stranger_stops_nothing_and_releases_nothing(world: World) -> None:
    stop(world, by="stranger")
    assert stopped(world) == set()
    digest = stop(world)
    with pytest.raises(Refused, match="does not let"):
        world.release(digest, by="stranger")
    assert stopped(world) == HIT
    assert preview(world, by="stranger").warnings


def test_a_criterion_holds_for_the_names_of_its_signer(world: World) -> None:
    world.trust_also("d-team", ["data/**"])
    world.trust_also("m-team", ["models/**"])
    stop(world, by="d-team")  # who may not speak about what has it
    assert stopped(world) == set()
    digest = stop(world, by="m-team")
    assert stopped(world) == HIT
    world.release(digest, by="d-team")
    assert stopped(world) == HIT
    # The same bytes under another name are stopped by those who may speak of that, too.
    world.push("prod/m:1", {"data.txt": b"models/m:1"}, kind="model")
    assert world.code("prod/m:1") == 0
    world.rebuild()
    assert (stopped(world), world.code("prod/m:1")) == (HIT, 0)
    again = stop(world)
    assert world.code("prod/m:1") == 11
    world.release(again, by="m-team")
    assert (stopped(world), world.code("prod/m:1")) == (HIT, 11)
    world.release(digest, by="m-team")
    assert (stopped(world), world.code("prod/m:1")) == (set(), 11)
    world.release(again)
    assert world.code("prod/m:1") == 0


def test_overlapping_criteria_and_quarantines_are_released_one_by_one(world: World) -> None:
    first, second = stop(world), stop(world, "pkg:pypi/evil")
    third = world.quarantine("models/n:1")
    world.release(first)
    assert stopped(world) == HIT
    world.release(second)
    assert stopped(world) == {"models/n:1", "prod/q:1"}
    world.release(third)
    assert stopped(world) == set()


def test_a_descendant_is_waived_and_what_has_it_itself_is_not(world: World) -> None:
    digest = stop(world)
    until = world.now + timedelta(days=1)
    signer = world.signer("owner")
    wish = Wish("prod/q:1", digest, until, "weights are data")
    waiving.waive(world.registry, world.trust, signer, wish, world.now)
    assert world.code("prod/q:1") == 0
    assert world.code("models/n:1") == 11
    with world.view() as view:
        listed = {str(row.version.name): row.marks for row in describe.listing(view)}
        seen = trace(view, resolve(view, "data/raw:1").node, Direction.DOWN)
        waived = describe.describe(world.registry, view, "prod/q:1").waived
        happened = describe.history(view, "prod/q:1")[0]
    assert listed["prod/q:1"] == ("waived",)
    assert listed["models/n:1"] == listed["models/m:1"] == ("package",)
    assert listed["models/o:1"] == ()
    marks = {node.label: (node.marks, node.quarantined) for node in seen.nodes.values()}
    assert marks["prod/q:1"] == (("waived",), False)
    assert marks["models/m:1"] == (("package",), True)
    assert marks["models/n:1"] == ((), False)
    assert [one.reason for one in waived] == ["weights are data"]
    assert (happened.what, happened.reason) == ("waive", "weights are data")
    with pytest.raises(Refused, match="quarantined itself"):
        waiving.waive(
            world.registry, world.trust, signer, replace(wish, text="models/m:1"), world.now
        )


def test_a_trust_root_that_believes_others_shows_what_it_would_lift(world: World) -> None:
    stop(world, by="ada")
    without = replace(
        world.trust, signers=tuple(s for s in world.trust.signers if s.principal != "ada")
    )
    with world.view() as old, world.view() as view:
        new = replace(view, trust=without)
        assert len(change._counting(old)) == 1
        assert change._counting(new) == {}
        assert gate.status.view(new, *_state(new, "models/m:1")).stops == ()


@pytest.mark.parametrize(
    ("package", "versions"),
    [
        ("pkg:pypi/Evil", "1"),
        ("pkg:pypi/evil@1", ""),
        ("evil", "1"),
        ("pkg:npm/evil", ">=1"),
        ("pkg:pypi/evil", ">=one"),
    ],
)
def test_a_criterion_that_would_meet_nothing_is_refused(package: str, versions: str) -> None:
    said = {"type": "package", "package": package}
    with pytest.raises(BadStatement):
        criterion.parse(said | ({"versions": versions} if versions else {}))
    with pytest.raises(BadPackage):
        Wanted.of(package, versions)


@pytest.mark.parametrize("text", ["pkg:pypi/evil", BAD, "pkg:npm/%40a/b@1", "pkg:pypi/a@>=1,<2"])
def test_a_criterion_is_read_as_it_was_written(text: str) -> None:
    of = Packaged(Wanted.parse(text))
    assert criterion.load(criterion.encode(of).decode()) == of
    assert of.label == text


def test_an_incident_and_a_plan_of_a_package(world: World) -> None:
    digest = stop(world)
    world.release(digest)
    with world.view() as view:
        found = collect(world.registry, view, BAD, 10)
        again = collect(world.registry, view, digest[:20], 10)
        made = plan(world.registry, view, BAD)
    assert found == again
    assert (found.state, found.subject) == ("released", f"whatever has {BAD}")
    assert [one.what for one in found.actions] == ["stop-matching", "release"]
    assert [step.thing.label for step in found.plan.steps] == ["models/n:1", "prod/q:1"]
    assert [one.label for one in made.bad] == ["models/m:1"]
    text = blocks.markdown(reported.blocks(found))
    assert "whatever has pkg:pypi/evil" in text
    assert found.criterion == {"type": "package", "package": "pkg:pypi/evil", "versions": "2.1.0"}


def test_an_incident_of_a_package_that_nothing_has(world: World) -> None:
    digest = stop(world, "pkg:pypi/unheard-of@1")
    with world.view() as view:
        found = collect(world.registry, view, digest, 10)
    assert (found.state, found.plan.bad) == ("in force", ())
    assert "(0 artifacts)" in blocks.html("", reported.blocks(found))
    assert reported.document(found)["plan"]["bad"] == []


def test_an_incident_about_a_distrust(world: World) -> None:
    of = Distrusted(principal="ada")
    signer = world.signer("owner")
    digest, _ = distrust.distrust(world.registry, world.trust, signer, of, "stolen", world.now)
    with world.view() as view:
        found = collect(world.registry, view, str(digest), 10)
    assert [one.label for one in found.plan.bad] == ["models/m:1"]
    assert [step.thing.label for step in found.plan.steps] == ["models/n:1", "prod/q:1"]
    assert (found.state, found.act.believed) == ("in force", True)
    assert found.subject == "what ada signed at any time"
    world.release(str(digest))
    with world.view() as view:
        after = collect(world.registry, view, str(digest), 10)
    assert (after.state, after.plan.bad) == ("released", found.plan.bad)


def test_an_incident_about_a_retired_name(world: World) -> None:
    of = Retired("models/m")
    digest, _ = retiring.retire(
        world.registry, world.trust, world.signer("owner"), of, "burnt", world.now
    )
    with world.view() as view:
        found = collect(world.registry, view, str(digest), 10)
        listed = {str(row.version.name): row.marks for row in describe.listing(view)}
    assert [one.label for one in found.plan.bad] == ["models/m:1"]
    assert listed["models/m:1"] == ("retired",)


def test_a_plan_lists_so_many_survivors_and_says_so(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.push("data/side:1")
    world.push("models/n:1", None, "trained-on=data/side:1", kind="model")
    world.push("models/p:1", None, "trained-on=data/side:1", kind="model")
    world.push("models/r:1", None, "trained-on=data/side:1", kind="model")
    with world.view() as view:
        whole = plan(world.registry, view, BAD)
        monkeypatch.setattr(surviving, "LIMITS", type(LIMITS)(survivors=2))
        cut = plan(world.registry, view, BAD)
    assert [one.label for one in whole.survives] == ["eval/e:1", "models/p:1", "models/r:1"]
    assert (whole.cut, cut.cut) == (False, True)
    assert len(cut.survives) <= 2
    assert "named limit" in planned.notes(cut)[-1]
