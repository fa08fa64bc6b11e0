"""Searching bytes for words: bounded, and no more than that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from stemma_registry.formats.findings import Budget
from stemma_registry.formats.sources import Source

PIECE = 1024**2
OVERLAP = 4096
_ESCAPE = re.compile(rb"\\u00([0-7][0-9a-fA-F])")


def pieces(budget: Budget, source: Source) -> Iterator[bytes]:
    """All of the source, in pieces that overlap. Raises Stop where that is too much."""
    position = 0
    while position < source.size:
        start = max(0, position - OVERLAP)
        data = source.read_at(start, PIECE + OVERLAP)
        budget.spend("searched", len(data))
        yield data
        position = start + len(data)


def search(budget: Budget, source: Source, words: Sequence[bytes]) -> list[bytes]:
    """Which of the words are somewhere in the source, in their order."""
    left = dict.fromkeys(words)
    found = set()
    for data in pieces(budget, source):
        found |= {word for word in left if word in data}
    return [word for word in words if word in found]


def unescaped(data: bytes) -> bytes:
    r"""JSON text with `\u00XX` of ASCII resolved, so that a word cannot hide behind it."""
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), data)
