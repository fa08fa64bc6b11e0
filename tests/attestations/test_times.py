"""RFC 3339 times."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.errors import Malformed
from stemma_attestations.times import format_time, parse_time
from tests.building import examples

NOON = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-31T12:00:00Z", NOON),
        ("2026-01-31t12:00:00z", NOON),
        ("2026-01-31T12:00:00+00:00", NOON),
        ("2026-01-31T14:30:00+02:30", NOON),
        ("2026-01-30T23:00:00-13:00", NOON),
        ("2026-01-31T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2026-01-31T12:00:00.123456Z", NOON + timedelta(microseconds=123456)),
        ("2024-02-29T00:00:00Z", datetime(2024, 2, 29, tzinfo=UTC)),
    ],
)
def test_read(text: str, time: datetime) -> None:
    assert parse_time(text) == time
    assert parse_time(text).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2026-01-31", "12:00:00Z", "20260131T120000Z", "2026-01-31T12:00Z"),
        *("2026-01-31T12:00:00", "2026-01-31 12:00:00Z", "2026-01-31T12:00:00 Z"),
        *("2026-01-31T12:00:00Z\n", " 2026-01-31T12:00:00Z", "2026-1-31T12:00:00Z"),
        *("2026-02-29T00:00:00Z", "2026-13-01T00:00:00Z", "2026-00-01T00:00:00Z"),
        *("2026-01-31T25:00:00Z", "2026-01-31T12:60:00Z", "2026-01-31T12:00:61Z"),
        *("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "-2026-01-31T12:00:00Z"),
        *("2026-01-31T12:00:00+25:00", "2026-01-31T12:00:00+0200", "2026-01-31T12:00:00.Z"),
        *("0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00", "2026-W05-6T12:00:00Z"),
        *("2026-01-31T12:00:00,5Z", "２０２６-01-31T12:00:00Z", "2026-01-31T12:00:00.1234567890Z"),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(Malformed):
        parse_time(text)


@examples(200)
@given(
    st.datetimes(min_value=datetime(1000, 1, 2), max_value=datetime(9999, 12, 30)),
    st.integers(-14 * 60, 14 * 60),
)
def test_parse_is_the_inverse_of_format_to_the_second(naive: datetime, offset: int) -> None:
    zone = timezone(timedelta(minutes=offset))
    time = naive.replace(tzinfo=UTC).astimezone(zone)
    assert parse_time(format_time(time)) == time.replace(microsecond=0)
    assert format_time(time).endswith("Z")


@examples(300)
@given(st.text(alphabet="0123456789-:TtZz+. ", max_size=32))
def test_no_text_raises_anything_but_malformed(text: str) -> None:
    try:
        assert parse_time(text).tzinfo is UTC
    except Malformed:
        pass
