"""RFC 3339 times in UTC. The clock itself is the caller's."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

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
