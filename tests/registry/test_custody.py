"""Quarantine and release: state that holds, for what is meant and nothing else."""

from __future__ import annotations

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.care.uploads import Uploads
from stemma_registry.errors import NotFound, Refused
from stemma_registry.ledger.entry import STATUS, Event
from stemma_registry.registry import record
from tests.world import World


def family(world: World) -> None:
    world.push("data/raw:1", {"s1": b"1", "s2": b"2", "LICENSE": b"free"})
    world.push("data/clean:1", {"c": b"c", "LICENSE": b"free"}, "filtered-from=data/raw:1")
    world.push("models/m:1", {"w": b"m"}, "trained-on=data/clean:1", kind="model")
    world.push("data/side:1", {"d": b"d", "LICENSE": b"free"})
    world.push("models/side:1", {"w": b"side"}, "trained-on=data/side:1", kind="model")


def test_a_quarantine_blocks_descendants_and_nobody_else(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    codes = {ref: world.code(ref) for ref in ("data/raw:1", "data/clean:1", "models/m:1")}
    assert set(codes.values()) == {11}
    assert world.code("data/side:1") == world.code("models/side:1") == 0


def test_the_preview_tells_what_the_gate_will_do(world: World) -> None:
    family(world)
    seen = world.preview("data/raw:1")
    assert {str(a.version.name) for a in seen.affected if a.blocked} == {
        "data/raw:1",
        "data/clean:1",
        "models/m:1",
    }
    assert world.code("models/m:1") == 0  # a preview changes nothing
    assert [target.path for target in seen.targets] == [None, "s1", "s2"]
    assert [(s.path, s.others, s.example) for s in seen.shared] == [("LICENSE", 1, "data/side:1")]


def test_a_shared_file_goes_along_only_when_asked_for(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1", include=["LICENSE"])
    assert world.code("data/side:1") == 11
    with pytest.raises(Refused, match="no such file"):
        world.preview("data/raw:1", include=["nothing"])


def test_exclusive_files_catch_the_dataset_pushed_again_with_a_readme(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    world.push("data/raw:2", {"s1": b"1", "s2": b"2", "README": b"now with a readme"})
    assert world.code("data/raw:2") == 11


def test_exclusive_files_catch_provenance_that_names_one_file(world: World) -> None:
    family(world)
    world.push("models/one:1", {"w": b"one"}, f"trained-on={Digest.of(b'1')}", kind="model")
    world.quarantine("data/raw:1")
    assert world.code("models/one:1") == 11


def test_artifact_only_leaves_the_files(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1", artifact_only=True)
    world.push("data/raw:2", {"s1": b"1"})
    assert world.code("data/raw:2") == 0
    assert world.code("models/m:1") == 11


def test_a_file_is_quarantined_by_its_digest(world: World) -> None:
    family(world)
    world.quarantine(str(Digest.of(b"2")))
    assert world.code("models/m:1") == 11
    assert world.code("models/side:1") == 0


def test_a_commit_is_quarantined_like_a_dataset(world: World) -> None:
    family(world)
    world.quarantine(f"git:{world.commit}")
    assert world.code("models/m:1") == 11


def test_late_descendants_are_blocked(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    world.push("models/late:1", {"w": b"late"}, "fine-tuned-from=models/m:1", kind="model")
    assert world.code("models/late:1") == 11
    # an edge that arrives above an existing subtree
    world.push("data/side:1", {"d": b"d", "LICENSE": b"free"}, "filtered-from=data/raw:1")
    assert world.code("models/side:1") == 11


def test_unknown_bytes_can_be_stopped_before_they_arrive(world: World) -> None:
    world.push("data/raw:1")
    world.quarantine(str(Digest.of(b"known to be bad")))
    world.push("data/bad:1", {"f": b"known to be bad"})
    assert world.code("data/bad:1") == 11


def test_a_release_undoes_it(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    world.release("data/raw:1")
    assert world.code("models/m:1") == 0
    with pytest.raises(NotFound, match="not quarantined itself"):
        world.release("data/raw:1")


def test_overlapping_quarantines_are_independent(world: World) -> None:
    family(world)
    first = world.quarantine("data/raw:1")
    second = world.quarantine("data/raw:1")
    with pytest.raises(Refused, match="several"):
        world.release("data/raw:1")
    world.release(first)
    assert world.code("models/m:1") == 11
    world.release(second)
    assert world.code("models/m:1") == 0


def test_a_release_of_the_parent_leaves_the_childs_own_quarantine(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    world.quarantine("data/clean:1")
    world.release("data/raw:1")
    assert world.code("data/raw:1") == 0
    assert world.code("models/m:1") == 11


def test_releasing_a_descendant_that_is_not_quarantined_itself_is_not_found(world: World) -> None:
    family(world)
    world.quarantine("data/raw:1")
    with pytest.raises(NotFound):
        world.release("models/m:1")


def test_a_stranger_can_neither_quarantine_nor_release(world: World) -> None:
    family(world)
    seen = world.preview("data/raw:1", by="stranger")
    assert any("stop nothing" in warning for warning in seen.warnings)
    world.quarantine("data/raw:1", by="stranger")
    verdict = world.verify("models/m:1")
    assert verdict.passed
    assert any("quarantined" in warning for warning in verdict.warnings)


def test_a_release_whose_signer_is_unknown_is_ignored(world: World) -> None:
    """Also when it is put into the ledger past our own check."""
    family(world)
    quarantine = Digest.parse(world.quarantine("data/raw:1"))
    from stemma_attestations.predicates import status

    with world.view() as view:
        from stemma_registry.reference import resolve

        digest = resolve(view, "data/raw:1").digest
    statement = Statement.build(
        [ResourceDescriptor(name="data/raw:1", digests=(digest,))],
        status.TYPE,
        status.build_release("let it go", "2026-01-01T00:00:00Z", [quarantine]),
    )
    append_status(world, world.signer("stranger").sign(statement), "stranger")
    assert world.code("models/m:1") == 11


def test_who_may_release_one_name_does_not_release_another(world: World) -> None:
    """The same bytes under `prod/y` are not for somebody to release who is trusted for `x/*`."""
    world.trust_also("x-team", names=["x/*"])
    world.push("x/foo:1", {"w": b"same"}, kind="model")
    world.push("prod/y:1", {"w": b"same"}, kind="model")
    world.push("prod/z:1", {"z": b"z", "w": b"same"}, kind="model")
    world.push("x/on:1", {"o": b"o"}, "trained-on=x/foo:1", kind="model")
    refs = ("x/foo:1", "x/on:1", "prod/y:1", "prod/z:1")
    first = world.quarantine("x/foo:1", include=["w"])
    assert {world.code(ref) for ref in refs} == {11}
    world.release("x/foo:1", by="x-team")
    assert [world.code(ref) for ref in refs] == [0, 0, 11, 11]
    with pytest.raises(NotFound, match="somebody else has to"):  # he has said what he can
        world.release(first, by="x-team")
    world.rebuild()
    assert [world.code(ref) for ref in refs] == [0, 0, 11, 11]
    world.release("x/foo:1")
    assert [world.code(ref) for ref in refs] == [0, 0, 0, 0]
    with pytest.raises(NotFound, match="not quarantined"):
        world.release("x/foo:1")


def test_who_stops_his_own_names_releases_them_altogether(world: World) -> None:
    from stemma_registry.lineage import status

    world.trust_also("x-team", names=["x/*"])
    world.push("x/foo:1", {"w": b"same"}, kind="model")
    world.push("prod/y:1", {"w": b"same"}, kind="model")
    world.quarantine("x/foo:1", by="x-team")
    world.release("x/foo:1", by="x-team")
    with world.view() as view:
        assert status.in_force(view) == []


def test_another_trust_root_may_make_more_or_less_of_a_release(world: World) -> None:
    from stemma_registry.lineage.trace import Direction, trace
    from stemma_registry.reference import resolve
    from stemma_registry.trust.change import compare

    alone = world.trust
    world.trust_also("x-team", names=["x/*"])
    part = world.trust
    world.push("x/foo:1", {"w": b"same"}, kind="model")
    world.quarantine("x/foo:1")
    world.release("x/foo:1", by="x-team")
    world.trust_also("x-team")
    with world.view() as view:
        for before, after, lost, gained in (
            (alone, part, 1, 0),
            (part, alone, 0, 1),
            (part, world.trust, 1, 0),
            (world.trust, part, 0, 1),
            (part, part, 0, 0),
        ):
            found = compare(view, before, after, 10).quarantines
            assert (found.lost, found.gained) == (lost, gained)
        node = resolve(view, "x/foo:1").node
        assert not trace(view, node, Direction.DOWN).nodes[node].quarantined
    world.trust = part
    with world.view() as view:  # there is a name under which it stops
        assert trace(view, node, Direction.DOWN).nodes[node].quarantined


def test_an_action_from_the_future_stops_everything_until_it_is_understood(world: World) -> None:
    family(world)
    statement = Statement.build(
        [ResourceDescriptor(name="data/raw:1", digests=(Digest.of(b"1"),))],
        "urn:stemma:status:v0.1",
        {"action": "embargo", "reason": "x", "issuedAt": "2026-01-01T00:00:00Z"},
    )
    append_status(world, world.signer("stranger").sign(statement), "stranger")
    assert world.code("models/side:1") == 0  # a stranger's is no reason
    append_status(world, world.signer("owner").sign(statement), "owner")
    assert world.code("models/side:1") == 14


def test_a_reason_is_required(world: World) -> None:
    from stemma_registry import custody

    family(world)
    with pytest.raises(Refused, match="reason"):
        custody.quarantine(
            world.registry,
            world.trust,
            world.signer("owner"),
            world.preview("data/raw:1").targets,
            "  ",
            world.now,
        )


def append_status(world: World, bundle: Bundle, by: str) -> None:
    event = Event(
        STATUS,
        bundles=(put_bytes(world.store, bundle.raw),),
        keys=(put_bytes(world.store, world.signer(by).public.der),),
    )
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    record(world.registry, world.trust, world.signer(by), world.now, lambda: [event], uploads)


def test_a_lifted_quarantine_cannot_be_brought_back_in_other_wrapping(world: World) -> None:
    """Anybody who can write to the store can wrap the old signature in a new bundle."""
    import json

    from stemma_registry.describe import attestations

    family(world)
    world.quarantine("data/raw:1")
    with world.view() as view:
        found = attestations(world.registry, view, "data/raw:1")
    old = next(a.bundle for a in found if a.fact.predicate_type == "urn:stemma:status:v0.1")
    assert old is not None
    world.release("data/raw:1")
    again = Bundle.parse(json.dumps(json.loads(old.raw), indent=1).encode())
    assert again.digest != old.digest
    append_status(world, again, "owner")
    assert world.code("models/m:1") == 0


def test_a_quarantine_is_released_by_a_prefix_of_its_digest(world: World) -> None:
    family(world)
    first = world.quarantine("data/raw:1")
    world.quarantine("data/raw:1")
    world.release(first[: len("sha256:") + 12])
    assert world.code("models/m:1") == 11
    world.release("data/raw:1")
    assert world.code("models/m:1") == 0
