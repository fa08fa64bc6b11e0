"""Printing: one JSON document, or lines for people."""

from __future__ import annotations

import itertools
import json
import math
import os
import sys
import textwrap
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

_NARROWEST = 5  # columns of a table that is made to fit
_MARKS = {"passed": ("✓", "ok"), "failed": ("✗", "NO"), "undecided": ("?", "??")}


def document(value: Any) -> None:
    """Print one JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def line(text: str = "") -> None:
    """Print one line for people."""
    click.echo(plain(text))


def note(text: str) -> None:
    """Print one line on stderr."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """`text` without what could steer a terminal, or begin a line of its own.

    Names and reasons come from anywhere: a line of theirs could read like a verdict.
    """
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    safe = "".join(c if _printable(c) else f"\\u{ord(c):04x}" for c in text)
    return safe.encode(encoding, "backslashreplace").decode(encoding)


def count(number: int, one: str, many: str = "") -> str:
    """How many there are, in words: `1 record`, `2 records`."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def mark(outcome: str) -> str:
    """The sign of a step, in what the terminal can show."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    fancy, ascii_ = _MARKS[outcome]
    return fancy if encoding.startswith("utf") else ascii_


def table(
    headers: Sequence[str], rows: Iterable[Sequence[str]], columns: int | None = None
) -> None:
    """Print columns as wide as their cells, the last one unpadded.

    On a terminal (or in so many `columns`) a cell that is too wide goes on below itself: nothing
    is cut off.
    """
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    _narrow(widths, _columns() if columns is None else columns)
    for row in [list(headers), *cells]:
        wrapped = [_wrap(cell, width) for cell, width in zip(row, widths, strict=True)]
        for parts in itertools.zip_longest(*wrapped, fillvalue=""):
            padded = [part.ljust(width) for part, width in zip(parts, widths, strict=True)]
            click.echo("  ".join(padded).rstrip())


def _columns() -> int:
    """How wide the terminal is; without one, as wide as anything."""
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or sys.maxsize
    except (OSError, ValueError, AttributeError):
        return sys.maxsize


def _narrow(widths: list[int], columns: int) -> None:
    """Take from the widest column until all fit, or none has anything left to give."""
    while sum(widths) + 2 * (len(widths) - 1) > columns and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1


def _wrap(cell: str, width: int) -> list[str]:
    return textwrap.wrap(cell, width) if len(cell) > width else [cell]


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    steps = min(int(math.log10(count)) // 3, 5)
    return f"{count / 1000**steps:.1f} {'kMGTP'[steps - 1]}B"


def _printable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
