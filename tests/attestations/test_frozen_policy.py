"""The frozen policy, its cases, what policies ask for, and a deployment: read for ever."""

from __future__ import annotations

from datetime import UTC, datetime

from stemma_attestations import policy_cases, policy_file
from stemma_attestations.policy import AncestorRule, ApprovalRule, ProvenanceRule
from stemma_attestations.predicates import admission, approval, deployment, stage
from stemma_attestations.statement import Statement
from tests.attestations.test_frozen import MODEL, frozen, statement
from tests.building import NOW


def test_an_approval_and_an_admission() -> None:
    said = approval.parse(statement("approval").predicate)
    assert (said.stage, said.until) == ("prod", None)
    let = admission.parse(statement("admission").predicate)
    assert let.until == datetime(2027, 2, 28, tzinfo=UTC)
    assert statement("admission").subjects[0].digest() == MODEL
    nonce = str(statement("approval").predicate["nonce"])
    again = Statement.build(
        statement("approval").subjects, approval.TYPE, approval.build(said, nonce)
    )
    assert again.raw == frozen("statements/approval.json")


def test_a_deployment() -> None:
    said = deployment.check(statement("deployment"))
    assert said.spot == deployment.Spot("gpu-7.example.org", "digits-api", "prod")
    assert (said.state, said.since, said.entry) == (deployment.STARTED, NOW, 8)
    nonce = str(statement("deployment").predicate["nonce"])
    again = Statement.build(
        statement("deployment").subjects, deployment.TYPE, deployment.build(said, nonce)
    )
    assert again.raw == frozen("statements/deployment.json")


def test_a_move_of_a_stage() -> None:
    said = stage.parse(statement("stage"))
    assert (str(said.name), said.artifact) == ("acme/digits:1.0", MODEL)
    assert (said.move.stage, said.move.action) == ("prod", stage.PROMOTE)
    assert said.move.issued == NOW
    nonce = str(statement("stage").predicate["nonce"])
    again = Statement.build(statement("stage").subjects, stage.TYPE, stage.build(said.move, nonce))
    assert again.raw == frozen("statements/stage.json")


def test_a_policy_and_its_cases() -> None:
    read = policy_file.parse(frozen("policy.yaml"), "frozen")
    first, second, third = read.rules
    assert first.provenance == ProvenanceRule(("ci",), ("train", "fine-tune", "quantize"))
    assert (first.ancestors, third.bom) == (AncestorRule(), None)
    assert second.approvals == ApprovalRule(2, ("ada", "bob", "eve"))
    assert [len(one.checks) for one in second.evidence] == [0, 3, 0]
    results = list(policy_cases.run(read, frozen("policy-cases.yaml"), NOW))
    assert [one.passed for one in results] == [True] * 3
