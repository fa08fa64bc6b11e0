"""One module and one input document, in a process of its own: what the child does.

A module can recurse until the engine crashes, and take all memory there is. So this runs
in a process without an environment, under limits, and whatever ends it is no allow.

The engine is asked in JSON text only: what it makes of Python values differs between builds
of it that all import as `regorus`. Before each use it has to pass a test of what is relied on.
"""

from __future__ import annotations

import json
import re
import sys
from importlib import import_module
from typing import Any

from stemma_registry.rego import functions

MAX_ANSWER = 1024 * 1024  # characters
_PACKAGE = re.compile(r"data(?:\.[A-Za-z_][A-Za-z0-9_]*)+\Z")
_ABSENT = object()
_PLACE = re.compile(r"--> [^\n]*?:([0-9]+):[0-9]+\n")
_REASON = re.compile(r"^error: (.+)$", re.MULTILINE)


class Unusable(Exception):
    """The engine is not what is relied on."""


class Faulty(Exception):
    """The module is not one that can be evaluated, or its evaluation failed."""


def main() -> None:
    """Answer the question on standard input, on standard output; JSON both."""
    question = json.load(sys.stdin)
    _limit(question["bytes"], question["seconds"])
    sys.stdout.write(answer(question["module"], question.get("input")))


def _limit(size: int, seconds: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (size, size))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))  # if the parent is gone
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def answer(module: str, document: str | None) -> str:
    """What the module says of a document, or only of itself; `wrong` or `unusable` else."""
    try:
        regorus = import_module("regorus")
        _self_test(regorus)
        said = json.dumps(_evaluate(regorus, module, document))
    except Unusable as error:
        return json.dumps({"unusable": str(error)})
    except Faulty as error:
        return json.dumps({"wrong": str(error)})
    except MemoryError:
        return json.dumps({"unusable": "there was not enough memory"})
    except BaseException as error:  # noqa: BLE001 - a panic of the engine is no Exception
        return json.dumps({"unusable": f"{type(error).__name__}: {error}"[:300]})
    if len(said) > MAX_ANSWER:
        return json.dumps({"wrong": f"its answer is longer than {MAX_ANSWER} characters"})
    return said


def _evaluate(regorus: Any, module: str, document: str | None) -> dict[str, Any]:
    engine, package = _loaded(regorus, module)
    said: dict[str, Any] = {"package": package}
    if document is None:
        return said
    _call(engine.set_input_json, document)
    for name in ("allow", "deny"):
        value = _value(engine, f"{package}.{name}")
        if value is not _ABSENT:
            said[name] = value
    return said


def _loaded(regorus: Any, module: str) -> tuple[Any, str]:
    """An engine with this module alone, which calls nothing that it may not."""
    engine = regorus.Engine()
    engine.set_gather_prints(True)
    package = _call(engine.add_policy, "module", module)
    if not isinstance(package, str) or not _PACKAGE.match(package):
        raise Faulty("the package of a module is a name, or names with dots")
    (tree,) = json.loads(_call(engine.get_ast_as_json))
    refused = functions.refused(tree["ast"], package)
    if refused:
        raise Faulty("; ".join(refused[:5]))
    if not functions.has_rule(tree["ast"], "allow"):
        raise Faulty(f"it has no rule `allow`, so that {package}.allow is never true")
    return engine, package


def _value(engine: Any, query: str) -> Any:
    """The one value of a query, or _ABSENT where it is undefined."""
    found = json.loads(_call(engine.eval_query_as_json, query))
    results = found.get("result", [])
    if not results:
        return _ABSENT
    if len(results) != 1 or len(results[0]["expressions"]) != 1:
        raise Faulty(f"{query} has several results")
    return results[0]["expressions"][0]["value"]


def _call(function: Any, *arguments: str) -> Any:
    try:
        return function(*arguments)
    except RuntimeError as error:
        raise Faulty(_told(str(error))) from error


def _told(text: str) -> str:
    """The engine's message in one line, without its stack."""
    reason, place = _REASON.search(text), _PLACE.search(text)
    said = reason.group(1) if reason else " ".join(text.split()) or "it failed"
    return f"line {place.group(1)}: {said:.300}" if place else f"{said:.300}"


# --- what is relied on ----------------------------------------------------------------------

_INPUT = '{"no": false, "n": 9007199254740991, "none": null, "text": "true"}'
_VALUES = {
    "allow := input.no": False,
    "default allow := false": False,
    "allow := input.missing": _ABSENT,
    "allow if input.no": _ABSENT,
    "allow if not input.missing": True,
    "allow := input.none": None,
    "allow := input.text": "true",
    "allow := input.n": 9007199254740991,
    "allow if input.n == 9007199254740990": _ABSENT,
    'allow := {"a", "a"}': ["a"],
    "allow := 0": 0,
}
_ERRORS = (
    "allow if not no.such_function(input)",
    "allow := 1 / 0",
    "allow := true\nallow := false",
)
_FORBIDDEN = (
    "allow if not http.send({}).x",
    "allow if { f(1) }\nf(x) := [y | y := opa.runtime()]",
    "allow if { every x in [1] { not rand.intn(input.text, x) } }",
    'allow := time["now_ns"]()',
    "allow if { g := http.send; not g({}) }",
    "allow if { input.n with input as {} }",
)


def _self_test(regorus: Any) -> None:
    """Raise Unusable unless false stays false, unknown functions fail, and so on."""
    for text, expected in _VALUES.items():
        engine = regorus.Engine()
        package = engine.add_policy("self-test", f"package self_test\n{text}\n")
        engine.set_input_json(_INPUT)
        found = _value(engine, f"{package}.allow")
        if type(found) is not type(expected) or found != expected:
            raise Unusable(f"it fails its self-test: `{text}` is {found!r:.40}")
    for text in _ERRORS:
        engine = regorus.Engine()
        try:
            package = engine.add_policy("self-test", f"package self_test\n{text}\n")
            engine.set_input_json(_INPUT)
            _value(engine, f"{package}.allow")
        except (RuntimeError, Faulty):
            continue
        raise Unusable(f"it fails its self-test: `{text}` is no error")
    for text in _FORBIDDEN:
        try:
            _loaded(regorus, f"package self_test\n{text}\n")
        except Faulty:
            continue
        raise Unusable(f"it fails its self-test: `{text}` is not refused")
