"""Mutations that know the formats: without them no changed byte gets past JSON and base64.

A mutation is a function of the bytes and a seed, so a run can be made again.
"""

from __future__ import annotations

import base64
import binascii
import json
import random
from typing import Any

MAX_BYTES = 64 * 1024
_WORDS: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2**31, 2**53 - 1, 2**53, 1.5, 1e22, "", "0", "*", "**", ".."),
    *([], {}, [[]], {"": None}, "\u0000", "\ud800", "\u202e", "\u00e9", "e\u0301", "a" * 300),
    *("sha256", "sha1", "0" * 64, "0" * 40, "A" * 64, "https://in-toto.io/Statement/v1", "AA=="),
    *("2026-01-01T00:00:00Z", "9999-12-31T23:59:60Z", "0001-01-01T00:00:00+23:59", "\u0661"),
)


def mutate(data: bytes, seed: int, max_bytes: int = MAX_BYTES) -> bytes:
    """Other bytes, not far away."""
    chance = random.Random(seed)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        data = _once(data, chance)
    return data[:max_bytes]


def _once(data: bytes, chance: random.Random) -> bytes:
    if chance.random() < 0.75:
        try:
            changed = _value(json.loads(data), chance)
            if chance.random() < 0.2:
                return json.dumps(changed).encode()
            # As near to the canonical form as Python comes: only that is read as a manifest.
            text = json.dumps(changed, separators=(",", ":"), sort_keys=True, ensure_ascii=False)
            return text.encode()
        except (ValueError, OverflowError, TypeError, RecursionError):  # it is no JSON, or not now
            pass
    return _bytes(data, chance)


def _bytes(data: bytes, chance: random.Random) -> bytes:
    at, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    end = min(end, at + 40)
    kind = chance.randrange(6)
    if kind == 0 and data:
        at = min(at, len(data) - 1)
        return data[:at] + bytes([data[at] ^ (1 << chance.randrange(8))]) + data[at + 1 :]
    if kind == 1:
        return data[:at] + data[end:]
    if kind == 2:
        return data[:end] + data[at:end] * chance.choice((1, 1, 50)) + data[end:]
    if kind == 3:
        words = (
            b'"',
            b"\\u0061",
            b"[" * 70,
            b"\xff",
            b"\n",
            b" ",
            b"1e309",
            b"&a *a",
            b"\0",
            b"- ",
        )
        return data[:at] + chance.choice(words) + data[at:]
    if kind == 4:
        return data[:at]
    lines = data.split(b"\n")
    chance.shuffle(lines)
    return b"\n".join(lines)


def _value(value: Any, chance: random.Random) -> Any:
    """A JSON value with one place in it changed."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        kind = chance.randrange(12)
        if kind == 0:
            return {k: v for k, v in value.items() if k != key}
        if kind == 1:
            return {**value, chance.choice(("x", "", key + "_", key.upper())): value[key]}
        if kind == 2:
            return {**value, key: value[chance.choice(list(value))]}
        return {**value, key: _value(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.9:
        at, kind = chance.randrange(len(value)), chance.randrange(8)
        if kind == 0:
            return value[:at] + value[at + 1 :]
        if kind == 1:
            return value + [value[at]] * chance.choice((1, 1, 30))
        if kind == 2:
            return value[::-1]
        return [*value[:at], _value(value[at], chance), *value[at + 1 :]]
    if isinstance(value, str) and value and chance.random() < 0.7:
        return _text(value, chance)
    if type(value) is int and chance.random() < 0.7:
        return chance.choice((value + 1, value - 1, -value, value * 1000, float(value), str(value)))
    return chance.choice(_WORDS)


def _text(value: str, chance: random.Random) -> str:
    if len(value) >= 16 and chance.random() < 0.6:
        try:
            inside = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            pass
        else:
            return base64.b64encode(_once(inside, chance)).decode()
    at = chance.randrange(len(value))
    words = ("0", "A", "/", "../", "\u0130", " ", "\n", "", ":", "\u200b", ".git/", "con", "=", "-")
    return value[:at] + chance.choice(words) + value[at + chance.randrange(2) :]
