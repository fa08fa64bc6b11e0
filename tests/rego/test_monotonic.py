"""What is held back never helps: the example's module, under anything that goes missing."""

from __future__ import annotations

import copy
import importlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_attestations.verdict import Outcome
from stemma_registry.rego import engine, reading

ROOT = Path(__file__).parents[2]
MODULE = (ROOT / "examples/policies/prod.rego").read_text()
WORDS = ("allow", "deny")
EVALUATION = "https://example.com/evaluation/v1"


def statement(kind: str, who: str, predicate: dict[str, Any], age: int | None) -> dict[str, Any]:
    dated = {} if age is None else {"signed_s": 1_000_000_000 - age}
    return {"type": kind, "principals": [who], "predicate": predicate, **dated}


def document() -> dict[str, Any]:
    frozen = json.loads((ROOT / "tests/fixtures/v0.1/policy-input.json").read_bytes())
    return {
        **{name: frozen[name] for name in ("format", "name", "version", "stage", "artifact")},
        "time_s": 1_000_000_000,
        "statements": [
            statement(EVALUATION, "ada", {"metrics": {"accuracy": 0.92}}, None),
            statement(EVALUATION, "bob", {"metrics": {"accuracy": 0.96}}, None),
            statement(EVALUATION, "bob", {"metrics": {"accuracy": 0.5}}, 5),
            statement(EVALUATION, "eve", {"metrics": {"accuracy": "0.99"}}, 5),
            statement("https://example.com/red-team/v1", "red-team", {"result": "passed"}, 86_400),
            statement("https://example.com/red-team/v1", "red-team", {"result": "failed"}, 5),
            statement("https://example.com/red-team/v1", "red-team", {"result": "passed"}, 9**8),
        ],
    }


@cache
def loaded() -> Any:
    """The engine with the module: its self-test once, and not for each document."""
    assert "package" in json.loads(engine.answer(MODULE, None))
    return engine._loaded(importlib.import_module("regorus"), MODULE)[0]


def allows(given_: dict[str, Any]) -> bool:
    loaded().set_input_json(json.dumps(given_))
    found = {name: engine._value(loaded(), f"data.stemma.prod.{name}") for name in WORDS}
    said = {name: value for name, value in found.items() if value is not engine._ABSENT}
    return reading.decision("it", "allow", said).outcome is Outcome.PASSED


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every field and every element, by its path."""
    if isinstance(value, dict):
        inside = list(value.items())
    elif isinstance(value, list):
        inside = list(enumerate(value))
    else:
        return []
    return [p for key, item in inside for p in ((*at, key), *places(item, (*at, key)))]


def without(value: Any, gone: set[tuple[Any, ...]], at: tuple[Any, ...] = ()) -> Any:
    """The same, less some fields and elements."""
    if isinstance(value, dict):
        kept = {k: v for k, v in value.items() if (*at, k) not in gone}
        return {k: without(v, gone, (*at, k)) for k, v in kept.items()}
    if isinstance(value, list):
        return [without(v, gone, (*at, n)) for n, v in enumerate(value) if (*at, n) not in gone]
    return value


WHOLE = document()
PLACES = places(WHOLE)


def test_every_single_thing_that_is_missing() -> None:
    assert allows(WHOLE)
    for place in PLACES:
        less = without(WHOLE, {place})
        for second in PLACES[:: max(1, len(PLACES) // 8)]:
            if allows(without(WHOLE, {place, second})):
                assert allows(less), (place, second)


@settings(max_examples=150, deadline=None)
@given(st.sets(st.sampled_from(PLACES)), st.sets(st.sampled_from(PLACES)))
def test_what_goes_missing_never_turns_a_no_into_a_yes(
    first: set[tuple[Any, ...]], second: set[tuple[Any, ...]]
) -> None:
    if allows(without(WHOLE, first | second)):
        assert allows(without(WHOLE, first))


def test_the_test_would_see_a_module_that_rules_on_absence() -> None:
    bad = "package p\nallow if not failed\nfailed if { some s in input.statements; "
    bad += 's.predicate.result == "failed" }\n'
    without_report = copy.deepcopy(WHOLE)
    del without_report["statements"][5]
    said = [json.loads(engine.answer(bad, json.dumps(one))) for one in (WHOLE, without_report)]
    assert [one.get("allow") for one in said] == [None, True]
