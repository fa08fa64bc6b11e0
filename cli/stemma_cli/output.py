"""Printing: one JSON document, or lines for people."""

from __future__ import annotations

import json
import math
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

import click

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


def mark(outcome: str) -> str:
    """The sign of a step, in what the terminal can show."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower()
    fancy, ascii_ = _MARKS[outcome]
    return fancy if encoding.startswith("utf") else ascii_


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print columns as wide as their cells, the last one unpadded."""
    cells = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *cells, strict=True)]
    for row in [list(headers), *cells]:
        padded = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def size(count: int) -> str:
    """Bytes for people."""
    if count < 1000:
        return f"{count} B"
    steps = min(int(math.log10(count)) // 3, 5)
    return f"{count / 1000**steps:.1f} {'kMGTP'[steps - 1]}B"


def _printable(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Zl", "Zp", "Cs")
