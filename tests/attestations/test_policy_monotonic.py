"""Nothing that goes missing turns a no into a yes: documents, lines, fields."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import evidence, json_strict
from stemma_attestations.accepted import Signed
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import NotVerified
from stemma_attestations.policy import Rule
from stemma_attestations.request import Ancestor, FileLook, Request, Vouching
from stemma_attestations.times import Dated
from stemma_attestations.trust import Assurance
from tests.attestations.scene import (
    BOM,
    CI,
    LISTED,
    PROVEN,
    PROVENANCE,
    bom_predicate,
    provenance_predicate,
    verdict_of,
)
from tests.attestations.test_policy_steps import (
    ADA,
    APPROVAL,
    BOB,
    METRICS,
    TESTS,
    VULNS,
    approval,
    asked,
    result_of,
    said,
    vulns,
)
from tests.building import NOW, examples, json_values

ADMISSION = "urn:stemma:admission:v0.1"
ENDS = {"reason": "old", "issuedAt": "2026-11-21T11:00:00Z", "until": "2027-01-01T00:00:00Z"}
OVER = {**ENDS, "until": "2026-01-01T00:00:00Z"}
LICENSED = bom_predicate()
LICENSED["metadata"]["component"]["licenses"] = [{"license": {"id": "MIT"}}]
UNLICENSED = bom_predicate()
UNLICENSED["metadata"]["component"]["licenses"] = [{"license": {"id": "GPL-3.0-only"}}]
DIGESTLESS = {"name": "scraped", "annotations": {"relation": "trained-on"}}

CONDITIONS = (
    "[{field: /m/0/acc, at_least: 0.5}, {field: /bias, at_most: 0.1}, {field: /by, is: ada}]"
)

# A requirement by itself, and statements that meet it, or do not.
KINDS: dict[str, tuple[str, list[tuple[str, Mapping[str, Any]]]]] = {
    "provenance": (
        "provenance: {builds: [train], commit: clean}\n  bom: none",
        [
            (PROVENANCE, provenance_predicate()),
            (PROVENANCE, provenance_predicate(dirty=True)),
            (PROVENANCE, provenance_predicate("merge")),
            (PROVENANCE, provenance_predicate(materials=[DIGESTLESS])),
        ],
    ),
    "bom": (
        "provenance: none\n  bom: {licences: [MIT]}",
        [(BOM, LICENSED), (BOM, UNLICENSED), (BOM, bom_predicate())],
    ),
    "test result": (
        f"provenance: none\n  bom: none\n  evidence: [{{type: '{TESTS}'}}]",
        [
            (TESTS, result_of(passedTests=["a"], failedTests=[])),
            (TESTS, result_of("FAILED", failedTests=["a"], passedTests=["b"])),
            (TESTS, result_of("PASSED", failedTests=["a"])),
            (TESTS, result_of("WARNED", warnedTests=["a"])),
        ],
    ),
    "vulnerabilities": (
        f"provenance: none\n  bom: none\n  evidence: [{{type: '{VULNS}', max_severity: 5}}]",
        [(VULNS, vulns(1, 2)), (VULNS, vulns(1, 9)), (VULNS, vulns(None))],
    ),
    "metrics": (
        f"provenance: none\n  bom: none\n  evidence: [{{type: {METRICS}, where: {CONDITIONS}}}]",
        [
            (METRICS, {"m": [{"acc": 0.6}], "bias": 0.0, "by": "ada"}),
            (METRICS, {"m": [{"acc": 0.4}], "bias": 0.0, "by": "ada"}),
            (METRICS, {"m": [{"acc": 0.6}], "bias": 0.2, "by": "ada"}),
        ],
    ),
    "approval": (
        "provenance: none\n  bom: none\n  approvals: {}",
        [
            (APPROVAL, approval(until="2030-01-01T00:00:00Z")),
            (APPROVAL, approval(until="2020-01-01T00:00:00Z")),
            (APPROVAL, approval("dev")),
        ],
    ),
    "admission": (
        "provenance: {admitted: allow}\n  bom: none",
        [(ADMISSION, ENDS), (ADMISSION, OVER)],
    ),
}


# A report of what is wrong, or of all that there is: the line itself is the bad news. Its signer
# signed all of it, and nobody else can cut it.
REPORTS = {
    "provenance": "/buildDefinition/resolvedDependencies/",
    "bom": "/metadata/component/licenses/",
    "test result": "/failedTests",
    "vulnerabilities": "/scanner/result/",
}


def without(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The same document with one field, or one line of a list, left out: each in turn."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{path}/{name}", {key: other for key, other in value.items() if key != name}
            for where, less in without(item, f"{path}/{name}"):
                yield where, {**value, name: less}
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield f"{path}/{place}", value[:place] + value[place + 1 :]
            for where, less in without(item, f"{path}/{place}"):
                yield where, [*value[:place], less, *value[place + 1 :]]


def request_of(rule: str, *statements: tuple[str, Mapping[str, Any]]) -> Request:
    # Somebody else's approval of another stage, so that there always is a believed statement.
    other = said(APPROVAL, approval("elsewhere"), CI)
    items = [said(kind, predicate, ADA) for kind, predicate in statements]
    return asked(f"- names: ['**']\n  {rule}", [other, *items], stage="prod")


def allows(rule: str, *statements: tuple[str, Mapping[str, Any]]) -> bool:
    return verdict_of(request_of(rule, *statements))[1] is None


@pytest.mark.parametrize("what", KINDS)
def test_a_document_that_goes_missing_never_helps(what: str) -> None:
    rule, statements = KINDS[what]
    assert allows(rule, statements[0]), "the first of them suffices"
    assert not all(allows(rule, one) for one in statements)
    assert not allows(rule)
    for taken in range(len(statements)):
        left = statements[:taken] + statements[taken + 1 :]
        assert allows(rule, *statements) or not allows(rule, *left)


@pytest.mark.parametrize("what", KINDS)
def test_a_field_or_a_line_that_goes_missing_never_helps(what: str) -> None:
    rule, statements = KINDS[what]
    tried = 0
    for kind, predicate in statements:
        if allows(rule, (kind, predicate)):
            continue
        for where, less in without(predicate):
            tried += 1
            if allows(rule, (kind, less)):
                assert where.startswith(REPORTS.get(what, "-")), where
    assert tried > 2


@examples(150)
@given(st.sampled_from(sorted(KINDS)), json_values)
def test_any_document_is_judged_and_none_breaks_the_recipe(what: str, value: Any) -> None:
    rule, statements = KINDS[what]
    kind = statements[0][0]
    predicate = value if isinstance(value, dict) else {"m": value, "result": value}
    verdict, _ = verdict_of(request_of(rule, (kind, predicate)))
    assert len(verdict.steps) == 10


def test_deep_and_huge_values_are_a_no() -> None:
    rule = KINDS["metrics"][0]
    deep: Any = 1
    for _ in range(json_strict.MAX_DEPTH - 8):
        deep = [deep]
    big = list(range(100_000))
    for value in (deep, big, "x" * 1_000_000, 2**53 - 1, -1.7e308):
        assert not allows(rule, (METRICS, {"m": [{"acc": value}], "bias": value, "by": value}))
    pointer = "/0" * 5_000
    asks = f"[{{type: '{METRICS}', where: [{{field: {pointer}, is: a}}]}}]"
    long = f"provenance: none\n  bom: none\n  evidence: {asks}"
    assert not allows(long, (METRICS, {"m": 1}))
    digits = long.replace(pointer, "/m/" + "9" * 10_000)
    assert not allows(digits, (METRICS, {"m": [1]}))


# --- ancestors and files --------------------------------------------------------------------

WORDS = st.tuples(
    st.sampled_from([Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED]),
    st.sampled_from([(), ("a gap",)]),
).map(lambda pair: Vouching(*pair))


@examples(300)
@given(
    st.lists(WORDS, max_size=4),
    st.booleans(),
    st.sampled_from(["attested", "signed", "claimed"]),
    st.sampled_from(["admitted", "deny"]),
    st.data(),
)
def test_what_vouches_for_an_ancestor_and_goes_missing_never_helps(
    words: list[Vouching], admitted: bool, assurance: str, external: str, data: st.DataObject
) -> None:
    rule = f"- {{names: ['**'], ancestors: {{assurance: {assurance}, external: {external}}}}}"

    def passes(left: list[Vouching], lets: bool) -> bool:
        one = Ancestor("a", 1, tuple(left), lets, edges=Assurance(assurance))
        return verdict_of(asked(rule, (PROVEN, LISTED), ancestors=[one]))[1] is None

    fewer = data.draw(st.lists(st.sampled_from(words), unique=True)) if words else []
    lets = data.draw(st.booleans()) and admitted
    assert passes(words, admitted) or not passes(fewer, lets)


def test_a_file_that_nobody_can_tell_is_no_better_than_one_that_is() -> None:
    rule = "- {names: ['**'], files: {formats: [safetensors]}}"
    told = FileLook("a", ("pickle",))
    untold = FileLook("a", ())
    for look in (told, untold):
        request = asked(rule, (PROVEN, LISTED), files=[look])
        assert verdict_of(request)[1] is not None


# --- all requirements together --------------------------------------------------------------

EVERYTHING = f"""\
- names: ['**']
  provenance: {{by: [ci]}}
  evidence:
  - type: {TESTS}
  - type: {VULNS}
    max_severity: 5
  - type: {METRICS}
    where: [{{field: /acc, at_least: 0.5}}]
- names: [acme/*]
  stages: [prod]
  approvals: {{count: 1, by: [ada, bob]}}
"""
POOL = [
    PROVEN,
    LISTED,
    said(TESTS, result_of()),
    said(TESTS, result_of("FAILED"), BOB),
    said(VULNS, vulns(1)),
    said(VULNS, vulns(9), BOB),
    said(METRICS, {"acc": 0.6}),
    said(METRICS, {"acc": 0.1}),
    said(APPROVAL, approval(), ADA),
    said(APPROVAL, approval("dev"), BOB),
]


@given(st.lists(st.sampled_from(range(len(POOL))), unique=True), st.data())
def test_none_of_many_documents_that_goes_missing_helps(
    chosen: list[int], data: st.DataObject
) -> None:
    left = data.draw(st.lists(st.sampled_from(chosen), unique=True)) if chosen else []
    whole = asked(EVERYTHING, [POOL[n] for n in chosen], stage="prod")
    part = replace(whole, evidence=[POOL[n] for n in left])
    if verdict_of(whole)[1] is not None:
        assert verdict_of(part)[1] is not None


@given(st.sampled_from(range(len(POOL))), st.data())
def test_beside_others_a_field_that_goes_missing_never_helps(
    number: int, data: st.DataObject
) -> None:
    """Of each predicate that counts: without any one of its fields it is worth no more."""
    kinds = [
        (TESTS, result_of(failedTests=[], passedTests=["a"])),
        (VULNS, vulns(1, 2)),
        (METRICS, {"acc": 0.6, "other": 1}),
        (APPROVAL, approval(until="2030-01-01T00:00:00Z")),
        (TESTS, result_of("FAILED", failedTests=["a"])),
        (VULNS, vulns(9)),
        (METRICS, {"acc": 0.1}),
        (APPROVAL, approval(until="2020-01-01T00:00:00Z")),
    ]
    kind, predicate = data.draw(st.sampled_from(kinds))
    name = data.draw(st.sampled_from(sorted(predicate)))
    others = [item for n, item in enumerate(POOL) if n not in (3, 5, 7, 9) and n != number]
    without = {key: value for key, value in predicate.items() if key != name}
    before = verdict_of(asked(EVERYTHING, [*others, said(kind, predicate)], stage="prod"))[1]
    after = verdict_of(asked(EVERYTHING, [*others, said(kind, without)], stage="prod"))[1]
    assert before is None or after is not None


def test_the_pool_suffices() -> None:
    assert verdict_of(asked(EVERYTHING, POOL, stage="prod"))[1] is None
    for n in (0, 1, 2, 4, 6, 8):
        rest = [item for m, item in enumerate(POOL) if m != n]
        assert verdict_of(asked(EVERYTHING, rest, stage="prod"))[1] is NotVerified, n


# --- ages -----------------------------------------------------------------------------------

ROOT = Digest.of(b"a root that is believed about time")
AGED = f"- names: ['**']\n  evidence: [{{type: '{TESTS}', max_age: 1h}}]"
MINUTES = st.lists(st.sampled_from([-5, 0, 30, 59, 61, 600]), max_size=3)


@examples(200)
@given(st.lists(MINUTES, max_size=3), st.data())
def test_a_date_that_goes_missing_never_helps(
    minutes: list[list[int]], data: st.DataObject
) -> None:
    """Nor does a statement with all its dates. What one statement's bundles are is state."""
    dates = [[NOW - timedelta(minutes=m) for m in one] for one in minutes]

    def passes(left: list[list[datetime]]) -> bool:
        whole = asked(AGED, [], stage=None)
        trust = replace(whole.trust, time=(ROOT,))
        items = [
            Signed(item.digest, item.statement(), ADA.public.id, None, tuple(dated))
            for number, one in enumerate(left)
            for item in [_parsed(number)]
            for dated in [[Dated(time, ROOT) for time in one]]
        ]
        return evidence.step(replace(whole, trust=trust), items, items).failure is None

    # A signature is as old as the oldest date that is believed: the youngest go first.
    fewer = [sorted(one)[: data.draw(st.integers(0, len(one)))] for one in dates]
    kept = [one for one in fewer if data.draw(st.booleans())]
    assert passes(dates) or not passes(fewer)
    assert passes(fewer) or not passes(kept)
    assert not passes([[] for _ in dates])


def _parsed(number: int) -> Bundle:
    return Bundle.parse(said(TESTS, result_of(configuration=[{"name": str(number)}])).raw)


def test_every_requirement_there_is_has_its_property() -> None:
    """Whoever adds one to a rule adds it here, and says which property holds for it."""
    held = {
        **dict.fromkeys(("provenance", "bom", "evidence", "approvals"), "KINDS, and EVERYTHING"),
        "ancestors": "test_what_vouches_for_an_ancestor_and_goes_missing_never_helps",
        "files": "test_a_file_that_nobody_can_tell_is_no_better_than_one_that_is",
        "rego": "a module's own business: it is asked last, and takes away a yes at most",
        "tensors": "tests/tensors: the gate reads the bytes; a table that is missing hides nothing",
        "max_age": "tests/status/test_freshness.py: without a feed nothing proves it",
    }
    asks = {field.name for field in fields(Rule)} - {"names", "stages", "line", "label"}
    assert asks == set(held)
