"""Policies at the gate, with real pushes: files, ancestors, approvals, admissions, stages."""

from __future__ import annotations

import pickle
import struct
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.errors import NotVerified
from stemma_attestations.policy import Policy
from stemma_attestations.predicates.admission import Admission
from stemma_attestations.predicates.approval import Approval
from stemma_attestations.verdict import Outcome, Verdict
from stemma_registry import gate, policy_source
from stemma_registry.errors import NotFound, Refused
from stemma_registry.foreign import letting
from stemma_registry.trust import file as trust_file
from tests.world import World, commit_all

HEAD = "format: urn:stemma:policy:v0.1\nrules:\n"
ANCESTORS = HEAD + "- {names: ['**'], ancestors: {}}\n"
TENSORS = struct.pack("<Q", 2) + b"{}"
BASE = "0123456789abcdef" * 4  # a base model from outside
ENDS = timedelta(days=1)


def policy(text: str) -> Policy:
    return policy_file.parse(text.encode(), "test")


def judge(world: World, text: str, ref: str = "models/m:1", stage: str | None = None) -> Verdict:
    terms = gate.Terms(policy(text), stage)
    with world.view() as view:
        try:
            return gate.verify_reference(world.registry, view, ref, None, terms)
        except NotVerified as error:
            assert error.verdict is not None
            return error.verdict


def against(
    world: World, text: str, ref: str = "models/m:1", stage: str | None = None
) -> dict[int, str]:
    """The steps that did not pass, with their reasons."""
    steps = judge(world, text, ref, stage).steps
    return {s.number: "\n".join(s.details) for s in steps if s.outcome is not Outcome.PASSED}


def admit(
    world: World, *refs: str, by: str = "owner", ends: timedelta | None = ENDS
) -> letting.Let:
    until = None if ends is None else world.now + ends
    said = Admission("known for years", world.now, until)
    return letting.admit(world.registry, world.trust, world.signer(by), refs, said)


def approve(
    world: World,
    by: str,
    stage: str = "prod",
    ref: str = "models/m:1",
    ends: timedelta | None = None,
) -> letting.Let:
    said = Approval(stage, "looked at", world.now, None if ends is None else world.now + ends)
    return letting.approve(world.registry, world.trust, world.signer(by), ref, said)


def chain(world: World) -> None:
    """raw -> clean -> m."""
    world.push("data/raw:1")
    world.push("data/clean:1", None, "filtered-from=data/raw:1")
    world.push("models/m:1", {"m.safetensors": TENSORS}, "trained-on=data/clean:1", kind="model")


# --- files ----------------------------------------------------------------------------------


def test_files_are_judged_by_their_bytes(world: World) -> None:
    rule = HEAD + "- {names: ['**'], files: {without: [pickle]}}\n"
    only = HEAD + "- {names: ['**'], files: {formats: [safetensors]}}\n"
    world.push("models/m:1", {"m.safetensors": TENSORS}, kind="model")
    assert against(world, rule) == against(world, only) == {}
    world.push(
        "models/p:1", {"m.safetensors": TENSORS, "notes.txt": pickle.dumps([1])}, kind="model"
    )
    assert "notes.txt: the format pickle is not allowed" in against(world, rule, "models/p:1")[7]
    assert "notes.txt" in against(world, only, "models/p:1")[7]
    assert against(world, HEAD + "- names: ['**']\n", "models/p:1") == {}


def test_a_policy_that_is_shipped_judges_a_real_chain(world: World) -> None:
    chain(world)
    for named in ("builtin", "starter"):
        # How new the status is, is asked in tests/status/test_freshness.py.
        terms = gate.Terms(replace(policy_source.load(named), max_age=None))
        with world.view() as view:
            assert gate.verify_reference(world.registry, view, "models/m:1", None, terms).passed


# --- ancestors ------------------------------------------------------------------------------


def test_every_ancestor_is_vouched_for(world: World) -> None:
    chain(world)
    verdict = judge(world, ANCESTORS)
    assert verdict.passed
    assert verdict.steps[7].details == ("2 ancestors",)
    with world.view() as view:
        counts = gate.coverage(world.registry, view, verdict)
    assert (counts["attested"], sum(counts.values())) == (2, 2)


def test_an_ancestor_by_a_signer_who_is_not_believed(world: World) -> None:
    world.push("data/raw:1", by="stranger")
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    assert "data/raw:1: its provenance is signed, not attested" in against(world, ANCESTORS)[8]
    weaker = HEAD + "- {names: ['**'], ancestors: {assurance: signed}}\n"
    assert against(world, weaker) == {}
    assert against(world, HEAD + "- names: ['**']\n") == {}
    admit(world, "data/raw:1")
    assert against(world, ANCESTORS) == {}


def test_weaker_rules_look_behind_weaker_edges(world: World) -> None:
    world.push("data/far:1", by="other")
    world.push(
        "data/raw:1", None, "filtered-from=data/far:1", f"derived-from=sha256:{BASE}", by="stranger"
    )
    world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    weaker = HEAD + "- {names: ['**'], ancestors: {assurance: signed}}\n"
    assert "has no provenance" in against(world, weaker)[8]
    near = HEAD + "- {names: ['**'], ancestors: {assurance: signed, depth: 1}}\n"
    assert against(world, near) == {}


def test_an_ancestor_from_outside_needs_an_admission_that_has_not_ended(world: World) -> None:
    world.push("models/m:1", None, f"fine-tuned-from=sha256:{BASE}", kind="model")
    assert "has no provenance here, and nobody admitted it" in against(world, ANCESTORS)[8]
    admit(world, f"sha256:{BASE}", by="stranger")
    assert "who may not say so" in against(world, ANCESTORS)[8]
    admit(world, f"sha256:{BASE}")
    assert against(world, ANCESTORS) == {}
    denied = HEAD + "- {names: ['**'], ancestors: {external: deny}}\n"
    assert "has no provenance" in against(world, denied)[8]
    with world.view() as view:
        counts = gate.coverage(world.registry, view, judge(world, ANCESTORS))
    assert counts["admitted"] == 1
    world.now += ENDS
    assert "ended at" in against(world, ANCESTORS)[8]
    with world.view() as view:
        assert gate.coverage(world.registry, view, judge(world, ANCESTORS))["unknown"] == 1
    admit(world, f"sha256:{BASE}", ends=None)
    world.now += ENDS * 10_000
    assert against(world, ANCESTORS) == {}


def test_who_is_revoked_neither_vouches_nor_admits(world: World) -> None:
    world.trust_also("trainer")
    world.push("data/raw:1", by="trainer")
    world.push(
        "models/m:1", None, "trained-on=data/raw:1", f"derived-from=sha256:{BASE}", kind="model"
    )
    admit(world, f"sha256:{BASE}", by="trainer")
    assert against(world, ANCESTORS) == {}
    gone = [
        replace(s, revoked=world.now) if s.principal == "trainer" else s
        for s in world.trust.signers
    ]
    world.trust = replace(world.trust, signers=tuple(gone))
    reasons = against(world, ANCESTORS)[8]
    assert "data/raw:1" in reasons
    assert "0123456789ab" in reasons


def test_a_threshold_holds_for_ancestors_too(world: World) -> None:
    chain(world)
    two = "thresholds:\n- {predicates: ['*'], names: [data/raw], principals: 2}\n"
    raw = world.trust_path.read_text() + two
    world.trust_path.write_text(raw)
    world.trust = trust_file.load(world.trust_path, required=True)
    assert "by 2 distinct principals" in against(world, ANCESTORS)[8]


def test_strangers_neither_block_nor_unblock(world: World) -> None:
    chain(world)
    world.push("models/x:1", None, f"fine-tuned-from=sha256:{BASE}", kind="model")
    rule = HEAD + "- {names: ['**'], ancestors: {}, approvals: {}}\n"
    world.trust_also("ada")
    approve(world, "ada")
    approve(world, "ada", ref="models/x:1")
    before = against(world, rule, stage="prod")
    held = against(world, rule, "models/x:1", stage="prod")
    assert (list(before), list(held)) == ([], [8])
    # The same bytes again, made from something bad; and admissions and approvals of everything.
    world.push("data/evil:1", by="stranger")
    files = {"data.txt": b"data/raw:1"}
    world.push("data/raw:1", files, "derived-from=data/evil:1", by="stranger")
    tensors = {"m.safetensors": TENSORS}
    world.push("models/m:1", tensors, "trained-on=data/evil:1", kind="model", by="stranger")
    admit(world, f"sha256:{BASE}", "data/raw:1", "models/x:1", by="stranger")
    approve(world, "stranger", ref="models/x:1")
    assert against(world, rule, stage="prod") == {}
    assert list(against(world, rule, "models/x:1", stage="prod")) == [8]


def test_bad_provenance_beside_good_does_not_block(world: World) -> None:
    """One good statement suffices: an ancestor's dirty provenance is no stop."""
    chain(world)
    (world.checkout / "train.py").write_text("changed")
    world.push("data/raw:1", None)
    assert against(world, ANCESTORS) == {}


# --- admission of the artifact itself -------------------------------------------------------


def test_an_artifact_is_admitted_only_where_the_rule_says_so(world: World) -> None:
    world.push("models/old:1", None, kind="model", by="stranger")
    rule = HEAD + "- {names: ['**'], provenance: %s, bom: none}\n"
    allow = rule % "{admitted: allow}"
    assert 5 in against(world, allow, "models/old:1")
    admit(world, "models/old:1", by="stranger")
    assert 5 in against(world, allow, "models/old:1")
    admit(world, "models/old:1")
    verdict = judge(world, allow, "models/old:1")
    assert verdict.passed
    assert verdict.steps[4].details == ("admitted: known for years",)
    assert 5 in against(world, rule % "{}", "models/old:1")
    assert 5 in against(world, rule % "{admitted: deny}", "models/old:1")
    world.now += ENDS
    assert "its admission ended" in against(world, allow, "models/old:1")[5]


def test_many_are_admitted_in_one_statement(world: World) -> None:
    names = [f"data/d{n}:1" for n in range(20)]
    for name in names:
        world.push(name, by="stranger")
    inputs = [f"trained-on={name}" for name in names]
    world.push("models/m:1", None, *inputs, kind="model")
    assert 8 in against(world, ANCESTORS)
    done = admit(world, *names, names[0])
    assert (len(done.subjects), done.warnings) == (20, ())
    assert against(world, ANCESTORS) == {}
    assert "does not let" in admit(world, *names, by="stranger").warnings[0]


def test_what_cannot_be_admitted(world: World) -> None:
    world.push("models/m:1", None, kind="model")
    with pytest.raises(NotFound):
        admit(world, "models/none:1")
    with pytest.raises(NotFound):
        admit(world, f"sha256:{BASE}")
    with pytest.raises(Refused, match="not code"):
        admit(world, f"git:{world.commit}")
    with pytest.raises(Refused, match="0 references"):
        admit(world)


# --- approvals and stages -------------------------------------------------------------------

TWO = HEAD + "- {names: ['**'], stages: [prod], approvals: {count: 2}}\n- names: ['**']\n"


def test_approvals_by_distinct_people_none_of_whom_made_it(world: World) -> None:
    chain(world)
    for name in ("ada", "bob"):
        world.trust_also(name)
    assert against(world, TWO) == {}
    assert "2 approvals are asked for, 0 count" in against(world, TWO, stage="prod")[7]
    assert approve(world, "ada").warnings == ()
    assert 7 in against(world, TWO, stage="prod")
    assert "made models/m:1" in approve(world, "owner").warnings[0]
    assert "nobody approves what he made" in against(world, TWO, stage="prod")[7]
    approve(world, "ada")
    approve(world, "bob", stage="dev")
    assert "for the stage dev" in against(world, TWO, stage="prod")[7]
    approve(world, "bob", ends=ENDS)
    assert against(world, TWO, stage="prod") == {}
    world.now += ENDS
    assert "it ended" in against(world, TWO, stage="prod")[7]


def test_an_approval_is_of_bytes_under_a_name(world: World) -> None:
    chain(world)
    world.trust_also("ada")
    one = HEAD + "- {names: ['**'], approvals: {}}\n"
    approve(world, "ada")
    assert against(world, one, stage="prod") == {}
    world.push("models/m:2", {"m.safetensors": TENSORS}, kind="model")
    world.push("models/n:1", {"m.safetensors": TENSORS + b" "}, kind="model")
    assert 7 in against(world, one, "models/m:2", stage="prod")
    assert 7 in against(world, one, "models/n:1", stage="prod")


def test_who_made_it_made_it_also_with_a_key_that_is_revoked(world: World) -> None:
    chain(world)
    for name in ("ada", "ada-new"):
        world.trust_also(name)
    world.push("models/m:1", {"m.safetensors": TENSORS}, kind="model", by="ada")
    signers = tuple(
        replace(s, principal="ada", revoked=world.now if s.principal == "ada" else None)
        if s.principal.startswith("ada")
        else s
        for s in world.trust.signers
    )
    world.trust = replace(world.trust, signers=signers)
    approve(world, "ada-new")
    one = HEAD + "- {names: ['**'], approvals: {}}\n"
    assert "nobody approves what he made" in against(world, one, stage="prod")[7]


def test_a_stage_that_the_policy_does_not_have(world: World) -> None:
    chain(world)
    assert "has no stage porod" in against(world, TWO, stage="porod")[10]


def test_by_digest_the_rules_of_its_names_hold(world: World) -> None:
    chain(world)
    rule = HEAD + "- names: ['**']\n- {names: [models/*], approvals: {}}\n"
    with world.view() as view:
        digest = str(gate.resolve(view, "models/m:1").digest)
    assert 7 in against(world, rule, "models/m:1", "prod")
    assert 7 in against(world, rule, digest, "prod")
    assert 10 in against(world, HEAD + "- names: [data/*]\n", digest)


# --- where policies come from ---------------------------------------------------------------


def test_a_policy_in_a_repository_is_cited(world: World, tmp_path: Path) -> None:
    chain(world)
    deploy = tmp_path / "deploy"
    (deploy / "gate").mkdir(parents=True)
    file = deploy / "gate" / "policy.yaml"
    file.write_text(ANCESTORS)
    assert policy_source.load(str(file)).source == {}
    commit = commit_all(deploy)
    found = policy_source.load(str(file))
    assert found.source == {"gitCommit": commit, "path": "gate/policy.yaml"}
    with world.view() as view:
        verdict = gate.verify_reference(
            world.registry, view, "models/m:1", None, gate.Terms(found, None)
        )
    said = gate.predicate(verdict)["policy"]
    assert said["digest"] == {"sha256": found.digest.value}
    assert said["annotations"]["gitCommit"] == commit
    file.write_text(ANCESTORS + "# more\n")
    assert policy_source.load(str(file)).source == {"uncommitted": "gate/policy.yaml"}
    other = deploy / "gate" / "new.yaml"
    other.write_text(ANCESTORS)
    assert policy_source.load(str(other)).source == {"uncommitted": "gate/new.yaml"}
    with pytest.raises(NotFound):
        policy_source.load(str(deploy / "nothing.yaml"))


# --- names that are not said ----------------------------------------------------------------

ASKS = HEAD + "- {names: ['models/*'], approvals: {}}\n- {names: ['**']}\n"


def test_another_name_of_the_same_bytes_lends_no_approval(world: World) -> None:
    """Nor a directory that is recognised by its bytes: all that it is called is asked for."""
    chain(world)
    world.trust_also("eve", ["other/*"])
    world.push("other/z:1", {"m.safetensors": TENSORS}, kind="model")
    approve(world, "eve", ref="other/z:1")
    with world.view() as view:
        digest = str(gate.resolve(view, "models/m:1").digest)
    assert 7 in against(world, ASKS, "models/m:1", "prod")
    assert 7 in against(world, ASKS, digest, "prod")
    here = world.directory({"m.safetensors": TENSORS})
    terms = gate.Terms(policy(ASKS), "prod")
    with world.view() as view, pytest.raises(NotVerified):
        gate.verify_directory(world.registry, view, here, None, None, terms)
    world.trust_also("ada", predicates=["urn:stemma:approval:v0.1"])
    approve(world, "ada")
    assert against(world, ASKS, "models/m:1", "prod") == {}
    # The other name is asked nothing by these rules.
    assert against(world, ASKS, digest, "prod") == {}


def test_a_threshold_of_a_name_holds_by_digest(world: World) -> None:
    chain(world)
    rule = "  - {predicates: ['*'], names: ['models/*'], principals: 2}\n"
    raw = world.trust_path.read_text().replace("signers:", f"thresholds:\n{rule}signers:", 1)
    world.trust_path.write_text(raw)
    world.trust = trust_file.load(world.trust_path, required=True)
    with world.view() as view:
        digest = str(gate.resolve(view, "models/m:1").digest)
    assert 5 in against(world, HEAD + "- {names: ['**']}\n")
    assert 5 in against(world, HEAD + "- {names: ['**']}\n", digest)


def test_the_homes_policy_is_in_the_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever lies in the checkout that a job stands in."""
    from stemma_registry.config import Home

    home, checkout = Home(tmp_path / "home"), tmp_path / "checkout"
    for folder, rules in ((home.path, "[]"), (checkout, "[{names: ['**']}]")):
        folder.mkdir()
        (folder / "policy.yaml").write_text(f"format: urn:stemma:policy:v0.1\nrules: {rules}\n")
    home.configuration.write_text("policy: policy.yaml\n")
    monkeypatch.chdir(checkout)
    assert policy_source.chosen(None, home).rules == ()
    assert len(policy_source.chosen("policy.yaml", home).rules) == 1
