"""Traces and stops: what is reached, on whose word, and that the walk ends."""

from __future__ import annotations

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.trust import Assurance
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, Trace, trace
from stemma_registry.reference import resolve
from tests.world import World


def chain(world: World) -> None:
    world.push("data/raw:1", {"s1.jsonl": b"1", "s2.jsonl": b"2"})
    world.push("data/clean:1", {"c": b"c"}, "filtered-from=data/raw:1")
    world.push("models/base:1", {"w": b"base"}, "trained-on=data/clean:1", kind="model")
    world.push("models/fine:1", {"w": b"fine"}, "fine-tuned-from=models/base:1", kind="model")
    world.push("data/side:1", {"c": b"side"})
    world.push("models/side:1", {"w": b"side model"}, "trained-on=data/side:1", kind="model")


def look(world: World, reference: str, direction: Direction = Direction.DOWN) -> Trace:
    with world.view() as view:
        return trace(view, resolve(view, reference).node, direction)


def names(found: Trace) -> set[str]:
    return {node.label for node in found.nodes.values() if node.id != found.start}


def test_descendants_from_a_name_a_file_and_a_commit(world: World) -> None:
    chain(world)
    down = {"data/clean:1", "models/base:1", "models/fine:1"}
    assert names(look(world, "data/raw:1")) == down
    assert names(look(world, str(Digest.of(b"1")))) == down | {"data/raw:1"}
    assert names(look(world, f"git:{world.commit}")) >= down | {"models/side:1"}


def test_ancestors(world: World) -> None:
    chain(world)
    found = look(world, "models/fine:1", Direction.UP)
    assert {"models/base:1", "data/clean:1", "data/raw:1"} <= names(found)
    assert "models/side:1" not in names(found)


def test_every_edge_names_its_statement_and_signer(world: World) -> None:
    chain(world)
    for edge in look(world, "data/raw:1").edges:
        assert edge.assurance is Assurance.ATTESTED
        assert {word.signer for word in edge.words} == {"owner"}
        assert {word.fact.predicate_type for word in edge.words} == {
            "https://slsa.dev/provenance/v1",
            "urn:stemma:lineage:v0.1",
        }


def test_depth_limits_a_trace(world: World) -> None:
    chain(world)
    with world.view() as view:
        found = trace(view, resolve(view, "data/raw:1").node, Direction.DOWN, depth=1)
    assert names(found) == {"data/clean:1"}


def test_evidence_paths_are_all_ways_shortest_first(world: World) -> None:
    world.push("a:1")
    world.push("b:1", None, "derived-from=a:1")
    world.push("c:1", None, "derived-from=a:1", "derived-from=b:1")
    with world.view() as view:
        start, target = resolve(view, "a:1").node, resolve(view, "c:1").node
        part, paths = between(view, start, target)
        nothing = between(view, target, start)[1]
    assert [len(path) for path in paths] == [1, 2]
    assert len(part.nodes) == 3
    assert nothing == []


def test_stacked_diamonds_end_quickly(world: World) -> None:
    world.push("n0:1")
    for i in range(12):
        for side in ("l", "r"):
            world.push(f"{side}{i}:1", None, f"derived-from=n{i}:1")
        world.push(f"n{i + 1}:1", None, f"derived-from=l{i}:1", f"derived-from=r{i}:1")
    with world.view() as view:
        _, paths = between(view, resolve(view, "n0:1").node, resolve(view, "n12:1").node)
    assert len(paths) == 10  # of 4096
    world.quarantine("n0:1")
    assert world.code("n12:1") == 11


def test_cycles_and_self_loops_end(world: World) -> None:
    world.push("a:1", {"f": b"a"})
    world.push("b:1", {"f": b"b"}, "derived-from=a:1")
    world.push("a:1", {"f": b"a"}, "derived-from=b:1")
    world.push("a:1", {"f": b"a"}, "derived-from=a:1")
    assert names(look(world, "a:1")) == {"b:1"}
    assert world.code("a:1") == 0
    world.quarantine("b:1")
    assert world.code("a:1") == 11


def test_evaluated_on_is_shown_and_carries_nothing(world: World) -> None:
    world.push("data/test:1")
    world.push("models/m:1", None, "evaluated-on=data/test:1", kind="model")
    world.push("models/n:1", None, "fine-tuned-from=models/m:1", kind="model")
    assert names(look(world, "data/test:1")) == {"models/m:1"}
    world.quarantine("data/test:1")
    assert world.code("models/m:1") == 0


def test_a_file_used_by_itself_is_traced_from_the_artifact_and_to_it(world: World) -> None:
    world.push("data/raw:1", {"a": b"a", "b": b"b"})
    world.push("data/copy:1", {"a": b"a", "z": b"z"})
    world.push("models/m:1", {"w": b"w"}, f"trained-on={Digest.of(b'a')}", kind="model")
    assert "models/m:1" in names(look(world, "data/raw:1"))
    assert "data/copy:1" not in names(look(world, "data/raw:1"))
    assert {"data/raw:1", "data/copy:1"} <= names(look(world, "models/m:1", Direction.UP))


def test_an_untrusted_edge_is_shown_and_does_not_block(world: World) -> None:
    world.push("data/bad:1")
    world.push("models/m:1", {"w": b"w"}, kind="model")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/bad:1", kind="model", by="stranger")
    world.quarantine("data/bad:1")
    found = look(world, "data/bad:1")
    assert [edge.assurance for edge in found.edges] == [Assurance.SIGNED]
    verdict = world.verify("models/m:1")
    assert verdict.passed
    assert any("data/bad:1" in warning for warning in verdict.warnings)


def test_an_untrusted_edge_cannot_unblock(world: World) -> None:
    world.push("data/bad:1")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/bad:1", kind="model")
    world.push("models/m:1", {"w": b"w"}, kind="model", by="stranger")
    quarantine = world.quarantine("data/bad:1")
    assert world.code("models/m:1") == 11
    from stemma_registry.errors import Refused

    with pytest.raises(Refused, match="does not let"):
        world.release(quarantine, by="stranger")
    assert world.code("models/m:1") == 11


def test_a_signer_for_other_names_cannot_block_by_the_same_bytes(world: World) -> None:
    world.trust_also("x-team", names=["x/*"])
    world.push("data/bad:1")
    world.push("prod/y:1", {"w": b"same"}, kind="model")
    world.push("x/y:1", {"w": b"same"}, "trained-on=data/bad:1", kind="model", by="x-team")
    world.quarantine("data/bad:1")
    assert world.code("x/y:1") == 11
    assert world.code("prod/y:1") == 0
    seen = {str(item.version.name): item.blocked for item in world.preview("data/bad:1").affected}
    assert seen["x/y:1"] is True
    assert seen["prod/y:1"] is False


def test_a_signer_for_other_names_cannot_quarantine_the_same_bytes(world: World) -> None:
    world.trust_also("x-team", names=["x/*"])
    world.push("prod/y:1", {"w": b"same"}, kind="model")
    world.push("x/y:1", {"w": b"same"}, kind="model", by="x-team")
    world.quarantine("x/y:1", by="x-team")
    assert world.code("x/y:1") == 11
    assert world.code("prod/y:1") == 0


@pytest.mark.parametrize("stopped", ["a", "b", "c"])
def test_an_input_under_several_names_is_stopped_under_each(world: World, stopped: str) -> None:
    sides = ("a", "b", "c")
    for side in sides:
        world.trust_also(f"{side}-team", names=[f"{side}/*"])
        world.push(f"{side}/data:1", {"d": b"the same"})
    inputs = [f"trained-on={side}/data:1" for side in sides]
    world.push("models/m:1", {"w": b"w"}, *inputs, kind="model")
    assert world.code("models/m:1") == 0
    world.quarantine(f"{stopped}/data:1", by=f"{stopped}-team")
    assert world.code("models/m:1") == 11
    (edge,) = look(world, "a/data:1").edges
    assert edge.assurance is Assurance.ATTESTED
    world.rebuild()
    assert world.code("models/m:1") == 11


def test_an_expired_key_still_stops_and_no_longer_allows(world: World) -> None:
    from datetime import timedelta

    from stemma_attestations.times import format_time
    from stemma_registry.trust import file as trust_file

    until = format_time(world.now + timedelta(days=1))
    public = world.signer("temp").public
    world.trust = trust_file.add(world.trust_path, "temp", public, valid_until=until)
    world.push("data/bad:1")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/bad:1", kind="model", by="temp")
    world.quarantine("data/bad:1", by="temp")
    world.push("models/n:1", {"w": b"n"}, "fine-tuned-from=models/m:1", kind="model")
    world.now += timedelta(days=2)
    assert world.code("models/n:1") == 11  # the edge and the quarantine are by the expired key
    assert world.code("models/m:1") == 13  # and its own provenance no longer counts
