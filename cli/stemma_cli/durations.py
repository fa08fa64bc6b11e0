"""Options that are a length of time, or a window of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from stemma_attestations.times import Window

OPEN = "-"


def given(text: str | None) -> timedelta | None:
    """`90s`, `15m`, `12h` or `7d`; None where the option was left out.

    An empty text is no option that was left out: it is what `--max-age "$AGE"` becomes
    where AGE is not set, and must not lift a limit. Raises Malformed.
    """
    from stemma_attestations.times import parse_duration

    return parse_duration(text) if text is not None else None


def window(between: tuple[str, str] | None) -> Window:
    """The window of `--between`: dates or times, the second not inside, `-` for no end.

    Raises UsageError.
    """
    from stemma_attestations.times import Window

    start, end = (_time(text) for text in between or (OPEN, OPEN))
    if start is not None and end is not None and start >= end:
        raise click.UsageError("--between takes the earlier time first")
    return Window(start, end)


def _time(text: str) -> datetime | None:
    from stemma_attestations.errors import Malformed
    from stemma_attestations.times import parse_time

    if text == OPEN:
        return None
    try:
        return parse_time(f"{text}T00:00:00Z" if len(text) == len("2027-01-31") else text)
    except Malformed as error:
        raise click.UsageError(
            f"--between {text!r:.40} is no time (2027-01-31, 2027-01-31T12:00:00Z, -)"
        ) from error
