"""What policies ask for, step by step; and that a document that goes missing never helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import NotVerified, Undecided
from stemma_attestations.policy_file import parse
from stemma_attestations.request import (
    Ancestor,
    Evidence,
    FileLook,
    Request,
    StatusView,
    Stop,
    Vouching,
)
from stemma_attestations.trust import Assurance, TrustRoot
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
from tests.building import Key, key, sha, signer, trust_bytes

TESTS = "https://in-toto.io/attestation/test-result/v0.1"
VULNS = "https://in-toto.io/attestation/vulns/v0.2"
METRICS = "https://example.com/evaluation/v1"
APPROVAL = "urn:stemma:approval:v0.1"
ADA, BOB, EVE = key("ada"), key("bob", "ed25519"), key("eve")
TRUST = TrustRoot.parse(
    trust_bytes(
        signer(CI, "ci"),
        signer(ADA, "ada"),
        signer(BOB, "bob"),
        signer(EVE, "eve", names=["other/*"]),
    )
)
BASE = "format: urn:stemma:policy:v0.1\nrules:\n"
STOP = Stop("data", "why", "mallory", sha(b"q"))


def asked(rules: str, items: Sequence[Evidence] = GOOD, **more: Any) -> Request:
    policy = parse((BASE + rules).encode(), "test")
    return request(trust=TRUST, policy=policy, evidence=items, **more)


def failed(rules: str, items: Sequence[Evidence] = GOOD, **more: Any) -> dict[int, str]:
    """The steps that did not pass, with their first reasons."""
    verdict, refused = verdict_of(asked(rules, items, **more))
    found = {s.number: s.details[0] for s in verdict.steps if s.outcome is not Outcome.PASSED}
    assert bool(found) == (refused is not None)
    return found


def said(kind: str, predicate: Mapping[str, Any], by: Key = ADA, **bent: Any) -> Evidence:
    return evidence(statement(kind, predicate, **bent), by)


def result_of(result: str = "PASSED", **more: Any) -> dict[str, Any]:
    return {"result": result, "configuration": [], **more}


def vulns(*scores: Any) -> dict[str, Any]:
    results = [
        {"id": f"CVE-{n}", "severity": [{"method": "CVSS_V3", "score": score}]}
        for n, score in enumerate(scores)
    ]
    return {"scanner": {"uri": "https://example.com/scan", "result": results}}


def approval(stage: str = "prod", **more: Any) -> dict[str, Any]:
    given = {"stage": stage, "reason": "fine", "issuedAt": "2026-11-21T11:00:00Z", "nonce": "1"}
    return {**given, "until": None, **more}


# --- which rules hold -----------------------------------------------------------------------


def test_no_rule_is_no() -> None:
    assert "no rule of the policy test is about acme/model" in failed("- names: [other/*]")[10]
    assert "at stage prod" in failed("- {names: ['**'], stages: [dev]}", stage="prod")[10]
    assert failed("- names: [acme/*]") == {}
    assert failed("- names: ['**']") == {}


def test_a_rule_for_stages_is_not_about_what_has_none() -> None:
    assert 10 in failed("- {names: ['**'], stages: [prod]}")
    assert failed("- {names: ['**'], stages: [prod]}", stage="prod") == {}


def test_every_rule_must_hold() -> None:
    both = "- names: ['**']\n- names: [acme/*]\n  provenance: {builds: [quantize]}"
    assert list(failed(both)) == [5]


def test_suspects_deny_where_the_policy_says_so() -> None:
    status = StatusView(7, suspects=(STOP,))
    assert failed("- names: ['**']", status=status) == {}
    policy = parse((BASE + "- names: ['**']\non_suspect: deny").encode(), "strict")
    verdict, refused = verdict_of(request(trust=TRUST, policy=policy, status=status))
    assert refused is NotVerified
    assert [s.number for s in verdict.steps if s.failure] == [10]


# --- provenance and BOM ---------------------------------------------------------------------


def test_provenance_by_whom_and_of_what() -> None:
    rule = "- names: ['**']\n  provenance: {by: [ada]}"
    assert "by ci, and the policy asks for ada" in failed(rule)[5]
    more = said(PROVENANCE, provenance_predicate())
    assert failed(rule, [*GOOD, more]) == {}
    assert "built by train" in failed("- names: ['**']\n  provenance: {builds: [merge]}")[5]
    dirty = [evidence(statement(PROVENANCE, provenance_predicate(dirty=True))), LISTED]
    assert 5 in failed("- names: ['**']", dirty)
    assert failed("- names: ['**']\n  provenance: {commit: any}", dirty) == {}
    assert failed("- names: ['**']\n  provenance: none", [LISTED]) == {}


def test_licences() -> None:
    rule = "- names: ['**']\n  bom: {licences: [Apache-2.0, MIT]}"
    assert "licence none" in failed(rule)[6]

    def with_licence(*ids: str) -> list[Evidence]:
        document = bom_predicate()
        document["metadata"]["component"]["licenses"] = [{"license": {"id": i}} for i in ids]
        return [PROVEN, evidence(statement(BOM, document))]

    assert failed(rule, with_licence("MIT")) == {}
    assert "licence GPL-3.0-only" in failed(rule, with_licence("GPL-3.0-only"))[6]
    assert 6 in failed(rule, with_licence("MIT", "GPL-3.0-only"))


# --- evidence -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "good", "bad"),
    [
        (
            f"type: {TESTS}",
            [result_of(), result_of("WARNED")],
            [result_of("FAILED"), {}, {"result": "passed"}],
        ),
        (
            f"type: {TESTS}\n    where: [{{field: /result, is: PASSED}}]",
            [result_of()],
            [result_of("WARNED")],
        ),
        (f"type: {VULNS}\n    max_severity: 6.9", [vulns(), vulns(6.9, "1.0")], [vulns(7.0)]),
        (
            f"type: {VULNS}\n    max_severity: 6.9",
            [],
            [vulns(None), vulns("high"), vulns(float("1e300")), vulns(-1), vulns(True), {}],
        ),
        (
            f"type: {METRICS}\n    where: [{{field: /m/acc, at_least: 0.9}}]",
            [{"m": {"acc": 0.9}}, {"m": {"acc": 1}}],
            [{"m": {"acc": 0.89}}, {"m": {"acc": "0.95"}}, {"m": {"acc": True}}, {"m": 1}, {}],
        ),
        (
            f"type: {METRICS}\n    where: [{{field: /m/1, at_most: 0.5}}]",
            [{"m": [1, 0.5]}, {"m": {"1": 0}}],
            [{"m": [1]}, {"m": [1, 0.6]}, {"m": []}],
        ),
        (
            f"type: {METRICS}\n    where: [{{field: /a~1b, is: true}}, {{field: /n, is: 3}}]",
            [{"a/b": True, "n": 3}, {"a/b": True, "n": "3"}],
            [{"a/b": "true", "n": 3}, {"a/b": True}, {"a/b": True, "n": 3.5}, {"a/b": 1, "n": 3}],
        ),
    ],
)
def test_evidence(rule: str, good: list[dict[str, Any]], bad: list[dict[str, Any]]) -> None:
    kind = rule.split()[1]
    text = f"- names: ['**']\n  evidence:\n  - {rule}"
    assert "no evidence" in failed(text)[7]
    for predicate in good:
        assert failed(text, [*GOOD, said(kind, predicate)]) == {}
        assert list(failed(text, [*GOOD, said(kind, predicate, EVE)])) == [7], "not for acme"
    for predicate in bad:
        assert list(failed(text, [*GOOD, said(kind, predicate)])) == [7], predicate
        # What is good beside it counts: to stop something is what a quarantine is for.
        for other in good[:1]:
            assert failed(text, [*GOOD, said(kind, predicate), said(kind, other)]) == {}


def test_evidence_by_whom() -> None:
    text = f"- names: ['**']\n  evidence:\n  - {{type: '{TESTS}', by: [bob]}}"
    assert 7 in failed(text, [*GOOD, said(TESTS, result_of(), ADA)])
    assert failed(text, [*GOOD, said(TESTS, result_of(), BOB)]) == {}


def test_evidence_without_a_trusted_time_has_no_age() -> None:
    text = f"- names: ['**']\n  evidence:\n  - {{type: '{TESTS}', max_age: 9999d}}"
    assert "no trusted time" in failed(text, [*GOOD, said(TESTS, result_of())])[7]


def test_ages_are_held_against_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    from stemma_attestations import accepted
    from stemma_attestations.times import Dated

    root = sha(b"root")
    trust = TrustRoot.parse(
        trust_bytes(signer(CI, "ci"), signer(ADA, "ada"), time=[{"root": str(root)}])
    )
    text = f"- names: ['**']\n  evidence:\n  - {{type: '{TESTS}', max_age: 1h}}"
    policy = parse((BASE + text).encode(), "test")
    whole = request(trust=trust, policy=policy, evidence=[*GOOD, said(TESTS, result_of())])
    for age, passes in [(0, True), (3600, True), (3601, False), (-1, False)]:
        dated = (Dated(whole.now - timedelta(seconds=age), root),)
        monkeypatch.setattr(accepted.dating, "under_roots", lambda *_, dated=dated: dated)
        assert (verdict_of(whole)[1] is None) is passes, age


def test_a_signature_that_is_dated_anew_is_no_younger(monkeypatch: pytest.MonkeyPatch) -> None:
    from stemma_attestations import accepted
    from stemma_attestations.times import Dated

    root = sha(b"root")
    trust = TrustRoot.parse(
        trust_bytes(signer(CI, "ci"), signer(ADA, "ada"), time=[{"root": str(root)}])
    )
    text = f"- names: ['**']\n  evidence:\n  - {{type: '{TESTS}', max_age: 1h}}"
    policy = parse((BASE + text).encode(), "test")
    old, new = said(TESTS, result_of()), said(TESTS, result_of())
    whole = request(trust=trust, policy=policy, evidence=[*GOOD, old, new])
    ages = {old.digest: 2, new.digest: 0}

    def under_roots(bundle: Bundle, *_: object) -> tuple[Dated, ...]:
        return (Dated(whole.now - timedelta(hours=ages.get(bundle.digest, 0)), root),)

    monkeypatch.setattr(accepted.dating, "under_roots", under_roots)
    assert verdict_of(whole)[1] is NotVerified
    assert verdict_of(replace(whole, evidence=[*GOOD, new]))[1] is None


# --- approvals ------------------------------------------------------------------------------

TWO = "- names: ['**']\n  approvals: {count: 2}"


def test_approvals_are_by_distinct_people_who_did_not_make_it() -> None:
    two = [*GOOD, said(APPROVAL, approval(), ADA), said(APPROVAL, approval(), BOB)]
    assert failed(TWO, two, stage="prod") == {}
    assert "2 approvals are asked for, 1 count" in failed(TWO, two[:-1], stage="prod")[7]
    again = said(APPROVAL, approval(nonce="2"), ADA)
    assert 7 in failed(TWO, [*two[:-1], again], stage="prod")
    makers = [*two[:-1], said(APPROVAL, approval(), CI)]
    assert 7 in failed(TWO, makers, stage="prod")
    made = [*two, said(PROVENANCE, provenance_predicate(), BOB)]
    assert 7 in failed(TWO, made, stage="prod"), "bob made it, too"
    assert 7 in failed(TWO, two, stage="dev")
    assert 7 in failed(TWO, two)


@pytest.mark.parametrize(
    "bent",
    [
        {"predicate": approval("dev")},
        {"predicate": approval(until="2026-01-01T00:00:00Z")},
        {"predicate": approval(until="tomorrow")},
        {"predicate": approval(stage="")},
        {"predicate": {k: v for k, v in approval().items() if k != "until"}},
        {"predicate": {}},
        {"artifact": sha(b"other bytes")},
        {"name": "acme/model:2.0"},
    ],
)
def test_an_approval_that_does_not_count(bent: dict[str, Any]) -> None:
    predicate = bent.pop("predicate", approval())
    other = said(APPROVAL, predicate, BOB, **bent)
    items = [*GOOD, said(APPROVAL, approval(), ADA), other]
    assert 7 in failed(TWO, items, stage="prod")


def test_who_may_approve() -> None:
    text = "- names: ['**']\n  approvals: {by: [ada]}"
    assert 7 in failed(text, [*GOOD, said(APPROVAL, approval(), BOB)], stage="prod")
    assert failed(text, [*GOOD, said(APPROVAL, approval(), ADA)], stage="prod") == {}


# --- files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "looks", "passes"),
    [
        ("{formats: [safetensors]}", [FileLook("a", ("safetensors",))], True),
        ("{formats: [safetensors]}", [FileLook("a", ("pickle",))], False),
        ("{formats: [safetensors]}", [FileLook("a", ("safetensors", "zip"))], False),
        ("{formats: [safetensors]}", [FileLook("a", ())], False),
        ("{without: [pickle]}", [FileLook("a", ()), FileLook("b", ("json",))], True),
        ("{without: [pickle]}", [FileLook("b", ("json",)), FileLook("a", ("pickle",))], False),
        ("{}", [FileLook("a", ("pickle",), (("dangerous", "os.system"),))], False),
        ("{}", [FileLook("a", ("json",), (("malformed", "twice"),))], False),
        ("{}", [FileLook("a", ("zip",), (("undecided", "too deep"),))], False),
        ("{}", [FileLook("a", ("python",), (("code", "python"),))], True),
        ("{code: deny}", [FileLook("a", ("python",), (("code", "python"),))], False),
        ("{}", [], True),
    ],
)
def test_files(rule: str, looks: list[FileLook], passes: bool) -> None:
    text = f"- names: ['**']\n  files: {rule}"
    assert (failed(text, files=looks) == {}) is passes


def test_files_that_nobody_looked_at_decide_nothing() -> None:
    _, refused = verdict_of(asked("- names: ['**']\n  files: {}"))
    assert refused is Undecided


# --- ancestors ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "ancestor", "passes"),
    [
        ("{}", Ancestor("a", 1, (Vouching(Assurance.ATTESTED),)), True),
        ("{}", Ancestor("a", 9, (Vouching(Assurance.SIGNED),)), False),
        ("{depth: 8}", Ancestor("a", 9, (Vouching(Assurance.SIGNED),)), True),
        ("{depth: 9}", Ancestor("a", 9, (Vouching(Assurance.SIGNED),)), False),
        ("{assurance: signed}", Ancestor("a", 1, (Vouching(Assurance.SIGNED),)), True),
        ("{assurance: signed}", Ancestor("a", 1, (Vouching(Assurance.CLAIMED),)), False),
        ("{assurance: claimed}", Ancestor("a", 1, (Vouching(Assurance.CLAIMED),)), True),
        ("{assurance: claimed}", Ancestor("a", 1), False),
        ("{}", Ancestor("a", 1, admitted=True), True),
        ("{}", Ancestor("a", 1, (Vouching(Assurance.SIGNED),), admitted=True), True),
        ("{external: admitted}", Ancestor("a", 1, refused=("it ended",)), False),
        ("{external: deny}", Ancestor("a", 1, admitted=True), False),
        ("{}", Ancestor("a", 1, (Vouching(Assurance.ATTESTED, ("no digest",)),)), False),
        ("{}", Ancestor("a", 1, code=True), True),
    ],
)
def test_ancestors(rule: str, ancestor: Ancestor, passes: bool) -> None:
    text = f"- names: ['**']\n  ancestors: {rule}"
    worth = parse((BASE + text).encode(), "t").rules[0].ancestors
    assert worth is not None
    here = replace(ancestor, edges=Assurance(worth.assurance))
    assert (failed(text, ancestors=[here]) == {}) is passes
    _, refused = verdict_of(asked(text))
    assert refused is Undecided


def test_a_date_that_came_later_dates_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody can have an old signature dated today: the first bundle decides."""
    from stemma_attestations import accepted
    from stemma_attestations.times import Dated

    root = sha(b"root")
    trust = TrustRoot.parse(
        trust_bytes(signer(CI, "ci"), signer(ADA, "ada"), time=[{"root": str(root)}])
    )
    text = f"- names: ['**']\n  evidence:\n  - {{type: '{TESTS}', max_age: 1h}}"
    undated = said(TESTS, result_of())
    again = Evidence(sha(undated.raw + b" "), undated.raw + b" ", undated.key)
    whole = request(trust=trust, policy=parse((BASE + text).encode(), "test"))
    dated = (Dated(whole.now, root),)
    monkeypatch.setattr(
        accepted.dating,
        "under_roots",
        lambda bundle, *_: dated if bundle.raw.endswith(b" ") else (),
    )
    for items, passes in (([again], True), ([undated, again], False), ([undated], False)):
        assert (verdict_of(replace(whole, evidence=[*GOOD, *items]))[1] is None) is passes


def test_a_key_of_two_principals_is_both() -> None:
    """Whatever each of its items may say: it approves nothing that it made, and counts once."""
    approves = {"predicates": [APPROVAL]}
    listed = [
        signer(CI, "ada"),
        signer(BOB, "ada", predicates=["urn:example:nothing"]),
        signer(BOB, "second", **approves),
        signer(EVE, "third", **approves),
    ]
    rule = "- names: ['**']\n  approvals: {}"
    whole = replace(
        asked(rule, [*GOOD, said(APPROVAL, approval(), BOB)], stage="prod"),
        trust=TrustRoot.parse(trust_bytes(*listed)),
    )
    assert verdict_of(whole)[1] is NotVerified
    other = replace(whole, evidence=[*GOOD, said(APPROVAL, approval(), EVE)])
    assert verdict_of(other)[1] is None
    two = [signer(CI, "p"), signer(BOB, "p", predicates=["urn:example:x"]), signer(BOB, "q")]
    threshold = {"predicates": [PROVENANCE], "names": ["**"], "principals": 2}
    trust = TrustRoot.parse(trust_bytes(*two, thresholds=[threshold]))
    items = [*GOOD, said(PROVENANCE, provenance_predicate(), BOB)]
    assert verdict_of(request(trust=trust, evidence=items))[1] is NotVerified
