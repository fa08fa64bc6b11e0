"""Thresholds: what counts only when enough distinct principals say it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import BadTrustRoot, NotVerified
from stemma_attestations.grants import MAX_PRINCIPALS, distinct
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Outcome
from tests.attestations.scene import (
    BOM,
    CI,
    GOOD,
    LISTED,
    PROVEN,
    PROVENANCE,
    bom_predicate,
    evidence,
    provenance_predicate,
    request,
    statement,
    verdict_of,
)
from tests.building import Key, key, signer, trust_bytes

SECOND, THIRD = key("second"), key("third", "ed25519")


def rule(principals: Any = 2, kind: str = PROVENANCE, names: str = "acme/*") -> dict[str, Any]:
    return {"predicates": [kind], "names": [names], "principals": principals}


def trusting(*rules: dict[str, Any], **principals: Key) -> TrustRoot:
    signers = [signer(k, name.replace("_", " ")) for name, k in principals.items()]
    return TrustRoot.parse(trust_bytes(signer(CI, "ci"), *signers, thresholds=list(rules)))


def proven(by: Key, **bent: Any) -> Any:
    return evidence(statement(PROVENANCE, provenance_predicate(**bent)), by)


def failed(trust: TrustRoot, *items: Any) -> list[int]:
    """The numbers of the steps that failed."""
    verdict, refused = verdict_of(request(trust=trust, evidence=items))
    numbers = [s.number for s in verdict.steps if s.outcome is not Outcome.PASSED]
    assert bool(numbers) == (refused is not None)
    return numbers


def test_two_people_are_asked_for() -> None:
    trust = trusting(rule(), second=SECOND)
    assert failed(trust, *GOOD) == [5]
    assert failed(trust, *GOOD, proven(SECOND)) == []
    verdict, refused = verdict_of(request(trust=trust, evidence=GOOD))
    assert refused is NotVerified
    (reason,) = next(s.details for s in verdict.steps if s.number == 5)
    assert "2 distinct principals" in reason
    assert reason.endswith("it is by ci only")


def test_two_keys_of_one_person_count_once() -> None:
    signers = [signer(CI, "ada"), signer(SECOND, "ada"), signer(THIRD, "bob")]
    trust = TrustRoot.parse(trust_bytes(*signers, thresholds=[rule()]))
    assert failed(trust, *GOOD, proven(SECOND)) == [5]
    assert failed(trust, *GOOD, proven(SECOND), proven(CI, build="quantize")) == [5]
    assert failed(trust, *GOOD, proven(THIRD)) == []


def test_a_key_of_two_principals_is_nobodys_second() -> None:
    signers = [signer(CI, "ada"), signer(SECOND, "ada"), signer(SECOND, "bob")]
    trust = TrustRoot.parse(trust_bytes(*signers, thresholds=[rule()]))
    assert failed(trust, *GOOD, proven(SECOND)) == [5]


def test_who_may_not_say_it_does_not_count() -> None:
    others = [
        {"names": ["other/*"]},
        {"predicates": [BOM]},
        {"valid_until": "2020-01-01T00:00:00Z"},
    ]
    for fields in (*others, {"revoked": "2026-01-01T00:00:00Z"}):
        listed = [signer(CI, "ada"), signer(SECOND, "bob", **fields)]
        trust = TrustRoot.parse(trust_bytes(*listed, thresholds=[rule()]))
        assert failed(trust, *GOOD, proven(SECOND)) == [5], fields


def test_what_is_not_good_by_itself_does_not_count() -> None:
    trust = trusting(rule(), second=SECOND)
    assert failed(trust, *GOOD, proven(SECOND, dirty=True)) == [5]
    assert failed(trust, *GOOD, proven(SECOND, commit=False)) == [5]


def test_the_bom_has_its_own() -> None:
    trust = trusting(rule(kind=BOM), second=SECOND)
    assert failed(trust, *GOOD) == [6]
    assert failed(trust, *GOOD, proven(SECOND)) == [6]
    assert failed(trust, *GOOD, evidence(statement(BOM, bom_predicate()), SECOND)) == []


def test_the_largest_number_holds_and_other_names_are_free() -> None:
    trust = trusting(rule(2), rule(3, names="**"), rule(9, names="other/*"), second=SECOND)
    assert failed(trust, *GOOD, proven(SECOND)) == [5]
    more = trusting(rule(2), rule(3, names="**"), second=SECOND, third=THIRD)
    assert failed(more, *GOOD, proven(SECOND), proven(THIRD)) == []
    assert failed(trusting(rule(9, names="other/*")), PROVEN, LISTED) == []


@given(st.sets(st.sampled_from(["ci", "second", "third", "dirty", "bom"])), st.integers(1, 3))
def test_more_evidence_never_hurts(names: set[str], count: int) -> None:
    pool = {
        "ci": PROVEN,
        "second": proven(SECOND),
        "third": proven(THIRD),
        "dirty": proven(SECOND, dirty=True),
        "bom": LISTED,
    }
    trust = trusting(rule(count), second=SECOND, third=THIRD)
    people = len(names & {"ci", "second", "third"})
    _, refused = verdict_of(request(trust=trust, evidence=[pool[n] for n in sorted(names)]))
    assert (refused is None) == (people >= count and "bom" in names)


@given(st.lists(st.sets(st.sampled_from("abcdef"), max_size=3), max_size=8))
def test_distinct_is_the_number_of_groups(voices: list[set[str]]) -> None:
    said = [voice for voice in voices if voice]
    near = [{j for j, other in enumerate(said) if other & voice} for voice in said]
    for _ in said:  # until everybody is reached who can be
        near = [set().union(*(near[j] for j in reach)) for reach in near]
    assert distinct(voices) == len({frozenset(reach) for reach in near})


@pytest.mark.parametrize(
    "bad",
    [
        rule(0),
        rule(-1),
        rule(True),
        rule("two"),
        rule("02"),
        rule("+2"),
        rule("\u0662"),
        rule(2.0),
        rule(MAX_PRINCIPALS + 1),
        rule(names="acme/x*"),
        {"predicates": [PROVENANCE], "names": ["**"]},
        {"names": ["**"], "principals": 2},
        {**rule(), "principal": 2},
        "two",
        None,
    ],
)
def test_what_is_no_threshold(bad: Any) -> None:
    with pytest.raises(BadTrustRoot, match="trust root: threshold 1"):
        TrustRoot.parse(trust_bytes(thresholds=[bad]))
    with pytest.raises(BadTrustRoot, match="`thresholds` is a list"):
        TrustRoot.parse(trust_bytes(thresholds=bad if not isinstance(bad, list) else {}))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("Ada", "ada"),
        ("ada", "ada "),
        ("ada b", "ada  b"),
        ("Ada", "\uff21da"),
        ("stra\xdfe", "STRASSE"),
    ],
)
def test_two_spellings_of_one_principal(one: str, two: str) -> None:
    with pytest.raises(BadTrustRoot, match="look like one"):
        TrustRoot.parse(trust_bytes(signer(CI, one), signer(SECOND, two)))
    assert TrustRoot.parse(trust_bytes(signer(CI, one), signer(SECOND, one))).signers


def test_the_number_is_shown() -> None:
    trust = trusting(rule(), rule(3, names="**"))
    assert trust.needed(PROVENANCE, "acme/model") == 3
    assert trust.needed(PROVENANCE, None) == 3
    assert trust.needed(BOM, "acme/model") == 1
    assert json.loads(trust_bytes(thresholds=[rule()]))["thresholds"][0]["principals"] == 2
