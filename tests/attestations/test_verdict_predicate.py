"""SLSA verification summaries: build and parse."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import verdict
from stemma_attestations.statement import ResourceDescriptor, Statement
from tests.building import (
    examples,
    json_values,
    manifest_of,
    same,
    sha,
    sha256_digests,
    statement_about,
)

DOCUMENT = Path(__file__).parents[2] / "docs" / "formats" / "verdict.md"
STEP = {"number": 2, "title": "bytes", "outcome": "passed", "details": ["2 files, 20 bytes hashed"]}
POLICY = ResourceDescriptor(uri="urn:stemma:policy:builtin:v0.1", digests=(sha(b"trust root"),))
ARGUMENTS: dict[str, Any] = {
    "verifier_id": "urn:stemma:verifier:v0.1",
    "verifier_version": {"stemma": "0.1.0"},
    "time_verified": "2026-11-21T12:00:00Z",
    "resource_uri": "urn:stemma:artifact:vision/digits:1.0",
    "policy": POLICY,
    "input_attestations": [sha(b"provenance"), sha(b"bom")],
    "passed": True,
    "steps": [STEP],
}


def built(**changes: Any) -> dict[str, Any]:
    return verdict.build(**{**ARGUMENTS, **changes})


def test_the_example_of_the_specification_is_read() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    statement = Statement.parse(example.encode())
    assert statement.predicate_type == verdict.TYPE
    read = verdict.parse(statement.predicate)
    assert not read.passed
    assert [step["outcome"] for step in read.steps].count("failed") == 1
    again = verdict.build(
        verifier_id=read.verifier,
        verifier_version=read.versions,
        time_verified=str(read.time),
        resource_uri=read.resource,
        policy=read.policy,
        input_attestations=[digest for item in read.inputs for digest in item.digests],
        passed=read.passed,
        steps=read.steps,
    )
    assert same(again, dict(statement.predicate))


def test_a_passed_verdict_is_what_was_put_in() -> None:
    read = verdict.parse(built())
    assert read == verdict.Summary(
        verifier="urn:stemma:verifier:v0.1",
        versions={"stemma": "0.1.0"},
        time="2026-11-21T12:00:00Z",
        resource="urn:stemma:artifact:vision/digits:1.0",
        policy=POLICY,
        inputs=tuple(ResourceDescriptor(digests=(sha(d),)) for d in (b"provenance", b"bom")),
        passed=True,
        levels=("SLSA_BUILD_LEVEL_UNEVALUATED",),
        dependencies=None,
        slsa_version="1.2",
        steps=(STEP,),
        raw=built(),
    )


def test_a_failed_verdict_says_so_twice_as_the_specification_asks() -> None:
    failed = built(passed=False)
    assert (failed["verificationResult"], failed["verifiedLevels"]) == ("FAILED", ["FAILED"])
    assert not verdict.parse(failed).passed


def test_levels_are_claimed_only_by_a_verdict_that_passed() -> None:
    levels = ["SLSA_BUILD_LEVEL_2", "SLSA_SOURCE_LEVEL_1", "ACME_REVIEWED"]
    assert verdict.parse(built(verified_levels=levels)).levels == tuple(levels)
    with pytest.raises(BadStatement):
        built(verified_levels=levels, passed=False)


@pytest.mark.parametrize(
    "change",
    [
        {"verifier_id": ""},
        {"verifier_version": {"stemma": 1}},
        {"time_verified": "now"},
        {"resource_uri": ""},
        {"policy": ResourceDescriptor(digests=(sha(b"x"),))},
        {"verified_levels": ["SLSA_BUILD_LEVEL_2", "SLSA_BUILD_LEVEL_UNEVALUATED"]},
        {"verified_levels": ["FAILED"]},
        {"steps": [{"title": "t", "outcome": "passed"}]},
        {"steps": [{**STEP, "number": True}]},
        {"steps": [{**STEP, "outcome": None}]},
        {"steps": [{**STEP, "details": "one line"}]},
        {"steps": [{**STEP, "details": [1]}]},
    ],
)
def test_what_cannot_be_read_is_not_written(change: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        built(**change)


# --- other people's summaries ---------------------------------------------------------------

FOREIGN: dict[str, Any] = {
    "verifier": {"id": "https://example.com/verifier"},
    "resourceUri": "https://example.com/example-1.2.3.tar.gz",
    "policy": {"uri": "https://example.com/example.policy"},
    "verificationResult": "PASSED",
    "verifiedLevels": ["SLSA_BUILD_LEVEL_3"],
}


def test_a_summary_with_only_what_slsa_requires_is_read() -> None:
    read = verdict.parse(FOREIGN)
    assert read.passed
    assert (read.time, read.inputs, read.steps, read.dependencies) == (None, (), (), None)
    full = {
        **FOREIGN,
        "timeVerified": "1985-04-12T23:20:50.52Z",
        "inputAttestations": [{"uri": "https://example.com/a", "digest": {"sha256": "ab" * 32}}],
        "dependencyLevels": {"SLSA_BUILD_LEVEL_3": 5, "SLSA_BUILD_LEVEL_1": 0},
        "slsaVersion": "1.0",
    }
    read = verdict.parse(full)
    assert read.inputs[0].uri == "https://example.com/a"
    assert read.inputs[0].digests == (Digest("sha256", "ab" * 32),)
    assert read.dependencies == {"SLSA_BUILD_LEVEL_3": 5, "SLSA_BUILD_LEVEL_1": 0}


@pytest.mark.parametrize("field", ["verifier", "resourceUri", "policy", "verifiedLevels"])
def test_every_required_field_is_required(field: str) -> None:
    with pytest.raises(BadStatement):
        verdict.parse({key: value for key, value in FOREIGN.items() if key != field})
    with pytest.raises(BadStatement):
        verdict.parse({**FOREIGN, field: 1})


@pytest.mark.parametrize(
    "change",
    [
        {"verificationResult": None},
        {"verificationResult": "passed"},
        {"verificationResult": True},
        {"verifiedLevels": ["FAILED"]},
        {"verifiedLevels": ["SLSA_BUILD_LEVEL_1", "SLSA_BUILD_LEVEL_2"]},
        {"verifiedLevels": [3]},
        {"verifiedLevels": "SLSA_BUILD_LEVEL_3"},
        {"timeVerified": "1985-04-12"},
        {"timeVerified": 0},
        {"policy": {"digest": {"sha256": "ab" * 32}}},
        {"policy": {"uri": "https://example.com/p", "digest": {"sha256": "AB" * 32}}},
        {"inputAttestations": {}},
        {"inputAttestations": [{"uri": "https://example.com/a"}]},
        {"inputAttestations": [{"digest": {"sha256": "ab"}}]},
        {"dependencyLevels": {"SLSA_BUILD_LEVEL_3": -1}},
        {"dependencyLevels": {"SLSA_BUILD_LEVEL_3": True}},
        {"dependencyLevels": []},
        {"slsaVersion": 1.0},
        {"verifier": {"id": "https://example.com/v", "version": ["1"]}},
        {verdict.STEPS: {}},
        {verdict.STEPS: ["passed"]},
    ],
)
def test_a_malformed_summary_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        verdict.parse({**FOREIGN, **change})


def test_unknown_fields_survive_everywhere() -> None:
    predicate = {
        **built(),
        "urn:example:extra": {"deep": [1]},
        "verifier": {"id": "https://example.com/v", "team": "x"},
        "policy": {"uri": "https://example.com/p", "mediaType": "text/plain"},
        verdict.STEPS: [{**STEP, "took": 3}],
    }
    statement = statement_about(manifest_of().digest, verdict.TYPE, predicate)
    read = verdict.parse(Statement.parse(statement.raw).predicate)
    assert read.raw == predicate
    assert read.policy.raw["mediaType"] == "text/plain"
    assert read.steps[0]["took"] == 3


steps = st.fixed_dictionaries(
    {
        "number": st.integers(0, 11),
        "title": st.text(min_size=1, max_size=9),
        "outcome": st.sampled_from(["passed", "failed", "undecided"]),
        "details": st.lists(st.text(max_size=9), max_size=3),
    }
)


@examples(150)
@given(
    passed=st.booleans(),
    said=st.lists(steps, max_size=4),
    inputs=st.lists(sha256_digests, max_size=4),
    resource=st.text(min_size=1, max_size=9),
)
def test_parsing_is_the_inverse_of_building(
    passed: bool, said: list[dict[str, Any]], inputs: list[Digest], resource: str
) -> None:
    predicate = built(passed=passed, steps=said, input_attestations=inputs, resource_uri=resource)
    statement = statement_about(manifest_of().digest, verdict.TYPE, predicate)
    read = verdict.parse(json.loads(statement.raw)["predicate"])
    assert (read.passed, read.resource, list(read.steps)) == (passed, resource, said)
    assert [item.digests for item in read.inputs] == [(digest,) for digest in inputs]


@examples(300)
@given(st.sampled_from([*built(), "dependencyLevels"]), json_values)
def test_any_value_in_any_field_is_an_answer_and_not_a_crash(field: str, value: Any) -> None:
    predicate = {**built(), field: value}
    try:
        read = verdict.parse(predicate)
    except BadStatement:
        return
    assert read.passed == (predicate["verificationResult"] == "PASSED")
    assert not (read.passed and "FAILED" in read.levels)
