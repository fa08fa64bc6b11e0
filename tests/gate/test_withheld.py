"""A quarantine that somebody withholds: the feed that is read, the ledger, or both are old."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gate import cells
from tests.gate.desk import GOOD, Desk

YOUNG = (*GOOD, "--max-age", "10m")
OLD = (*GOOD, "--max-age", "2s")


@pytest.fixture
def withheld(desk: Desk) -> Callable[[str], None]:
    """`withheld("feed")`, `withheld("ledger")` or both show the gate what was before the stop.

    The mirror that the gate reads has the stop; `before` is everything as it was.
    """
    cells.feed(desk)
    before, mirror = desk.folder / "before", desk.work / "mirror"
    shutil.copytree(desk.store, before)
    shutil.copytree(desk.home, desk.folder / "home-before")
    began = time.monotonic()
    cells.quarantined(desk)
    replace(desk.store / "status" / "feed", mirror)

    def show(what: str) -> None:
        if "feed" in what:
            replace(before / "status" / "feed", mirror)
        if "ledger" in what:
            shutil.rmtree(desk.store)
            shutil.copytree(before, desk.store)
        if "fresh" in what:  # a machine that has seen nothing of the stop
            shutil.rmtree(desk.home)
            shutil.copytree(desk.folder / "home-before", desk.home)
        if "late" in what:
            time.sleep(max(0.0, 2.2 - (time.monotonic() - began)))

    return show


def replace(source: Path, target: Path) -> None:
    shutil.rmtree(target)
    shutil.copytree(source, target)


def test_nothing_is_withheld(desk: Desk, withheld: Callable[[str], None]) -> None:
    told = desk.ask(*YOUNG)
    assert (told.code, told.outcome(9)) == (11, "failed")


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("ledger, fresh", "withheld, or not here yet"),
        ("feed, ledger, fresh, late", "at most"),
        ("feed, ledger, late", "ledger"),
    ],
)
def test_a_no_that_nobody_can_decide(
    desk: Desk, withheld: Callable[[str], None], what: str, said: str
) -> None:
    withheld(what)
    told = desk.ask(*(OLD if "late" in what else YOUNG))
    assert told.code == 14, told
    assert said in told.reason
    if told.steps:
        assert told.outcome(9) == "undecided"


def test_until_then_nobody_can_know(desk: Desk, withheld: Callable[[str], None]) -> None:
    """What `--max-age` promises, and no more: on a machine that has never seen the stop."""
    withheld("feed, ledger, fresh")
    assert desk.ask(*YOUNG).code == 0


def test_a_machine_that_has_seen_the_newer_feed(
    desk: Desk, withheld: Callable[[str], None]
) -> None:
    """The feed goes back to its older version, whatever its age; the ledger still has the stop."""
    assert desk.ask(*YOUNG).code == 11
    withheld("feed")
    assert desk.ask(*YOUNG).code == 11, "what is known is not forgotten with the feed"
    pins = desk.folder / "pins"
    shutil.copytree(desk.home, pins)
    withheld("ledger, fresh")
    # The older ledger and feed, and of the true ones only what the machine keeps of the feed.
    (kept,) = pins.rglob("seen-head.json")
    shutil.rmtree((desk.home / kept.relative_to(pins)).parent)
    shutil.copytree(kept.parent, (desk.home / kept.relative_to(pins)).parent)
    told = desk.ask(*YOUNG)
    assert (told.code, told.outcome(9)) == (14, "undecided")
