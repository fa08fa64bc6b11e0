"""The input document: what is in it, and that what is missing is absent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations import canonical, sources
from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.policy import RegoRule, Rule
from stemma_attestations.policy_file import parse
from stemma_attestations.policy_input import FORMAT
from stemma_attestations.predicates import git_signature
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.rego import Decision
from stemma_attestations.request import (
    Ancestor,
    FileLook,
    Request,
    SourceWord,
    StatusView,
    Stop,
    Vouching,
)
from stemma_attestations.trust import Assurance
from stemma_attestations.verdict import Outcome
from tests.attestations.scene import (
    BOM,
    CI,
    MALLORY,
    MANIFEST,
    PROVENANCE,
    STOP,
    request,
    verdict_of,
)
from tests.building import NOW

PAGE = Path(__file__).parents[2] / "docs/formats/policy-input.md"
POLICY = parse(
    b"format: urn:stemma:policy:v0.1\nrules:\n- names: ['**']\n  rego: {module: 'package p'}\n",
    "page",
)
COMMIT, SIGNER = "c" * 40, CI.public.id
WORDS = (
    SourceWord(sources.COMMIT, git_signature.TYPE, SIGNER),
    SourceWord(sources.COMMIT, git_signature.TYPE, MALLORY.public.id),
    SourceWord(sources.SUMMARY, vsa.TYPE, SIGNER, level=3, resource="git+https://x"),
    SourceWord(sources.SUMMARY, vsa.TYPE, SIGNER, resource="git+https://x"),
)
ALLOWS = Decision(Outcome.PASSED, ("the test allows",))


class Recorder:
    """Keeps what it was asked, and gives one answer."""

    def __init__(self, answer: Decision = ALLOWS) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []

    def __call__(self, rule: RegoRule, document: bytes) -> Decision:
        assert canonical.dumps(json.loads(document)) == document
        self.asked.append(json.loads(document))
        return self.answer


def asked(recorder: Recorder, **changes: Any) -> Request:
    return request(policy=POLICY, evaluator=recorder, **changes)


def full() -> Request:
    """Everything that can be there."""
    recorder = Recorder()
    stop = Stop("data", "why", "eve", STOP.bundle, ("a <- b",))
    return asked(
        recorder,
        files=[FileLook("a", ("text",), (("code", "a loop"),))],
        ancestors=[Ancestor("data/a:1", 1, (Vouching(Assurance.ATTESTED),))],
        sources={COMMIT: WORDS},
        status=StatusView(7, (stop,), (stop,), None, timedelta(minutes=5)),
        stage="prod",
    )


def document_of(given: Request) -> dict[str, Any]:
    recorder = given.evaluator
    assert isinstance(recorder, Recorder)
    verdict_of(given)
    (document,) = recorder.asked
    return document


def keys(value: Any) -> Iterator[str]:
    """Every field, but for those of predicates and sources, which are others'."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name
            if name not in ("predicate", "source"):
                yield from keys(item)
    elif isinstance(value, list):
        for item in value:
            yield from keys(item)


def test_it_says_what_the_steps_before_it_proved() -> None:
    document = document_of(asked(Recorder()))
    assert document["format"] == FORMAT
    assert (document["name"], document["version"]) == ("acme/model", "1.0")
    assert [step["number"] for step in document["steps"]] == list(range(1, 10))
    assert {step["outcome"] for step in document["steps"]} == {"passed"}
    assert document["artifact"]["digest"] == str(MANIFEST.digest)
    assert document["artifact"]["kinds"] == ["model"]
    assert [one["path"] for one in document["artifact"]["entries"]] == [
        entry.path for entry in MANIFEST.entries
    ]
    assert {one["type"] for one in document["statements"]} == {PROVENANCE, BOM}
    assert {tuple(one["principals"]) for one in document["statements"]} == {("training-ci",)}
    assert document["time_s"] == int(NOW.timestamp())


def test_what_is_not_known_is_absent_and_never_null() -> None:
    for given in (asked(Recorder()), full(), asked(Recorder(), name=None)):
        raw = json.dumps(document_of(given))
        assert "null" not in raw
    few = document_of(asked(Recorder()))
    assert {"files", "ancestors", "sources", "stage"}.isdisjoint(few)
    assert "age_s" not in few["status"]
    assert not any("signed" in one for one in few["statements"])
    nameless = document_of(asked(Recorder(), name=None, also_named=("acme/model",)))
    assert "name" not in nameless
    assert nameless["also_named"] == ["acme/model"]


def test_a_statement_that_is_not_believed_is_not_in_it() -> None:
    document = document_of(asked(Recorder(), trust=replace(request().trust, signers=())))
    assert document["statements"] == []
    outcomes = {step["number"]: step["outcome"] for step in document["steps"]}
    assert outcomes[4] == "failed"


def test_what_is_signed_about_commits_by_those_who_may_is_in_it() -> None:
    document = document_of(full())
    about = {"signer": SIGNER, "principals": ["training-ci"]}
    assert document["sources"] == [
        {
            "commit": COMMIT,
            "words": [
                {"kind": "commit", **about},
                {"kind": "summary", "level": 3, "repository": "git+https://x", **about},
                {"kind": "summary", "repository": "git+https://x", **about},
            ],
        }
    ]
    built = [one for one in document["statements"] if one["type"] == PROVENANCE]
    assert [one["commits"] for one in built] == [[COMMIT]]
    assert not any("commits" in one for one in document["statements"] if one not in built)
    nobody = replace(full(), trust=replace(request().trust, signers=()))
    assert document_of(nobody)["sources"] == [{"commit": COMMIT, "words": []}]


def test_the_page_names_every_field() -> None:
    text = PAGE.read_text(encoding="utf-8")
    nameless = asked(Recorder(), name=None, also_named=("acme/model",))
    unsure = StatusView(7, undecided="who knows", stale="too old")
    found = {
        key
        for given in (full(), nameless, asked(Recorder(), status=unsure))
        for key in keys(document_of(given))
    }
    frozen = json.loads((PAGE.parents[2] / "tests/fixtures/v0.1/policy-input.json").read_bytes())
    assert set(keys(frozen)) <= found | {"signed", "signed_s"}
    missing = [key for key in found | set(keys(frozen)) if f"`{key}`" not in text]
    assert missing == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, None),
        ({"observed": request().observed}, None),
        ({"evidence": ()}, NotVerified),
        ({"status": StatusView(7, stops=(STOP,))}, Quarantined),
        ({"status": StatusView(7, undecided="?")}, Undecided),
    ],
)
def test_an_allow_waives_nothing(changes: dict[str, Any], expected: Any) -> None:
    refused = verdict_of(asked(Recorder(), **changes))[1]
    assert refused is None if expected is None else issubclass(refused or int, expected)


def test_a_rule_that_is_not_there_is_not_made_up_for() -> None:
    policy = replace(POLICY, rules=(Rule(("other/*",), rego=POLICY.rules[0].rego),))
    recorder = Recorder()
    verdict, refused = verdict_of(request(policy=policy, evaluator=recorder))
    assert refused is NotVerified
    assert recorder.asked == []
    assert "no rule of the policy" in verdict.steps[-1].details[0]


def test_one_no_is_enough_and_its_lines_are_the_reasons() -> None:
    one, other = RegoRule("package a", label="a"), RegoRule("package b", label="b")
    policy = replace(POLICY, rules=(Rule(("**",), rego=one), Rule(("**",), rego=other)))

    def evaluator(rule: RegoRule, document: bytes) -> Decision:
        return ALLOWS if rule == one else Decision(Outcome.FAILED, ("b: no",))

    verdict, refused = verdict_of(request(policy=policy, evaluator=evaluator))
    assert (refused, verdict.steps[-1].details) == (NotVerified, ("b: no",))


def test_an_evaluator_that_fails_or_is_not_there_decides_nothing() -> None:
    def fails(rule: RegoRule, document: bytes) -> Decision:
        raise ZeroDivisionError("inside")

    for evaluator, told in ((fails, "inside"), (None, "nobody here evaluates Rego")):
        verdict, refused = verdict_of(request(policy=POLICY, evaluator=evaluator))
        assert refused is Undecided
        assert told in verdict.steps[-1].details[0]
    undecided = Recorder(Decision(Outcome.UNDECIDED, ("no answer",)))
    assert verdict_of(asked(undecided))[1] is Undecided


def test_an_allow_is_cited() -> None:
    verdict, _ = verdict_of(asked(Recorder()))
    assert verdict.steps[-1].details[-1] == "the test allows"
