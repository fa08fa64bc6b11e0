"""Steps 7, 8, 9 and 10, each good, bad, missing or not looked at, in every combination."""

from __future__ import annotations

import pytest

from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.policy_file import parse
from stemma_attestations.request import Ancestor, FileLook, StatusView, Vouching
from stemma_attestations.trust import Assurance
from stemma_attestations.verdict import Outcome
from tests.attestations.scene import GOOD, STATUS, STOPPED, UNKNOWN, request, verdict_of
from tests.attestations.test_policy_steps import ADA, TESTS, TRUST, result_of, said

RULES = f"""\
format: urn:stemma:policy:v0.1
rules:
- names: [acme/*]
  stages: [prod]
  ancestors: {{}}
  files: {{without: [pickle]}}
  evidence: [{{type: '{TESTS}'}}]
"""
POLICY = parse(RULES.encode(), "matrix")
EVIDENCE = {
    "good": [*GOOD, said(TESTS, result_of(), ADA)],
    "bad": [*GOOD, said(TESTS, result_of("FAILED"), ADA)],
    "missing": list(GOOD),
}
FILES = {
    "good": [FileLook("a", ("safetensors",))],
    "bad": [FileLook("a", ("pickle",))],
    "not looked at": None,
}
ANCESTORS = {
    "good": [Ancestor("data", 1, (Vouching(Assurance.ATTESTED),))],
    "bad": [Ancestor("data", 1, (Vouching(Assurance.SIGNED),))],
    "missing": [Ancestor("data", 1)],
    "not looked at": None,
}
STATES = {"good": STATUS, "bad": STOPPED, "not looked at": UNKNOWN}
STAGES = {"good": "prod", "bad": "dev", "missing": None, "unknown": "porod"}


def worse(*words: str) -> str:
    """How a step ends that looks at several things: undecided where nothing is bad for sure."""
    if set(words) - {"good", "not looked at"}:
        return Outcome.FAILED
    return Outcome.UNDECIDED if "not looked at" in words else Outcome.PASSED


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("ancestors", ANCESTORS)
@pytest.mark.parametrize("files", FILES)
@pytest.mark.parametrize("evidence", EVIDENCE)
def test_matrix(evidence: str, files: str, ancestors: str, state: str, stage: str) -> None:
    status: StatusView = STATES[state]
    verdict, refused = verdict_of(
        request(
            trust=TRUST,
            policy=POLICY,
            evidence=EVIDENCE[evidence],
            files=FILES[files],
            ancestors=ANCESTORS[ancestors],
            status=status,
            stage=STAGES[stage],
        )
    )
    asks = stage == "good"
    expected = {
        7: worse(evidence, files) if asks else Outcome.PASSED,
        8: worse(ancestors) if asks else Outcome.PASSED,
        9: worse(state),
        10: Outcome.PASSED if asks else Outcome.FAILED,
    }
    found = {step.number: step.outcome for step in verdict.steps}
    assert {number: found[number] for number in expected} == expected
    assert [step.number for step in verdict.steps] == list(range(1, 11))
    if expected[9] is Outcome.FAILED:
        assert refused is Quarantined
    elif Outcome.FAILED in expected.values():
        assert refused is NotVerified
    elif Outcome.UNDECIDED in expected.values():
        assert refused is Undecided
    else:
        assert refused is None
    assert verdict.passed is (refused is None)
    assert all(step.details for step in verdict.steps)
