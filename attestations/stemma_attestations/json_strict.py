"""JSON that means one thing only.

Two parsers that read the same bytes differently are a way to sign one thing and
show another. This one refuses what parsers are known to disagree about:
duplicate keys, NaN and Infinity, lone surrogates, trailing data, a byte order
mark, integers beyond 2**53 - 1 (RFC 7493), nesting and size over a limit.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

from stemma_attestations.errors import BadJSON
from stemma_attestations.guarding import guarded

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 64
MAX_INTEGER = 2**53 - 1

# A string (skipped whole) or a bracket: enough to know the depth before parsing.
# An unterminated string is one token too: a regex that gave up on it would be quadratic.
_TOKEN = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|([\[{])|([\]}])', re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_LEVEL = bytes.maketrans(b"[]", b"{}")
_FLAT = bytes(sorted(set(range(256)) - set(b"[]{}")))
_QUOTED = bytes(sorted(set(range(256)) - set(b'[]{}"\\')))
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
# How a fast library writes canonically; it refuses integers beyond 2**53 - 1.
_WRITTEN = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER
_SHORT = 1024 * 1024  # bytes: writing a longer one again would double the memory that is taken


def loads(data: bytes, *, max_bytes: int = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """Parse UTF-8 JSON of at most `max_bytes`, nested at most `max_depth`. Raises BadJSON."""
    if len(data) > max_bytes:
        raise BadJSON(f"JSON of {len(data)} bytes, at most {max_bytes} are read")
    return guarded(lambda: _loads(data, max_depth), BadJSON)


def _loads(data: bytes, max_depth: int) -> Any:
    value = _plainly(data, max_depth)
    if value is not None:
        return value
    _check_depth(data, max_depth)
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJSON(f"not UTF-8 at byte {error.start}") from error
    if text.startswith("\ufeff"):
        raise BadJSON("a byte order mark before the JSON")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise BadJSON(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError as error:  # the depth check comes first; belt and braces
        raise BadJSON("nested too deeply") from error
    if b"\\" in data and _SURROGATE_ESCAPE.search(data):
        _check_surrogates(value)
    return value


def _plainly(data: bytes, max_depth: int = MAX_DEPTH) -> dict[str, Any] | None:
    """An object in exactly the bytes that are written for it: what we wrote ourselves, and fast.

    Two keys of one name, a lone surrogate, white space or an odd number would not come back as
    they were. None for anything that is not so, or may not be: that is read with care.
    """
    if data[:1] != b"{" or len(data) > _SHORT:
        return None
    try:
        value = orjson.loads(data)
        if orjson.dumps(value, option=_WRITTEN) != data:
            return None
    except (ValueError, TypeError):  # also where it is nested so deeply that nobody may read it
        return None
    return None if _is_odd(value, max_depth) else value


def _is_odd(value: Any, max_depth: int) -> bool:
    """Whether it is deeper than that, or has a number that is refused (`is_disguised_integer`)."""
    level = [value]
    for _ in range(max_depth):
        below: list[Any] = []
        for one in level:
            for item in one.values() if type(one) is dict else one:
                if type(item) is not str:  # as nearly all are
                    kind = type(item)
                    if kind is dict or kind is list:
                        below.append(item)
                    elif kind is float and is_disguised_integer(item):
                        return True
        if not below:
            return False
        level = below
    return True


def load_object(data: bytes, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Like `loads`, for documents that must be an object."""
    value = loads(data, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise BadJSON("expected a JSON object")
    return value


def _check_depth(data: bytes, max_depth: int) -> None:
    levels = data.translate(_LEVEL, _QUOTED)
    if levels.count(b"{") <= max_depth:
        return
    # Where nothing is escaped and no string has a bracket in it, quotes stand in pairs. One that
    # is left over says that a string was not what it seemed.
    plain = b"" if b"\\" in levels else levels.replace(b'""', b"")
    if plain and b'"' not in plain:
        levels = plain
    else:
        levels = _STRING.sub(b"", data).translate(_LEVEL, _FLAT)
    # Nothing is left, as a rule. The rest is for the careful walk, and for the parser.
    if _is_deep(levels, max_depth):
        _walk_depth(data, max_depth)


def _is_deep(levels: bytes, max_depth: int) -> bool:
    """Whether brackets are left when the innermost pairs were taken away so many times."""
    for _ in range(max_depth):
        if not levels:
            return False
        levels = levels.replace(b"{}", b"")
    return bool(levels)


def _walk_depth(data: bytes, max_depth: int) -> None:
    depth = 0
    for token in _TOKEN.finditer(data):
        if token.group(1):
            depth += 1
            if depth > max_depth:
                raise BadJSON(f"nested deeper than {max_depth}")
        elif token.group(2):
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise BadJSON(f"duplicate key {key!r:.80}")
            seen.add(key)
    return result


def _constant(text: str) -> Any:
    raise BadJSON(f"{text} is not JSON")


def _integer(text: str) -> int:
    # The length comes first: int() of a huge literal is slow, and then an error of its own.
    if len(text) > 17 or abs(int(text)) > MAX_INTEGER:
        raise BadJSON(f"integer {text[:20]} is beyond 2**53 - 1")
    return int(text)


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value) or is_disguised_integer(value):
        raise BadJSON(f"number {text[:20]} is out of range")
    return value


def is_disguised_integer(value: float) -> bool:
    """Whether canonical JSON would write the number as an integer that is refused here."""
    return MAX_INTEGER < abs(value) < 1e21


def _check_surrogates(value: Any) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            try:
                item.encode("utf-8")
            except UnicodeEncodeError as error:
                raise BadJSON("a lone surrogate in a string") from error
        elif isinstance(item, dict):
            stack.extend(item.keys())
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


# Made once: for a small document making it costs as much as using it.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_constant=_constant,
    parse_int=_integer,
    parse_float=_float,
)
