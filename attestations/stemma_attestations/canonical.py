"""Canonical JSON, RFC 8785: one value, one sequence of bytes."""

from __future__ import annotations

import re
from typing import Any

import orjson
import rfc8785

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON

# A number of sixteen digits, which the strict reader may refuse as an integer.
_LONG = re.compile(rb"(?:^|[:\[,])-?\d{16,}(?:[,\]}]|$)")
# What a fast library writes is canonical for what `_is_plain` lets through: its escapes are
# those of RFC 8785, and keys in ASCII have one order. A test holds the two against each other.
_PLAIN = orjson.OPT_SORT_KEYS
_DEEP = 64


def dumps(value: Any) -> bytes:
    """The canonical UTF-8 bytes of a JSON value.

    Raises BadJSON for what has no such bytes: NaN, integers beyond 2**53 - 1,
    lone surrogates, keys that are not text.
    """
    try:
        if _is_plain(value):
            return orjson.dumps(value, option=_PLAIN)
        data: bytes = rfc8785.dumps(value)
    except (
        rfc8785.CanonicalizationError,
        orjson.JSONEncodeError,
        UnicodeError,
        RecursionError,
    ) as error:
        raise BadJSON(f"no canonical JSON: {error}") from error
    if _LONG.search(data):  # perhaps only inside a text: the reader knows
        json_strict.loads(data, max_bytes=len(data))
    return data


def _is_plain(value: Any) -> bool:
    """Whether it is of texts, small numbers and the like, under keys in ASCII, and not deep."""
    level = [value]
    for _ in range(_DEEP):
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is dict:
                if not all([type(key) is str and key.isascii() for key in one]):  # noqa: C419 - faster
                    return False
                below += one.values()
            elif kind is list or kind is tuple:
                below += one
            elif kind is int:
                if not -(10**15) < one < 10**15:
                    return False
            elif not (kind is str or kind is bool or one is None):
                return False
        # Texts are nearly all there is.
        level = [one for one in below if type(one) is not str]
        if not level:
            return True
    return False
