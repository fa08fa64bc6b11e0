"""RFC 3339 times in UTC. The clock itself is the caller's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed

_RFC3339 = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt]\d{2}:\d{2}:\d{2}(?:\.\d{1,9})?(?:[Zz]|[+-]\d{2}:\d{2})\Z"
)


@dataclass(frozen=True, order=True)
class Dated:
    """That a signature existed at `time`, as a log or a timestamp authority says.

    `root` is the digest of the Sigstore trusted root that vouches for those. Whether
    that root is believed about time is asked of a trust root.
    """

    time: datetime
    root: Digest


# What is proven about one signature; nothing where no time is.
Times = Sequence[Dated]


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


_DURATION = re.compile(r"([0-9]{1,9})([smhd])\Z")
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(text: str) -> timedelta:
    """A length of time from `90s`, `15m`, `12h` or `7d`. Raises Malformed."""
    match = _DURATION.match(text)
    if match is None:
        raise Malformed(f"{text!r:.40} is not a length of time (90s, 15m, 12h, 7d)")
    return timedelta(seconds=int(match[1]) * _UNITS[match[2]])


def format_duration(length: timedelta) -> str:
    """The same for people, in the largest unit that gives at least two."""
    seconds = int(length.total_seconds())
    for unit in ("d", "h", "m"):
        if abs(seconds) >= 2 * _UNITS[unit]:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


@dataclass(frozen=True)
class Window:
    """From `start` (inside) to `end` (not inside); None is open."""

    start: datetime | None = None
    end: datetime | None = None

    def holds(self, time: datetime | None) -> bool:
        """Whether a signature of that proven time is inside; one without any time is."""
        if time is None:
            return True
        after = self.start is None or self.start <= time
        return after and (self.end is None or time < self.end)
