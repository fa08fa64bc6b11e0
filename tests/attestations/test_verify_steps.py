"""The recipe's later steps: provenance, ML-BOM, status, and what a policy may leave out."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import (
    BytesDiffer,
    NotVerified,
    Quarantined,
    SignatureRefused,
    Undecided,
)
from stemma_attestations.policy import Policy, ProvenanceRule, Rule
from stemma_attestations.request import StatusView, Stop
from tests.attestations.scene import (
    BOM,
    GOOD,
    LINEAGE,
    LISTED,
    MANIFEST,
    OTHER_BYTES,
    PROVEN,
    PROVENANCE,
    STOP,
    STOPPED,
    UNKNOWN,
    bom_predicate,
    evidence,
    provenance_predicate,
    refusal,
    request,
    statement,
    verdict_of,
)
from tests.building import (
    FILES,
    examples,
    json_values,
    manifest_of,
    sha,
    trust_root,
)

# --- step 5: provenance ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("predicate", "reason"),
    [
        (provenance_predicate(dirty=True), "uncommitted changes"),
        (provenance_predicate(dirty=...), "commit"),
        (provenance_predicate(dirty="false"), "uncommitted changes"),
        (provenance_predicate(commit=False), "no Git commit"),
        (provenance_predicate("fine-tune", commit=False), "no Git commit"),
        (provenance_predicate("unheard-of", commit=False), "no Git commit"),
        (provenance_predicate("import", dirty=False, materials=[{"name": "m"}]), "no digest"),
        (provenance_predicate(materials=[{"uri": "https://example.com/x"}]), "no digest"),
        (provenance_predicate(materials=[{"digest": {"sha1": "a" * 40}}]), "no digest"),
        (provenance_predicate(materials=[{"digest": {"unknown": "x"}}]), "no digest"),
        (provenance_predicate(materials=[{"digest": {"sha256": "x"}}]), "sha256"),
        (
            provenance_predicate(
                dirty=True,
                materials=[{"digest": {"gitCommit": "a" * 40}, "annotations": {"dirty": False}}],
            ),
            "uncommitted changes",
        ),
        ({}, "buildDefinition"),
        ({**provenance_predicate(), "runDetails": {}}, "builder"),
    ],
)
def test_provenance_that_does_not_do(predicate: dict[str, Any], reason: str) -> None:
    item = evidence(statement(PROVENANCE, predicate))
    verdict, refused = verdict_of(request(evidence=[item, LISTED]))
    assert refused is NotVerified
    (step,) = [step for step in verdict.steps if step.failure]
    assert step.number == 5
    assert reason in " ".join(step.details)


@pytest.mark.parametrize(
    "predicate",
    [
        provenance_predicate("import", commit=False),
        provenance_predicate("import", dirty=True),
        provenance_predicate("filter"),
        provenance_predicate(materials=[{"digest": {"sha256": "a" * 64}}]),
        provenance_predicate(materials=[{"digest": {"gitCommit": "a" * 40}}]),
    ],
)
def test_provenance_that_does(predicate: dict[str, Any]) -> None:
    assert refusal(evidence=[evidence(statement(PROVENANCE, predicate)), LISTED]) is None


def test_provenance_under_another_predicate_type_is_none() -> None:
    for kind in ("https://slsa.dev/provenance/v0.2", "https://slsa.dev/provenance/v1.1", LINEAGE):
        item = evidence(statement(kind, provenance_predicate()))
        assert refusal(evidence=[item, LISTED]) is NotVerified


# --- step 6: ML-BOM -------------------------------------------------------------------------


def bent_bom(**fields: Any) -> dict[str, Any]:
    return {k: v for k, v in {**bom_predicate(), **fields}.items() if v is not ...}


@pytest.mark.parametrize(
    "predicate",
    [
        pytest.param({}, id="an empty object"),
        pytest.param(bent_bom(bomFormat="SPDX"), id="another format"),
        pytest.param(bent_bom(specVersion=...), id="no version"),
        pytest.param(bent_bom(metadata=...), id="no metadata"),
        pytest.param(bent_bom(version="one"), id="against the schema"),
        pytest.param(bom_predicate(manifest_of({"other": b""})), id="of another artifact"),
        pytest.param(bom_predicate(manifest_of({**FILES, "more.txt": b""})), id="one file more"),
        pytest.param(bom_predicate(manifest_of(dict(list(FILES.items())[1:]))), id="one file less"),
        pytest.param(
            bent_bom(dependencies=[{"ref": "main", "dependsOn": ["nowhere"]}]),
            id="a dangling reference",
        ),
    ],
)
def test_a_bom_that_does_not_do(predicate: dict[str, Any]) -> None:
    item = evidence(statement(BOM, predicate))
    verdict, refused = verdict_of(request(evidence=[PROVEN, item]))
    assert refused is NotVerified
    (step,) = [step for step in verdict.steps if step.failure]
    assert step.number == 6
    assert step.details


def test_the_digest_of_one_file_in_the_bom_is_wrong() -> None:
    document = bom_predicate()
    document["metadata"]["component"]["components"][0]["hashes"][0]["content"] = "0" * 64
    verdict, refused = verdict_of(request(evidence=[PROVEN, evidence(statement(BOM, document))]))
    assert refused is NotVerified
    assert any(MANIFEST.entries[0].path in line for s in verdict.steps for line in s.details)


# --- what the policy may leave out, and what it may not -------------------------------------


def test_a_policy_leaves_out_only_what_it_names() -> None:
    lax = Policy("lax", sha(b"lax"), (Rule(("**",), provenance=None, bom=None),))
    only = [evidence(statement(LINEAGE, {"edges": []}))]
    assert refusal(evidence=only) is NotVerified
    assert refusal(evidence=only, policy=lax) is None
    assert refusal(evidence=[], policy=lax) is SignatureRefused
    assert refusal(evidence=only, policy=lax, trust=trust_root()) is SignatureRefused
    assert refusal(evidence=only, policy=lax, observed=OTHER_BYTES) is BytesDiffer
    assert refusal(evidence=only, policy=lax, status=STOPPED) is Quarantined
    assert refusal(evidence=only, policy=lax, status=UNKNOWN) is Undecided


def test_a_policy_without_commits_still_wants_digests() -> None:
    rule = Rule(("**",), provenance=ProvenanceRule(commit=False))
    policy = Policy("any commit", sha(b"any"), (rule,))
    dirty = evidence(statement(PROVENANCE, provenance_predicate(dirty=True)))
    vague = evidence(statement(PROVENANCE, provenance_predicate(materials=[{"name": "m"}])))
    assert refusal(policy=policy, evidence=[dirty, LISTED]) is None
    assert refusal(policy=policy, evidence=[vague, LISTED]) is NotVerified


# --- step 9: status -------------------------------------------------------------------------


def test_a_stop_is_explained_with_its_path() -> None:
    path = ("acme/model:1.0 trained-on acme/data:1", "acme/data:1 filtered-from raw/shard:3")
    stop = Stop("raw/shard:3", "labels were flipped", "responder", sha(b"q"), path)
    verdict, refused = verdict_of(request(status=StatusView(9, stops=(stop, STOP))))
    assert refused is Quarantined
    (step,) = [step for step in verdict.steps if step.failure]
    text = "\n".join(step.details)
    for part in ("raw/shard:3", "labels were flipped", "responder", *path, *STOP.path):
        assert part in text


def test_suspects_are_shown_and_decide_nothing() -> None:
    verdict, refused = verdict_of(request(status=StatusView(7, suspects=(STOP,))))
    assert refused is None
    (warning,) = verdict.warnings
    assert STOP.target in warning
    assert STOP.reason in warning


def test_a_stop_is_not_outweighed_by_any_evidence() -> None:
    for count in range(3):
        for items in itertools.combinations([PROVEN, LISTED, *GOOD], count):
            assert refusal(evidence=items, status=STOPPED) in (Quarantined, SignatureRefused)


# --- hostile predicates ---------------------------------------------------------------------


@examples(150)
@given(
    st.sampled_from(["buildDefinition", "runDetails", "metadata", "components", "dependencies"]),
    json_values,
)
def test_a_believed_signer_cannot_make_the_recipe_stumble(field: str, value: Any) -> None:
    """Any predicate ends in a verdict: never in an error that is no refusal."""
    items = [
        evidence(statement(PROVENANCE, {**provenance_predicate(), field: value})),
        evidence(statement(BOM, {**bom_predicate(), field: value})),
    ]
    verdict, refused = verdict_of(request(evidence=items))
    assert refused in (None, NotVerified, SignatureRefused)
    assert verdict.passed is (refused is None)
