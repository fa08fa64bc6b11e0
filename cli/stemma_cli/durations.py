"""Options that are a length of time."""

from __future__ import annotations

from datetime import timedelta


def given(text: str | None) -> timedelta | None:
    """`90s`, `15m`, `12h` or `7d`; None where the option was left out.

    An empty text is no option that was left out: it is what `--max-age "$AGE"` becomes
    where AGE is not set, and must not lift a limit. Raises Malformed.
    """
    from stemma_attestations.times import parse_duration

    return parse_duration(text) if text is not None else None
