"""Timing two things in turn, so that a drifting machine does not decide the ratio."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Medians in seconds, and the median, lowest and highest of the pairwise ratios."""

    what: str
    ours: float
    floor: float
    ratio: float
    low: float
    high: float

    def line(self) -> str:
        """A line of the report."""
        return (
            f"{self.what:<52} {self.ours * 1000:>9.1f} ms {self.floor * 1000:>9.1f} ms "
            f"{self.ratio:>6.2f} x  ({self.low:.2f} to {self.high:.2f})"
        )


HEADER = f"{'WHAT':<52} {'OURS':>12} {'FLOOR':>12} {'RATIO':>8}  (LOWEST, HIGHEST)"


def pair(what: str, ours: Callable[[], float], floor: Callable[[], float], runs: int = 7) -> Ratio:
    """Run both in turn, once to warm up and then `runs` times; each returns its seconds."""
    ours(), floor()
    times = [(ours(), floor()) for _ in range(runs)]
    ratios = [a / b for a, b in times]
    return Ratio(
        what,
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


def wall(work: Callable[[], object]) -> Callable[[], float]:
    """Wall time of a call."""

    def run() -> float:
        start = time.perf_counter()
        work()
        return time.perf_counter() - start

    return run


def process(
    arguments: Sequence[str], user: bool = False, cwd: str | None = None
) -> Callable[[], float]:
    """Wall (or user CPU) time of `python ARGUMENTS` as a whole process."""
    command = [sys.executable, *arguments]
    # As an installed program is: compiled already.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}

    def run() -> float:
        before = os.times()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=cwd, env=environment)
        after = os.times()
        if user:
            return max(after.children_user - before.children_user, 0.005)
        return after.elapsed - before.elapsed

    return run
