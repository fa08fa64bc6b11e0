"""Canonical JSON, RFC 8785: one value, one sequence of bytes."""

from __future__ import annotations

import re
from typing import Any

import rfc8785

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON

# A number of sixteen digits, which the strict reader may refuse as an integer.
_LONG = re.compile(rb"(?:^|[:\[,])-?\d{16,}(?:[,\]}]|$)")


def dumps(value: Any) -> bytes:
    """The canonical UTF-8 bytes of a JSON value.

    Raises BadJSON for what has no such bytes: NaN, integers beyond 2**53 - 1,
    lone surrogates, keys that are not text.
    """
    try:
        data: bytes = rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise BadJSON(f"no canonical JSON: {error}") from error
    if _LONG.search(data):  # perhaps only inside a text: the reader knows
        json_strict.loads(data, max_bytes=len(data))
    return data
