"""Modules evaluated on this machine: only a clear allow is one, and nothing runs for ever."""

from __future__ import annotations

import importlib
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.policy import RegoRule
from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.config import LIMITS
from stemma_registry.errors import Unavailable
from stemma_registry.rego import engine, functions, local

REAL = importlib.import_module("regorus").Engine
LOOP = "allow if count([1 | some a in range; some b in range; some c in range; a + b + c < 0]) == 0"
HEAD = "package stemma.gate\n"


def rule(text: str) -> RegoRule:
    module = HEAD + text + "\n"
    return RegoRule(module, digest=Digest.of(module.encode()), label="rules[1].rego, line 3")


def decide(text: str, document: bytes = b'{"x":1}') -> Decision:
    return local.decide(rule(text), document)


def answer(text: str, document: str = '{"x":1}') -> dict[str, Any]:
    """What the child says, without the price of a process."""
    said: dict[str, Any] = json.loads(engine.answer(HEAD + text + "\n", document))
    return said


def test_a_clear_allow_is_one_and_says_who_allowed() -> None:
    decision = decide("allow if input.x == 1")
    assert decision.outcome is Outcome.PASSED
    (line,) = decision.lines
    assert line.startswith("data.stemma.gate of the module of rules[1].rego, line 3 sha256:")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("allow if input.y", "allow is undefined"),
        ("default allow := false", "allow is false, not true"),
        ("allow := null", "allow is null, not true"),
        ("allow := 1", "allow is 1, not true"),
        ("allow := 0.0", "allow is 0"),
        ('allow := "true"', "allow is 'true', not true"),
        ("allow := {}", "allow is {}, not true"),
        ("allow := {true}", "allow is [True], not true"),
        ("allow := [true]", "not true"),
        ("allow contains true", "no rule `allow`"),
        ("other := true", "no rule `allow`"),
        ("allow := true\nallow := false", "line 3: rule conflicts"),
        ("allow := 1 / 0", "line 2: divide by zero"),
        ("allow if {", "line 3: expecting"),
        ("allow { true }", "line 2: `if` keyword is required"),
        ('allow := true\ndeny contains "no tests"', "denies: no tests"),
        ("allow := true\ndeny contains 5", "its deny is [5]"),
        ('allow := true\ndeny := "no"', "its deny is 'no'"),
        ("allow := true\ndeny := false", "its deny is false"),
        ("allow := true\ndeny := null", "its deny is null"),
        ('allow := true\ndeny contains "a\\n\\u001b[31mb"', "denies: a??[31mb"),
    ],
)
def test_anything_else_is_a_no(text: str, reason: str) -> None:
    decision = decide(text)
    assert decision.outcome is Outcome.FAILED
    assert reason in decision.lines[0]


@pytest.mark.parametrize(
    "text",
    [
        "allow if not http.send({}).x",
        "allow if not nosuch.fn(input)",
        "allow if input.x == 1\nf(x) := opa.runtime()",
        "allow if time.now_ns() > 0",
        'allow if { x := ["a" | rand.intn("x", 3) == 1]; count(x) >= 0 }',
        'allow if { every y in [1] { uuid.rfc4122("k") != y } }',
        "allow if { f := http.send; not f({}) }",
        'allow if not http["send"]({}).x',
        'allow if not http["s\\u0065nd"]({}).x',
        "allow := true if { not http.send({}).x } else := false",
        "allow if not {http.send({}): 1}.x",
        "import data.x as http\nallow if not http.send({}).x",
        'allow if json.match_schema({}, {"$ref": "http://127.0.0.1/"})[0]',
        "allow if y with input as {}\ny := true",
    ],
)
def test_what_depends_on_more_than_its_arguments_is_refused(text: str) -> None:
    said = answer(text)
    assert "may call" in said["wrong"] or "`with`" in said["wrong"]
    assert "allow" not in said


def test_functions_of_ones_own_can_be_called() -> None:
    text = "allow if big(input.x)\nallow if data.stemma.gate.big(2)\nbig(x) if x > 0\n"
    assert answer(text) == {"package": "data.stemma.gate", "allow": True}


def test_every_function_that_may_be_called_is_one_of_the_engine() -> None:
    # The engine lists its own, in what no module may ask.
    found = REAL()
    found.add_policy("m", "package p\nallow := opa.runtime().builtins\n")
    result = json.loads(found.eval_query_as_json("data.p.allow"))["result"]
    known = set(result[0]["expressions"][0]["value"])
    assert functions.PURE - known == {"print"}
    impure = {"http.send", "opa.runtime", "rand.intn", "time.now_ns", "trace", "uuid.rfc4122"}
    schemas = {"json.match_schema", "json.verify_schema", "json.marshal_with_options"}
    assert {n for n in known - functions.PURE if not n.startswith("__")} <= impure | schemas


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f(n) := f(n)\nallow := f(1)", "crashed"),
        ("allow if count([1 | numbers.range(1, 300000000)]) > 0", "memory"),
        (f"range := numbers.range(1, 3000)\n{LOOP}", "no answer within 2 s"),
    ],
)
def test_what_does_not_end_ends(text: str, reason: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if LOOP in text:
        monkeypatch.setattr(local, "LIMITS", replace(LIMITS, rego_seconds=2.0))
    decision = decide(text)
    assert decision.outcome is Outcome.UNDECIDED
    assert reason in decision.lines[0]


def test_a_long_answer_is_no_allow() -> None:
    text = (
        'allow := true\ndeny contains concat("", ["xxxxxxxx" | some a in numbers.range(1, 150000)])'
    )
    assert "longer than" in answer(text)["wrong"]


def test_numbers_are_whole() -> None:
    exact = f'{{"n":{2**53 - 1}}}'
    assert answer(f"allow if input.n == {2**53 - 1}", exact)["allow"] is True
    assert "allow" not in answer(f"allow if input.n == {2**53 - 2}", exact)


def test_what_a_module_prints_is_not_its_answer() -> None:
    assert answer('allow if { print("allow", {"allow": true}); false }') == {
        "package": "data.stemma.gate"
    }


def test_the_child_has_no_environment_and_not_this_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("regorus.py", "json.py", "resource.py", "sitecustomize.py"):
        (tmp_path / name).write_text("raise SystemExit('taken')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PYTHONSTARTUP", str(tmp_path / "json.py"))
    monkeypatch.chdir(tmp_path)
    assert decide("allow := true").outcome is Outcome.PASSED


def test_without_the_extra_it_is_said_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "LIBRARY", "regorus_that_is_not_there")
    decision = decide("allow := true")
    assert decision.outcome is Outcome.UNDECIDED
    assert "pip install 'stemma-registry[rego]'" in decision.lines[0]
    with pytest.raises(Unavailable):
        local.mistake(rule("allow := true"))


def test_a_file_that_nobody_read_is_undecided() -> None:
    decision = local.decide(RegoRule(file="a.rego", digest=Digest.of(b"")), b"{}")
    assert decision.outcome is Outcome.UNDECIDED


# --- engines that are not what is relied on ---------------------------------------------------


class Changed:
    """The real engine, but for one answer."""

    def __init__(self, change: dict[str, str]) -> None:
        self._real = REAL()
        self._change = change

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def eval_query_as_json(self, query: str) -> str:
        text: str = self._real.eval_query_as_json(query)
        for old, new in self._change.items():
            text = text.replace(old, new)
        return text


class Lax(Changed):
    """Unknown functions are undefined, and `not` makes a yes of that."""

    def eval_query_as_json(self, query: str) -> str:
        try:
            return super().eval_query_as_json(query)
        except RuntimeError:
            return '{"result": [{"expressions": [{"value": true}]}]}'


class Blind(Changed):
    """What a module calls is not told."""

    def get_ast_as_json(self) -> str:
        text: str = self._real.get_ast_as_json()
        return text.replace('"Call"', '"Invocation"').replace('"with_mods"', '"mods"')


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: Changed({'"value": false': '"value": 0.0'}), "input.no"),
        (lambda: Changed({'"value": null': '"value": false'}), "input.none"),
        (lambda: Changed({'"value": 9007199254740991': '"value": 9007199254740992'}), "input.n"),
        (lambda: Changed({'"value": "true"': '"value": true'}), "input.text"),
        (lambda: Lax({}), "is no error"),
        (lambda: Blind({}), "is not refused"),
    ],
)
def test_an_engine_that_fails_its_self_test_is_not_used(
    make: Any, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = types.ModuleType("regorus")
    module.Engine = make  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "regorus", module)
    said = answer("allow := true")
    assert "self-test" in said["unusable"]
    assert told in said["unusable"]
    assert "allow" not in said


def test_an_engine_that_cannot_be_used_is_undecided(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other_regorus").mkdir()
    (tmp_path / "other_regorus/__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(local, "LIBRARY", "other_regorus")
    decision = decide("allow := true")
    assert decision.outcome is Outcome.UNDECIDED
    assert "the Rego engine: ModuleNotFoundError" in decision.lines[0]
