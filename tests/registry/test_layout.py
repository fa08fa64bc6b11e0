"""A layout as a condition of serving: in_toto decides over the links in the registry."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from in_toto.models.layout import Inspection, Step

from stemma_attestations import foreign
from stemma_attestations.errors import BadBundle, NotVerified, Quarantined, SignatureRefused
from stemma_attestations.verdict import Outcome, Verdict
from stemma_cli import exits
from stemma_registry import gate
from stemma_registry.foreign.attach import Given, attach
from stemma_registry.foreign.layout import NUMBER, TITLE, Condition, _signed
from stemma_registry.foreign.links import metadata_of
from tests.supply_chain import BEFORE, DATA, MODEL, Chain, key, pem, person
from tests.world import World

REF = "models/m:1"


@pytest.fixture(params=["classic", "dsse"])
def chain(request: pytest.FixtureRequest) -> Chain:
    return Chain(dsse=request.param == "dsse")


@pytest.fixture
def plain() -> Chain:
    return Chain()


@pytest.fixture
def world(world: World) -> World:
    world.push(REF, {"model.bin": MODEL}, kind="model")
    return world


def give(world: World, links: Sequence[bytes], by: str = "owner", ref: str = REF) -> None:
    given = Given([(f"{n}.link", raw) for n, raw in enumerate(links)])
    attach(world.registry, world.trust, world.signer(by), ref, given, world.now)


def judge(
    world: World,
    chain: Chain,
    layout: bytes | None = None,
    ref: str = REF,
    keys: Sequence[bytes] | None = None,
    run: bool = False,
) -> tuple[Verdict, int, str]:
    """The verdict, the exit code, and the one line of the layout's step."""
    wanted = tuple(keys) if keys is not None else (pem(chain.owner),)
    condition = Condition(layout if layout is not None else chain.signed(), wanted, run)
    code = 0
    with world.view() as view:
        try:
            verdict = gate.verify_reference(
                world.registry, view, ref, terms=gate.Terms(condition=condition)
            )
        except NotVerified as error:
            verdict, code = error.verdict, exits.code_of(error)
    (step,) = [step for step in verdict.steps if step.title == TITLE]
    assert step.number == NUMBER
    assert (step.outcome is Outcome.PASSED) == (code not in (10, 11, 13))
    assert all("\n" not in line for line in step.details)
    return verdict, code, step.details[0]


# --- a chain that holds ---------------------------------------------------------------------


def test_links_of_three_steps_by_two_functionaries(world: World, chain: Chain) -> None:
    give(world, chain.links())
    verdict, code, said = judge(world, chain)
    assert code == 0
    assert "signed by key" in said
    assert [step.number for step in verdict.steps] == [1, 2, 3, 4, 5, 6, 7, 7, 8, 9, 10]
    vsa = gate.summary(verdict).predicate
    assert vsa["verificationResult"] == "PASSED"
    assert TITLE in [step["title"] for step in vsa["urn:stemma:verdict-steps:v0.1"]]


def test_a_directory_is_judged_by_the_layout_too(
    world: World, plain: Chain, tmp_path: Path
) -> None:
    give(world, plain.links())
    root = world.directory({"model.bin": MODEL})
    good = Condition(plain.signed(), (pem(plain.owner),))
    bad = Condition(plain.signed(plain.layout(expires=BEFORE)), (pem(plain.owner),))
    passing, failing = gate.Terms(condition=good), gate.Terms(condition=bad)
    with world.view() as view:
        assert gate.verify_directory(world.registry, view, root, None, terms=passing).passed
        with pytest.raises(NotVerified, match="expired"):
            gate.verify_directory(world.registry, view, root, None, terms=failing)


def test_links_may_come_one_by_one_in_a_collection_or_from_anybody(
    world: World, plain: Chain
) -> None:
    curate, *others = plain.links()
    give(world, [curate], by="stranger")
    assert judge(world, plain)[1] == 10
    lines = b"\n".join(json.dumps(json.loads(raw)).encode() for raw in others)
    given = Given([("links.jsonl", lines)])
    attach(world.registry, world.trust, world.signer("owner"), REF, given, world.now)
    assert judge(world, plain)[1] == 0


def test_without_a_layout_nothing_is_asked(world: World) -> None:
    assert [step.number for step in world.verify(REF).steps] == list(range(1, 11))


def test_a_quarantine_is_not_hidden_by_a_layout(world: World, plain: Chain) -> None:
    give(world, plain.links())
    world.quarantine(REF)
    condition = Condition(plain.signed(), (pem(plain.owner),))
    with world.view() as view, pytest.raises(Quarantined):
        gate.verify_reference(world.registry, view, REF, terms=gate.Terms(condition=condition))


# --- links ----------------------------------------------------------------------------------


def test_a_missing_link(world: World, chain: Chain) -> None:
    give(world, [chain.curate(), chain.evaluate()])
    _, code, said = judge(world, chain)
    assert (code, said) == (10, "step 'train' needs 1 attached link, has 0")


def test_no_links_at_all(world: World, plain: Chain) -> None:
    assert judge(world, plain)[1] == 10


def test_a_link_signed_by_the_wrong_person(world: World, chain: Chain) -> None:
    give(world, [chain.curate(), chain.train(by=chain.curator), chain.evaluate()])
    _, code, said = judge(world, chain)
    assert code == 13
    assert said.startswith("step 'train' needs 1 link by its functionaries and has 0")


def test_a_link_signed_by_a_stranger_under_a_functionarys_id(world: World, plain: Chain) -> None:
    document = json.loads(plain.train(by=person()))
    document["signatures"][0]["keyid"] = plain.trainer.public_key.keyid
    give(world, [plain.curate(), json.dumps(document).encode(), plain.evaluate()])
    assert judge(world, plain)[1] == 13


def test_material_that_the_step_may_not_consume(world: World, chain: Chain) -> None:
    give(world, [chain.curate(), chain.train(data=b"poisoned rows\n"), chain.evaluate()])
    _, code, said = judge(world, chain)
    assert code == 10
    assert "RuleVerificationError" in said
    assert "DISALLOW" in said


def test_a_link_edited_by_a_byte_is_nobodys(chain: Chain) -> None:
    raw, trainer = chain.train(), key(chain.trainer)
    (piece,) = foreign.read(raw)
    assert piece.link is not None
    assert _signed(piece, trainer)
    said = metadata_of(piece.link.metadata).get_payload()
    for place in range(0, len(raw), 3):
        edited = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        try:
            (other,) = foreign.read(edited)
        except BadBundle:
            continue
        if _signed(other, trainer):  # an id in an envelope is a hint, and no signature is over it
            assert other.link is not None
            assert metadata_of(other.link.metadata).get_payload() == said


def test_every_byte_of_what_is_signed_counts(world: World, plain: Chain) -> None:
    raw = plain.train()
    give(world, [plain.curate(), plain.evaluate(), raw.replace(b"train.py", b"train.pz")])
    assert judge(world, plain)[1] == 13
    give(world, [raw])
    assert judge(world, plain)[1] == 0


def test_a_link_with_a_field_that_no_signature_covers_is_not_taken(
    world: World, plain: Chain
) -> None:
    document = json.loads(plain.train())
    document["signed"]["note"] = "planted"
    with pytest.raises(Exception, match="no signature would cover"):
        give(world, [json.dumps(document).encode()])


def test_an_old_link_or_a_planted_one_does_not_take_a_good_ones_place(
    world: World, plain: Chain
) -> None:
    give(world, [plain.train(data=b"rows of last week\n")])
    give(world, plain.links())
    assert judge(world, plain)[1] == 0
    give(world, [plain.train(model=b"weights of an experiment\n")])
    give(world, [plain.train(by=person())], by="stranger")
    assert judge(world, plain)[1] == 0


def test_links_of_another_artifact_do_not_count_for_these_bytes(world: World, plain: Chain) -> None:
    world.push("models/evil:1", {"model.bin": b"evil weights\n"}, kind="model")
    give(world, plain.links(), ref="models/evil:1")
    _, code, said = judge(world, plain, ref="models/evil:1")
    assert (code, said) == (
        10,
        "model.bin is not what the last step of the layout, 'evaluate', made or used",
    )


def test_a_planted_file_beside_the_good_ones_is_no_product(world: World, plain: Chain) -> None:
    world.push("models/more:1", {"model.bin": MODEL, "hook.py": b"evil"}, kind="model")
    give(world, plain.links(), ref="models/more:1")
    assert judge(world, plain, ref="models/more:1")[2].startswith("hook.py is not what")


def test_who_did_an_earlier_step_does_not_say_what_is_served(world: World, plain: Chain) -> None:
    evil = b"evil weights\n"
    world.push("models/evil:1", {"model.bin": evil}, kind="model")
    files = {"data/a": DATA, "data/model.bin": evil}
    curate = plain.link("curate", plain.curator, {}, files)
    give(world, [curate, plain.train(), plain.evaluate()], ref="models/evil:1")
    assert judge(world, plain, ref="models/evil:1")[1] == 10
    # The same links do say that of what the last step saw.
    give(world, [curate, plain.train(), plain.evaluate()])
    assert judge(world, plain)[1] == 0


def test_the_right_bytes_under_another_name_are_not_what_was_made(
    world: World, plain: Chain
) -> None:
    world.push("models/moved:1", {"hook.py": MODEL}, kind="model")
    give(world, plain.links(), ref="models/moved:1")
    assert judge(world, plain, ref="models/moved:1")[1] == 10


# --- thresholds -----------------------------------------------------------------------------


def two_trainers(chain: Chain, second: Any, name: str | None = None) -> bytes:
    """A layout where training takes two people."""
    steps = chain.steps()
    keyid = name or second.public_key.keyid
    steps[1] = Step(name="train", pubkeys=[chain.trainer.public_key.keyid, keyid], threshold=2)
    steps[1].expected_materials = chain.steps()[1].expected_materials
    keys = {**chain.layout().keys, keyid: {**key(second), "keyid": keyid}}
    return chain.signed(chain.layout(keys=keys, steps=steps))


def test_a_threshold_takes_distinct_people(world: World, chain: Chain) -> None:
    second = person("ed25519")
    layout = two_trainers(chain, second)
    give(world, chain.links())
    _, code, said = judge(world, chain, layout)
    assert (code, said) == (10, "step 'train' needs 2 attached links, has 1")
    give(world, [chain.train(by=second)])
    assert judge(world, chain, layout)[1] == 0


def test_two_who_disagree_do_not_meet_a_threshold(world: World, plain: Chain) -> None:
    second = person()
    give(world, [*plain.links(), plain.train(by=second, model=b"others\n")])
    _, code, said = judge(world, plain, two_trainers(plain, second))
    assert code == 13
    assert "ThresholdVerificationError" in said


def test_one_key_under_two_ids_is_one_person(world: World, plain: Chain) -> None:
    layout = two_trainers(plain, plain.trainer, "0" * 64)
    document = json.loads(plain.train())
    document["signatures"][0]["keyid"] = "0" * 64
    give(world, [*plain.links(), json.dumps(document).encode()])
    _, code, said = judge(world, plain, layout)
    assert (code, said) == (10, "step 'train' lists one functionary twice")


# --- the layout itself ----------------------------------------------------------------------


def test_an_expired_layout(world: World, chain: Chain) -> None:
    give(world, chain.links())
    _, code, said = judge(world, chain, chain.signed(chain.layout(expires=BEFORE)))
    assert (code, said) == (10, f"the layout expired at {BEFORE}")


def test_a_layout_that_somebody_else_signed(world: World, chain: Chain) -> None:
    give(world, chain.links())
    assert judge(world, chain, chain.signed(None, person()))[1] == 13
    assert judge(world, chain, keys=[pem(chain.trainer)])[1] == 13
    assert judge(world, chain, keys=[])[1] == 13


def test_every_key_that_is_asked_for_must_have_signed(world: World, chain: Chain) -> None:
    second = person("ed25519")
    give(world, chain.links())
    both = [pem(chain.owner), pem(second)]
    assert judge(world, chain, keys=both)[1] == 13
    assert judge(world, chain, chain.signed(None, chain.owner, second), keys=both)[1] == 0


def test_an_edited_layout(world: World, plain: Chain) -> None:
    give(world, [plain.curate(), plain.train(data=b"poisoned rows\n"), plain.evaluate()])
    loosened = plain.signed().replace(b"DISALLOW", b"ALLOW")
    assert judge(world, plain, loosened)[1] == 13


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"null", b"[]", b"{}", b'{"signed":{},"signatures":[]}', b'{"a":1,"a":1}', b"\xff"],
)
def test_no_layout_at_all(world: World, plain: Chain, raw: bytes) -> None:
    assert judge(world, plain, raw)[1] in (10, 13)


def test_a_link_is_no_layout(world: World, plain: Chain) -> None:
    give(world, plain.links())
    assert judge(world, plain, plain.curate(by=plain.owner))[1] == 10


def test_a_key_that_is_none(world: World, plain: Chain) -> None:
    assert judge(world, plain, keys=[b"not a key"])[1] == 10


@pytest.mark.parametrize("name", ["../up", "a/b", ".", "x" * 200])
def test_a_step_that_would_be_a_path(world: World, plain: Chain, name: str) -> None:
    step = Step(name=name, pubkeys=[plain.trainer.public_key.keyid])
    layout = plain.signed(plain.layout(steps=[step]))
    give(world, [plain.link(name, plain.trainer, {}, {"model.bin": MODEL})])
    _, code, said = judge(world, plain, layout)
    assert code == 10
    assert "a step with the name" in said


def test_a_layout_without_steps_proves_nothing(world: World, plain: Chain) -> None:
    assert judge(world, plain, plain.signed(plain.layout(steps=[])))[1] == 10


def test_a_crash_of_the_library_is_a_no(
    world: World, plain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    give(world, plain.links())

    def crash(*_: object, **__: object) -> None:
        raise AttributeError("NoneType has no attribute")

    monkeypatch.setattr("in_toto.verifylib.verify_all_item_rules", crash)
    _, code, said = judge(world, plain)
    assert code == 10
    assert said == "AttributeError: NoneType has no attribute"


# --- inspections ----------------------------------------------------------------------------


def inspected(chain: Chain, run: list[str], **rules: Any) -> bytes:
    return chain.signed(chain.layout(inspect=[Inspection(name="look", run=run, **rules)]))


def test_inspections_are_commands_and_run_only_when_allowed(
    world: World, plain: Chain, tmp_path: Path
) -> None:
    give(world, plain.links())
    proof = tmp_path / "ran"
    layout = inspected(plain, ["touch", str(proof)])
    _, code, said = judge(world, plain, layout)
    assert code == 10
    assert "--run-inspections" in said
    assert not proof.exists()
    before = Path.cwd()
    assert judge(world, plain, layout, run=True)[1] == 0
    assert proof.exists()
    assert Path.cwd() == before


def test_inspections_see_the_artifacts_files_and_no_others(world: World, plain: Chain) -> None:
    give(world, plain.links())
    rules = [["ALLOW", "model.bin"], ["DISALLOW", "*"]]
    good = inspected(plain, ["test", "-f", "model.bin"], expected_materials=rules)
    assert judge(world, plain, good, run=True)[1] == 0
    assert judge(world, plain, inspected(plain, ["false"]), run=True)[1] == 10
    bad = inspected(plain, ["true"], expected_materials=[["DISALLOW", "*.bin"]])
    assert judge(world, plain, bad, run=True)[1] == 10
    assert judge(world, plain, inspected(plain, ["no-such-program"]), run=True)[1] == 10


def test_no_command_runs_on_what_is_stopped(world: World, plain: Chain, tmp_path: Path) -> None:
    give(world, plain.links())
    proof = tmp_path / "ran"
    layout = inspected(plain, ["touch", str(proof)])
    quarantine = world.quarantine(REF)
    assert judge(world, plain, layout, run=True)[1] == 11
    assert not proof.exists()
    world.release(quarantine)
    assert judge(world, plain, layout, run=True)[1] == 0
    assert proof.exists()


def test_nothing_is_left_behind(
    world: World, plain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    give(world, plain.links())
    assert judge(world, plain, inspected(plain, ["touch", "more"]), run=True)[1] == 0
    assert os.listdir(scratch) == []


def test_the_failure_of_the_layout_is_one_of_the_tables(world: World, plain: Chain) -> None:
    condition = Condition(plain.signed(None, person()), (pem(plain.owner),))
    with world.view() as view, pytest.raises(SignatureRefused, match="not signed by key") as caught:
        gate.verify_reference(world.registry, view, REF, terms=gate.Terms(condition=condition))
    assert gate.summary(caught.value.verdict).predicate["verificationResult"] == "FAILED"


def test_another_command_is_told_and_nothing_of_a_link_reaches_the_terminal(
    world: World, plain: Chain, capfd: pytest.CaptureFixture[str]
) -> None:
    steps = plain.steps()
    steps[0].expected_command = ["python", "other.py"]
    give(world, plain.links())
    verdict, code, _ = judge(world, plain, plain.signed(plain.layout(steps=steps)))
    assert code == 0
    (told,) = [step.details for step in verdict.steps if step.title == TITLE]
    assert [line for line in told if "not the one that the layout expects" in line] == [told[1]]
    assert capfd.readouterr() == ("", "")
