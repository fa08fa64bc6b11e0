"""Which functions a module may call: those whose answer depends on nothing but their arguments.

The engine has a few that do not (the clock, chance, the machine), and an `http.send` that
sends nothing and is undefined, so that `not http.send(...)` would hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_GROUPS = {
    "": "abs ceil concat contains count endswith floor format_int indexof indexof_n intersection "
    "is_array is_boolean is_null is_number is_object is_set is_string lower max min print product "
    "replace round sort split sprintf startswith substring sum to_number trim trim_left "
    "trim_prefix trim_right trim_space trim_suffix type_name union upper walk",
    "array": "concat reverse slice",
    "base64": "decode encode is_valid",
    "base64url": "decode encode encode_no_pad",
    "bits": "and lsh negate or rsh xor",
    "glob": "match quote_meta",
    "graph": "reachable reachable_paths",
    "hex": "decode encode",
    "json": "filter is_valid marshal patch remove unmarshal",
    "net": "cidr_contains cidr_expand cidr_is_valid",
    "numbers": "range range_step",
    "object": "filter get keys remove subset union union_n",
    "regex": "find_all_string_submatch_n find_n is_valid match replace split template_match",
    "semver": "compare is_valid",
    "strings": "any_prefix_match any_suffix_match count replace_n reverse",
    "time": "add_date clock date diff format parse_duration_ns parse_ns parse_rfc3339_ns weekday",
    "units": "parse parse_bytes",
    "urlquery": "decode decode_object encode encode_object",
    "uuid": "parse",
    "yaml": "is_valid marshal unmarshal",
}
PURE = frozenset(
    f"{group}.{name}" if group else name
    for group, names in _GROUPS.items()
    for name in names.split()
)


def refused(ast: Any, package: str) -> list[str]:
    """Where a module calls what it may not, a line each; `ast` is what the engine reads in it."""
    own = {f"{prefix}{name}" for name in _functions(ast) for prefix in ("", f"{package}.")}
    lines: list[tuple[int, str]] = []
    for call in _found(ast, "Call"):
        name = _dotted(call["fcn"])
        if name not in PURE and name not in own:
            what = "what is called here" if name is None else f"{name:.80}"
            lines.append((_line(call), f"{what} is no function that a policy may call"))
    for mocks in _found(ast, "with_mods"):
        lines += [(_line(one), "`with` is for tests, and refused") for one in mocks]
    return [f"line {line}: {text}" for line, text in sorted(lines)]


def has_rule(ast: Any, name: str) -> bool:
    """Whether the module has a rule of that name that is one value, and no set."""
    heads = [*_found(ast, "Compr"), *_found(ast, "Default")]
    return any("refr" in head and _dotted(head["refr"]) == name for head in heads)


def _line(node: Any) -> int:
    return int(node["span"]["line"])


def _found(node: Any, key: str) -> Iterator[Any]:
    """Every value of a field of that name, wherever it is."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if key in one:
                yield one[key]
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _functions(ast: Any) -> set[str]:
    """The functions that the module itself has."""
    names = {_dotted(one["refr"]) for one in _found(ast, "Func")}
    return {name for name in names if name is not None}


def _dotted(node: Any) -> str | None:
    """`time.now_ns` for a reference; None for one that is computed."""
    parts: list[str] = []
    while True:
        ((kind, inner),) = node.items()
        if kind == "Var":
            return ".".join([str(inner["value"]), *reversed(parts)])
        if kind == "RefDot":
            parts.append(str(inner["field"][1]))
        elif kind == "RefBrack" and "String" in inner["index"]:
            parts.append(str(inner["index"]["String"]["value"]))
        else:
            return None
        node = inner["refr"]
