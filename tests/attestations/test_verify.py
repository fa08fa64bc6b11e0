"""The recipe, step by step: good and bad, the exact refusal, and which refusal is named."""

from __future__ import annotations

from typing import Any

import pytest

from stemma_attestations.errors import (
    BytesDiffer,
    NotVerified,
    Quarantined,
    SignatureRefused,
    Undecided,
)
from stemma_attestations.names import NameVersion
from stemma_attestations.request import Evidence, StatusView
from stemma_attestations.verdict import Outcome
from tests.attestations.scene import (
    BOM,
    CI,
    GOOD,
    LINEAGE,
    LISTED,
    MALLORY,
    MANIFEST,
    NAME,
    OBSERVED,
    OTHER_BYTES,
    PROVEN,
    PROVENANCE,
    STATUS,
    STOP,
    STOPPED,
    TRUST,
    UNKNOWN,
    bom_predicate,
    evidence,
    provenance_predicate,
    refusal,
    request,
    statement,
    trusting,
    verdict_of,
)
from tests.building import (
    NOW,
    compact,
    key,
    manifest_of,
    sha,
    signer,
    trust_root,
)


def test_everything_is_proved() -> None:
    verdict, refused = verdict_of(request())
    assert refused is None
    assert verdict.passed
    assert [step.number for step in verdict.steps] == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
    assert all(step.outcome is Outcome.PASSED for step in verdict.steps)
    assert verdict.artifact == MANIFEST.digest
    assert verdict.name == NAME
    assert verdict.resource == "acme/model:1.0"
    assert verdict.trust_root == TRUST.digest
    assert verdict.entry == 7
    assert verdict.time == NOW
    assert verdict.accepted == tuple(sorted(e.digest for e in GOOD))
    assert verdict.warnings == ()


# --- the matrix -----------------------------------------------------------------------------

BYTES = {"same": OBSERVED, "other": OTHER_BYTES}
STATUSES = {
    "clean": (STATUS, None),
    "stopped": (STOPPED, Quarantined),
    "unknown": (UNKNOWN, Undecided),
    "stopped and unknown": (StatusView(7, stops=(STOP,), undecided="too old"), Quarantined),
}


def evidence_for(signatures: str, proven: bool, listed: bool) -> list[Evidence]:
    predicates = [
        (PROVENANCE, provenance_predicate(dirty=not proven)),
        (BOM, bom_predicate(MANIFEST if listed else manifest_of({"other": b""}))),
    ]
    payloads = [statement(kind, predicate) for kind, predicate in predicates]
    if signatures == "by nobody we know":
        return [evidence(payload, MALLORY) for payload in payloads]
    if signatures == "broken":
        return [evidence(payload, signed=b"something else") for payload in payloads]
    return [evidence(payload) for payload in payloads]


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("proven", [True, False])
@pytest.mark.parametrize("signatures", ["good", "broken", "by nobody we know"])
@pytest.mark.parametrize("bytes_", BYTES)
def test_matrix(bytes_: str, signatures: str, proven: bool, listed: bool, status: str) -> None:
    view, stopped = STATUSES[status]
    verdict, refused = verdict_of(
        request(
            observed=BYTES[bytes_],
            evidence=evidence_for(signatures, proven, listed),
            status=view,
        )
    )
    signed = signatures == "good"
    steps: dict[int, type[NotVerified] | None] = {
        1: None,
        2: None if bytes_ == "same" else BytesDiffer,
        3: SignatureRefused if signatures == "broken" else None,
        4: None if signed else SignatureRefused,
        5: None if signed and proven else NotVerified,
        6: None if signed and listed else NotVerified,
        7: None,
        8: None,
        9: stopped,
        10: None,
    }
    assert {step.number: step.failure for step in verdict.steps} == steps
    for step in verdict.steps:
        assert (step.outcome is Outcome.PASSED) is (step.failure is None)
        assert step.failure is None or step.details
    order = [BytesDiffer, SignatureRefused, Quarantined, NotVerified, Undecided]
    failures = [failure for failure in order if failure in steps.values()]
    assert refused is (failures[0] if failures else None)
    assert verdict.passed is (refused is None)


# --- step 3: signatures ---------------------------------------------------------------------


def test_no_evidence_at_all() -> None:
    assert refusal(evidence=()) is SignatureRefused


def test_one_broken_bundle_beside_good_ones_is_named_and_decides_nothing() -> None:
    broken = evidence(statement(LINEAGE, {"edges": []}), signed=b"x")
    verdict, refused = verdict_of(request(evidence=[broken, *GOOD]))
    assert refused is None
    assert broken.digest not in verdict.accepted
    (step,) = [step for step in verdict.steps if step.number == 3]
    assert any(broken.digest.short in line for line in step.details)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Evidence(PROVEN.digest, b"", PROVEN.key), id="no bytes"),
        pytest.param(Evidence(PROVEN.digest, b"{}", PROVEN.key), id="no bundle"),
        pytest.param(Evidence(LISTED.digest, PROVEN.raw, PROVEN.key), id="the name of another"),
        pytest.param(Evidence(sha(PROVEN.raw + b" "), PROVEN.raw, PROVEN.key), id="a wrong name"),
        pytest.param(evidence(b"not a statement"), id="no statement"),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate()), signed=b""), id="unsigned"
        ),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate()), payload_type="text/plain"),
            id="another payload type",
        ),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate(), artifact=sha(b"other"))),
            id="about other bytes",
        ),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate()), MALLORY, hint=CI.public.id),
            id="somebody else under the signer's hint",
        ),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate()), MALLORY, stored_key=b"junk"),
            id="an unknown key, and junk beside it",
        ),
        pytest.param(
            evidence(statement(PROVENANCE, provenance_predicate()), MALLORY, stored_key=None),
            id="an unknown key, and none beside it",
        ),
        pytest.param(
            evidence(
                statement(PROVENANCE, provenance_predicate()), MALLORY, stored_key=CI.public.der
            ),
            id="an unknown key, and the signer's beside it",
        ),
    ],
)
def test_what_does_not_count_as_a_signature(broken: Evidence) -> None:
    assert refusal(evidence=[broken]) is SignatureRefused
    verdict, refused = verdict_of(request(evidence=[broken, LISTED]))
    assert refused is NotVerified  # provenance is what is missing now
    assert verdict.accepted == (LISTED.digest,)


@pytest.mark.parametrize(
    "stored", [None, b"junk", MALLORY.public.der], ids=["nothing", "junk", "another key"]
)
def test_the_trust_roots_key_is_used_whatever_lies_beside_the_bundle(stored: bytes | None) -> None:
    items = [Evidence(e.digest, e.raw, stored) for e in GOOD]
    assert refusal(evidence=items) is None


def test_both_kinds_of_key() -> None:
    edwards = key("ci", "ed25519")
    payloads = [statement(PROVENANCE, provenance_predicate()), statement(BOM, bom_predicate())]
    items = [evidence(payload, edwards) for payload in payloads]
    assert refusal(evidence=items) is SignatureRefused
    assert refusal(evidence=items, trust=trusting(signer(edwards, "other-ci"))) is None


# --- step 4: signers ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "grants",
    [
        {"names": ["acme/other"]},
        {"names": ["acme-evil/*"]},
        {"names": ["prod/**"]},
        {"names": []},
        {"predicates": []},
        {"predicates": [LINEAGE]},
        {"valid_until": "2026-11-21T12:00:00Z"},
        {"valid_from": "2026-11-21T12:00:01Z"},
    ],
)
def test_a_signer_who_may_not(grants: dict[str, Any]) -> None:
    assert refusal(trust=trust_root(signer(CI, **grants))) is SignatureRefused


@pytest.mark.parametrize(
    "grants",
    [
        {"names": ["acme/model"]},
        {"names": ["**/model"]},
        {"predicates": [PROVENANCE, BOM]},
        {"valid_until": "2026-11-21T12:00:01Z"},
        {"valid_from": "2026-11-21T12:00:00Z"},
    ],
)
def test_near_misses_of_a_signer_who_may(grants: dict[str, Any]) -> None:
    assert refusal(trust=trust_root(signer(CI, **grants))) is None


def test_the_empty_trust_root_accepts_nothing() -> None:
    assert refusal(trust=trust_root()) is SignatureRefused


def test_each_statement_is_judged_by_itself() -> None:
    """Who may say one thing does not lend their word to another's statement."""
    payload = statement(PROVENANCE, provenance_predicate())
    bom_only = trusting(signer(MALLORY, "bom-bot", predicates=[BOM]))
    assert refusal(trust=bom_only, evidence=[evidence(payload, MALLORY), LISTED]) is NotVerified
    both = [PROVEN, evidence(statement(BOM, bom_predicate()), MALLORY)]
    assert refusal(trust=bom_only, evidence=both) is None


# --- names ----------------------------------------------------------------------------------


def about(name: str | None) -> list[Evidence]:
    return [
        evidence(statement(PROVENANCE, provenance_predicate(), name=name)),
        evidence(statement(BOM, bom_predicate(), name=name)),
    ]


@pytest.mark.parametrize(
    "name",
    ["acme/other:1.0", "acme/model:1.1", "acme/model:1.0.0", "acme/model", "Acme/model:1.0", None]
    + ["", "acme/model:1.0 ", "prod/model:1.0"],
)
def test_a_statement_about_another_name_does_not_count(name: str | None) -> None:
    assert refusal(evidence=about(name)) is SignatureRefused


def test_one_of_several_subjects_is_enough_if_it_has_these_bytes_and_this_name() -> None:
    mine = {"digest": {"sha256": MANIFEST.digest.value}, "name": str(NAME)}
    other = {"digest": {"sha256": sha(b"x").value}, "name": "acme/x:1"}
    crossed = [
        {"digest": {"sha256": MANIFEST.digest.value}, "name": "acme/x:1"},
        {"digest": {"sha256": sha(b"x").value}, "name": str(NAME)},
    ]

    def items(subjects: list[dict[str, Any]]) -> list[Evidence]:
        return [
            evidence(
                compact(
                    {
                        "_type": "https://in-toto.io/Statement/v1",
                        "subject": subjects,
                        "predicateType": kind,
                        "predicate": predicate,
                    }
                )
            )
            for kind, predicate in ((PROVENANCE, provenance_predicate()), (BOM, bom_predicate()))
        ]

    assert refusal(evidence=items([other, mine])) is None
    assert refusal(evidence=items(crossed)) is SignatureRefused


def test_a_question_without_a_name_takes_the_word_of_whom_the_subject_names() -> None:
    assert refusal(name=None) is None
    assert refusal(name=None, evidence=about("prod/model:1.0")) is SignatureRefused
    assert refusal(name=None, evidence=about(None)) is SignatureRefused
    everywhere = trust_root(signer(CI, names=["**"]))
    assert refusal(name=None, evidence=about(None), trust=everywhere) is None


def test_a_signer_of_other_names_cannot_speak_for_this_one_by_the_same_bytes() -> None:
    root = trusting(signer(MALLORY, "team-x", names=["x/*"]))
    payloads = [
        statement(PROVENANCE, provenance_predicate(), name=name)
        for name in ("x/model:1.0", str(NAME))
    ]
    for payload in payloads:
        items = [evidence(payload, MALLORY), LISTED]
        assert refusal(trust=root, evidence=items) is NotVerified
    asked = request(name=NameVersion("x/model", "1.0"), trust=root, evidence=GOOD)
    assert verdict_of(asked)[1] is SignatureRefused
