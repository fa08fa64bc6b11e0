"""Canonical JSON, RFC 8785: one value, one sequence of bytes."""

from __future__ import annotations

from typing import Any

import rfc8785

from stemma_attestations.errors import BadJSON


def dumps(value: Any) -> bytes:
    """The canonical UTF-8 bytes of a JSON value.

    Raises BadJSON for what has no such bytes: NaN, integers beyond 2**53 - 1,
    lone surrogates, keys that are not text.
    """
    try:
        return rfc8785.dumps(value)
    except (rfc8785.CanonicalizationError, UnicodeError, RecursionError) as error:
        raise BadJSON(f"no canonical JSON: {error}") from error
