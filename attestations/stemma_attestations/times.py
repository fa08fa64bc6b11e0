"""RFC 3339 times in UTC. The clock itself is the caller's."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from stemma_attestations.errors import Malformed

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})\Z"
)


def parse_time(text: str) -> datetime:
    """An aware UTC time from RFC 3339 text. Raises Malformed."""
    if not _RFC3339.match(text):
        raise Malformed(f"{text!r:.40} is not an RFC 3339 time (2026-01-31T12:00:00Z)")
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise Malformed(f"{text!r:.40} is not a time that exists") from error


def format_time(time: datetime) -> str:
    """`time` as RFC 3339 in UTC, to the second."""
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
