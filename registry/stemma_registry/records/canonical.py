"""The canonical form of a record, version 1: one value at a time. See docs/formats/record-index.md.

The same record has the same form whatever format, column order or type it was kept in.
`columns` does the same for whole columns of Arrow; a test holds one against the other.
"""

from __future__ import annotations

import base64
import functools
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

VERSION = "1"
MAX_NUMBER = 64  # characters of a literal; a longer one is a text
MAX_PLAIN = 40  # characters of a number that is written without an exponent
MAX_NESTED = 1024 * 1024  # characters of a text that is looked at as JSON
MAX_DEPTH = 64  # of nested values
# What a row has that is no data: the index that pandas writes into Parquet and, nameless, CSV.
NO_DATA = frozenset({"", "__index_level_0__"})
# First characters of texts that may stand for something else, and how long those can be.
SPECIAL = {
    **dict.fromkeys("-0123456789", MAX_NUMBER),
    **dict.fromkeys("tTfF", 5),
    **dict.fromkeys("nN", 3),
    **dict.fromkeys("iI", 8),
    **dict.fromkeys("{[", MAX_NESTED),
}
_WORDS = {
    **dict.fromkeys(("nan", "NaN"), None),
    **dict.fromkeys(("true", "True", "TRUE"), "true"),
    **dict.fromkeys(("false", "False", "FALSE"), "false"),
    **dict.fromkeys(("inf", "Infinity"), "inf"),
    **dict.fromkeys(("-inf", "-Infinity"), "-inf"),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?\Z")
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[T ]([0-9]{2}:[0-9]{2}:[0-9]{2})"
    r"(?:\.([0-9]{1,9}))?(Z|[+-][0-9]{2}:?[0-9]{2})?\Z"
)
_TIME = re.compile(r"([0-9]{2}:[0-9]{2}:[0-9]{2})\.([0-9]{1,9})\Z")
_MIDNIGHT = "00:00:00"


class TooDeep(ValueError):
    """A value that is nested deeper than a record may be."""


class Literal(str):
    """A number as it was written."""

    __slots__ = ()


def record(row: Mapping[str, Any], fields: Iterable[str] | None = None) -> bytes:
    """A record's canonical bytes; empty where it holds nothing. `fields`: of these alone."""
    found = {}
    for name, item in row.items():
        if name not in NO_DATA and (said := value(item)) is not None:
            found[normal(name)] = said
    if fields is not None:
        wanted = {normal(name) for name in fields}
        found = {name: said for name, said in found.items() if name in wanted}
    named = sorted((name.encode(), said.encode()) for name, said in found.items())
    return b"".join(piece(name) + piece(said) for name, said in named)


def piece(data: bytes) -> bytes:
    """Bytes behind their length."""
    return b"%d:%b" % (len(data), data)


def normal(text: str) -> str:
    """Unicode in normal form C, lone surrogates replaced."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return unicodedata.normalize("NFC", text)


def value(item: Any, depth: int = 0) -> str | None:
    """The canonical text of a value, None where it says nothing. Raises TooDeep, TypeError."""
    if item is None or isinstance(item, bool):
        return None if item is None else "true" if item else "false"
    if isinstance(item, Literal):
        return number(item)
    if isinstance(item, str):
        return text(item, depth)
    if isinstance(item, int):
        return number(str(item)) if abs(item) < 10**MAX_NUMBER else format(Decimal(item), "f")
    if isinstance(item, float):
        return floating(repr(item))
    if isinstance(item, bytes | bytearray | memoryview):
        return binary(bytes(item), depth)
    if isinstance(item, dict | list | tuple):
        inner = _inner(item, depth)
        return None if inner is None else _dump(inner)
    return _other(item)


def _other(item: Any) -> str | None:
    if isinstance(item, Decimal):
        return number(format(item, "f")) if item.is_finite() else floating(str(item).lower())
    if isinstance(item, datetime):
        return moment(item.isoformat()) or item.isoformat()
    if isinstance(item, date):
        return item.isoformat()
    if isinstance(item, time):
        return clock(item.isoformat())
    if isinstance(item, timedelta):
        micros = (item.days * 86_400 + item.seconds) * 1_000_000 + item.microseconds
        return number(format(Decimal(micros).scaleb(-6), "f"))
    raise TypeError(f"a value of type {type(item).__name__}")


def text(item: str, depth: int = 0) -> str | None:
    """The canonical form of a text: of the number, time or JSON that it may be, else itself."""
    item = normal(item)
    if not item:
        return None
    room = SPECIAL.get(item[0], 0)
    if len(item) > room:
        return item
    if item in _WORDS:
        return _WORDS[item]
    if room == MAX_NUMBER:
        return _numeric(item)
    if room == MAX_NESTED and item[-1] in "}]":
        return _nested_text(item, depth)
    return item


@functools.lru_cache(maxsize=4_096)
def _numeric(item: str) -> str:
    """A text that begins as a number does."""
    if _NUMBER.match(item):
        return number(item)
    return moment(item) or clock(item)


def number(literal: str) -> str:
    """The canonical form of a number in JSON's grammar: exact, of the shortest kind."""
    if len(literal) > MAX_NUMBER:
        return literal
    try:
        sign, digits, exponent = Decimal(literal).as_tuple()
    except InvalidOperation:  # an exponent beyond all reason
        return literal
    shown = "".join(map(str, digits)).lstrip("0")
    bare = shown.rstrip("0")
    if not bare or not isinstance(exponent, int):
        return "0"
    exponent += len(shown) - len(bare)
    if exponent >= 0:
        plain = bare + "0" * exponent if len(bare) + exponent <= MAX_PLAIN else ""
    elif len(bare) > -exponent:
        plain = f"{bare[:exponent]}.{bare[exponent:]}"
    else:
        plain = f"0.{'0' * (-exponent - len(bare))}{bare}" if -exponent + 2 <= MAX_PLAIN else ""
    if not plain or len(plain) > MAX_PLAIN:
        plain = f"{bare}e{exponent}"
    return f"-{plain}" if sign else plain


def floating(shortest: str) -> str | None:
    """A float by its shortest decimal that reads back as the same; NaN says nothing."""
    if shortest in {"nan", "-nan"}:
        return None
    return shortest if shortest in {"inf", "-inf"} else number(shortest)


def binary(item: bytes, depth: int = 0) -> str | None:
    """Bytes that are UTF-8 are that text, others their base64."""
    try:
        return text(item.decode(), depth)
    except UnicodeDecodeError:
        return base64.b64encode(item).decode()


def moment(item: str) -> str:
    """A date with a time: in UTC where an offset is given; midnight without one is the date."""
    match = _MOMENT.match(item)
    if match is None:
        return ""
    day, clock_time, fraction, offset = match.groups()
    try:
        base = datetime.fromisoformat(f"{day}T{clock_time}{offset or ''}")
        if offset:
            base = base.astimezone(UTC)
    except (ValueError, OverflowError):
        return ""
    rest = (fraction or "").rstrip("0")
    if not offset and not rest and clock_time == _MIDNIGHT:
        return day
    shown = base.strftime("%H:%M:%S") + (f".{rest}" if rest else "")
    return f"{base.date().isoformat()}T{shown}{'Z' if offset else ''}"


def clock(item: str) -> str:
    """A time of day without zeros at its end; any other text as it is."""
    match = _TIME.match(item)
    if match is None:
        return item
    rest = match[2].rstrip("0")
    return f"{match[1]}.{rest}" if rest else match[1]


def _inner(item: Any, depth: int) -> Any:
    """A nested value as JSON of texts, without members that say nothing."""
    if depth >= MAX_DEPTH:
        raise TooDeep(f"values are nested more than {MAX_DEPTH} deep")
    if isinstance(item, dict):
        members = ((normal(str(k)), _inner(v, depth + 1)) for k, v in item.items())
        return {name: inner for name, inner in members if inner is not None} or None
    if isinstance(item, list | tuple):
        return [_inner(one, depth + 1) for one in item]
    return value(item, depth + 1)


def _dump(inner: Any) -> str:
    return json.dumps(inner, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _nested_text(item: str, depth: int) -> str | None:
    """A text that may be JSON: an object or a list is what it says."""
    if depth:
        return item
    try:
        read = load(item)
        inner = _inner(read, depth) if isinstance(read, dict | list) else item
    except (ValueError, RecursionError):
        return item
    return None if inner is None else inner if isinstance(inner, str) else _dump(inner)


def load(raw: str) -> Any:
    """JSON with its numbers as they were written. Raises ValueError, RecursionError."""
    return _DECODER.decode(raw)


_DECODER = json.JSONDecoder(parse_int=Literal, parse_float=Literal, parse_constant=float)
