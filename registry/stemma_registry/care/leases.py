"""How long a deletion may last, on clocks that nobody has to set.

Whoever deletes starts a lease before the entry that allows it is appended, and
stops early. Whoever needs one of the blobs waits for a whole lease after having
seen that entry: by then no deletion of it is under way. Both measure time that
passes, so it does not matter what time it is on either machine.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from stemma_registry.config import LIMITS


def elapsed() -> float:
    """Seconds on a clock that is never set, and that runs on while a machine sleeps."""
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


def pause(seconds: float) -> None:
    """Wait."""
    time.sleep(seconds)


@dataclass
class Lease:
    """The right to delete; `begun` just before the entry is appended that gives it."""

    begun: float = 0.0

    def begin(self) -> None:
        """Start it (again)."""
        self.begun = elapsed()

    @property
    def may_start(self) -> bool:
        """Whether another deletion may be started: it has the rest of the lease to finish."""
        return elapsed() - self.begun < LIMITS.collect_start_seconds

    @property
    def over(self) -> bool:
        """Whether others may believe that nothing is deleted any more."""
        return elapsed() - self.begun >= LIMITS.collect_lease_seconds
