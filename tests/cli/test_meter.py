"""The line that says how far a transfer is."""

from __future__ import annotations

import pytest

from stemma_cli.meter import Meter


def test_nothing_is_shown_for_what_is_over_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    meter = Meter("hashing", lambda: now)
    meter.expect(10)
    meter(10)
    now = 0.9
    meter(1)
    meter.clear()
    assert capsys.readouterr().err == ""


def test_bytes_rate_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    now = 0.0
    meter = Meter("storing", lambda: now)
    meter.expect(4_000_000_000)
    for now in (1.5, 1.6, 2.0):  # noqa: B007 - the meter's clock reads it
        meter(500_000_000)
    shown = capsys.readouterr().err
    assert shown.count("\r") == 2, "not more often than every fifth of a second"
    assert "storing 1.5 GB of 4.0 GB, 750.0 MB/s, 0:03 left" in shown
    meter.clear()
    last = capsys.readouterr().err
    assert last.strip(" \r") == ""


def test_more_than_was_expected_has_no_time_left() -> None:
    meter = Meter("reading", lambda: 0.0)
    meter.expect(5)
    meter(10)
    assert "left" not in meter.line(2.0)


@pytest.mark.parametrize(("left", "text"), [(59, "0:59"), (61, "1:01"), (3661, "1:01:01")])
def test_the_time_left_is_a_clock(left: int, text: str) -> None:
    meter = Meter("x", lambda: 0.0)
    meter.expect(1 + left)
    meter(1)
    assert meter.line(1.0).endswith(f"{text} left")
