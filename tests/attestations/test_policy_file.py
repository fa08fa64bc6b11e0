"""Policies as files: what is read, and that every mistake is told with its line."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import file_formats, policies
from stemma_attestations.errors import BadPolicy
from stemma_attestations.policy import (
    BUILTIN,
    AncestorRule,
    ApprovalRule,
    BomRule,
    Check,
    FilesRule,
    Policy,
    ProvenanceRule,
    Suspects,
)
from stemma_attestations.policy_file import parse
from tests.building import bounded

HEAD = "format: urn:stemma:policy:v0.1\n"
WHOLE = (
    HEAD
    + """\
stages: [dev, canary, prod]
max_age: 1h
stale_ok: true
on_suspect: deny
rules:
  - names: [models/**]
    provenance:
      by: [training ci]
      builds: [train, fine-tune]
      commit: any
    bom:
      by: [training ci]
      licences: [Apache-2.0, MIT]
    ancestors: {assurance: signed, depth: 3, external: deny}
    files: {formats: [safetensors, json], without: [pickle], code: deny}
  - names: [models/**]
    stages: [prod]
    provenance: none
    bom: none
    evidence:
      - type: https://in-toto.io/attestation/test-result/v0.1
        by: [evaluation]
        max_age: 30d
      - type: https://example.com/evaluation/v1
        where:
          - {field: /metrics/accuracy, at_least: 0.93}
          - {field: /metrics/toxicity, at_most: -0.5}
          - {field: /dataset/frozen, is: true}
          - {field: /by~1whom, is: ada}
      - type: https://in-toto.io/attestation/vulns/v0.2
        max_severity: 6.9
    approvals: {count: 2, by: [ada, bob, eve]}
    max_age: 15m
"""
)


def read(text: str) -> Policy:
    return parse(text.encode(), "test")


def test_everything_that_can_be_asked() -> None:
    policy = read(WHOLE)
    assert policy.stages == ("dev", "canary", "prod")
    assert (policy.max_age, policy.stale_ok) == (timedelta(hours=1), True)
    assert policy.on_suspect is Suspects.DENY
    first, second = policy.rules
    assert first.provenance == ProvenanceRule(("training ci",), ("train", "fine-tune"), False)
    assert first.bom == BomRule(("training ci",), ("Apache-2.0", "MIT"))
    assert first.ancestors == AncestorRule("signed", 3, admitted=False)
    assert first.files == FilesRule(("safetensors", "json"), ("pickle",), False)
    assert (second.provenance, second.bom, second.files, second.ancestors) == (None,) * 4
    tests, metrics, vulnerabilities = second.evidence
    assert (tests.by, tests.max_age) == (("evaluation",), timedelta(days=30))
    assert metrics.checks == (
        Check("/metrics/accuracy", at_least=0.93),
        Check("/metrics/toxicity", at_most=-0.5),
        Check("/dataset/frozen", equals=True),
        Check("/by~1whom", equals="ada"),
    )
    assert vulnerabilities.max_severity == 6.9
    assert second.approvals == ApprovalRule(2, ("ada", "bob", "eve"))
    assert second.label == "rules[2], line 17"


def test_every_rule_that_matches_holds_and_none_is_no() -> None:
    policy = read(WHOLE)
    first, second = policy.rules
    assert policy.rules_for("models/a/b", None) == (first,)
    assert policy.rules_for("models/a", "prod") == (first, second)
    assert policy.rules_for("models/a", "dev") == (first,)
    assert policy.rules_for("data/a", "prod") == ()
    assert policy.rules_for(None, None) == ()
    assert second.max_age == timedelta(minutes=15)
    assert read(HEAD + "rules: []").rules_for("a", None) == ()
    assert BUILTIN.rules_for(None, None) == BUILTIN.rules_for("any/thing", "prod") != ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "format, stages"),
        ("[]", "a mapping of format"),
        ("rules: []", "line 1: `format` is missing"),
        (HEAD, "line 1: `rules` is missing"),
        ("format: urn:stemma:policy:v9\nrules: []", "urn:stemma:policy:v0.1 is expected"),
        (HEAD + "rules: []\nrules: []", "line 3: duplicate key 'rules'"),
        (HEAD + "rules: []\nmaxage: 1h", "line 3: `maxage`: unknown field"),
        (HEAD + "rules: []\nmax_age: 1 hour", "line 3: `max_age`: '1 hour' is not a length"),
        (HEAD + "rules: []\nmax_age: 1.5h", "is not a length of time"),
        (HEAD + "rules: []\nstale_ok: maybe", "line 3: `stale_ok`: true or false"),
        (HEAD + "rules: []\non_suspect: ignore", "one of warn, deny"),
        (HEAD + "rules: []\nstages: []", "a list of different texts"),
        (HEAD + "rules: []\nstages: [a, a]", "a list of different texts"),
        (HEAD + "rules: []\nstages: [Prod]", "is no stage, a word of"),
        (HEAD + "rules: {}", "line 2: `rules`: a list is expected"),
        (HEAD + "rules:\n- 1", "line 3: `rules[1]`: a mapping of names"),
        (HEAD + "rules:\n- {}", "`names` is missing"),
        (HEAD + "rules:\n- names: []", "one at least"),
        (HEAD + "rules:\n- names: [a*]", "is not a pattern"),
        (HEAD + "rules:\n- names: [a]\n  stages: [live]", "line 4: `rules[1].stages[1]`: no such"),
        (HEAD + "rules:\n- names: [a]\n  provenance: {signed: true}", "unknown field"),
        (HEAD + "rules:\n- names: [a]\n  provenance:", "a mapping of by, builds, commit"),
        (HEAD + "rules:\n- names: [a]\n  provenance: null", "a mapping of by"),
        (HEAD + "rules:\n- names: [a]\n  provenance: {commit: dirty}", "one of clean, any"),
        (HEAD + "rules:\n- names: [a]\n  ancestors: {depth: 0}", "a whole number from 1"),
        (HEAD + "rules:\n- names: [a]\n  ancestors: {assurance: some}", "one of attested"),
        (HEAD + "rules:\n- names: [a]\n  approvals: {count: 0}", "from 1 to 100"),
        (HEAD + "rules:\n- names: [a]\n  approvals: {count: 1e1}", "from 1 to 100"),
        (HEAD + "rules:\n- names: [a]\n  files: {code: warn}", "one of allow, deny"),
        (HEAD + "rules:\n- names: [a]\n  evidence: [{where: []}]", "`type` is missing"),
        (HEAD + "rules:\n- names: [a]\n  evidence: [{type: x}]", "`where` is missing"),
        (
            HEAD + "rules:\n- names: [a]\n  evidence: [{type: x, max_severity: 1, where: []}]",
            "is asked of https://in-toto.io/attestation/vulns/v0.2 only",
        ),
        (
            HEAD + "rules:\n- names: [a]\n  evidence:\n"
            "  - type: https://in-toto.io/attestation/vulns/v0.2",
            "line 5: `rules[1].evidence[1]`: `max_severity` is missing",
        ),
        (
            HEAD + "rules:\n- names: [a]\n  evidence: [{type: x, where: [{field: a, is: b}]}]",
            "a JSON pointer",
        ),
        (
            HEAD + "rules:\n- names: [a]\n  evidence: [{type: x, where: [{field: /a}]}]",
            "one of `is`, `at_least` and `at_most`",
        ),
        (
            HEAD + "rules:\n- names: [a]\n  evidence:\n  - type: x\n"
            "    where: [{field: /a, at_least: 1, at_most: 2}]",
            "line 6",
        ),
        (
            HEAD
            + "rules:\n- names: [a]\n  evidence: [{type: x, where: [{field: /a, at_least: .nan}]}]",
            "a number is expected",
        ),
        (HEAD + "rules: &a []\nstages: *a", "anchors are refused"),
        (HEAD + "rules: !!set {}", "tags are refused"),
    ],
)
def test_every_mistake_is_told(text: str, said: str) -> None:
    with pytest.raises(BadPolicy) as caught:
        read(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


LINES = WHOLE.splitlines()


@given(st.integers(1, len(LINES) - 1), st.sampled_from(["", "  ", "x", "[", "- ", ": ", "\x00"]))
def test_a_spoilt_line_never_escapes(number: int, with_: str) -> None:
    lines = [*LINES]
    lines[number] = with_ + lines[number][len(with_) :]
    try:
        read("\n".join(lines))
    except BadPolicy as error:
        assert len(str(error)) < 500


@given(st.binary(max_size=200))
def test_any_bytes(raw: bytes) -> None:
    with pytest.raises(BadPolicy):
        parse(raw, "test")


def test_formats_are_those_of_the_format_checks() -> None:
    page = Path(__file__).parents[2] / "docs" / "formats" / "format-scan.md"
    table = page.read_text(encoding="utf-8").partition("\n## Formats\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert tuple(re.findall(r"`([^`]+)`", " ".join(cells))) == file_formats.NAMES


def test_what_is_shipped_is_read_and_the_built_in_one_is_what_its_text_says() -> None:
    assert parse(policies.BUILTIN, BUILTIN.name) == BUILTIN
    starter = parse(policies.STARTER, "starter")
    (rule,) = starter.rules
    assert rule.ancestors == AncestorRule()
    assert (rule.provenance, rule.bom) == (ProvenanceRule(), BomRule())
    assert rule.files is not None
    assert "pickle" in rule.files.without
    assert (starter.max_age, starter.stale_ok) == (timedelta(hours=1), False)


def test_a_thousand_rules_are_read_and_held_soon() -> None:
    one = "- names: [models/m{n}/**, a/*/b]\n  stages: [prod]\n  bom: {{licences: [MIT]}}\n"
    text = HEAD + "rules:\n" + "".join(one.format(n=n) for n in range(1_000))
    with bounded(8, 200):
        policy = read(text)
        for _ in range(20):
            assert len(policy.rules_for("models/m7/x", "prod")) == 1
            assert len(policy.rules_for("a/x/b", "prod")) == 1_000
    with pytest.raises(BadPolicy, match="more than 1000 rules"):
        read(text + one.format(n=1_000))
