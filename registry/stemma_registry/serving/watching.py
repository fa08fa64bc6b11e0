"""Asking again and again whether what runs may run on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from stemma_attestations.errors import Quarantined, StemmaError, Undecided

# Of an interval: when the next question is asked. The rest of it is for the answer.
SHARE = 0.75


@dataclass(frozen=True)
class Rhythm:
    """How often is asked, and how old the last answer may become, in seconds."""

    interval: float
    max_age: float


class Watch:
    """Asks in a thread of its own, so that an answer that does not come stops nobody but it.

    `ask` returns where all is well and raises Quarantined where it is not; whatever else
    it raises is no answer. `wake` is called when there is something to be decided.
    """

    def __init__(self, ask: Callable[[], None], rhythm: Rhythm, wake: Callable[[], None]) -> None:
        self._ask, self._rhythm, self._wake = ask, rhythm, wake
        self._answered = elapsed()
        self._trouble = "there was no answer"
        self._stop: Quarantined | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        """Begin; the verdict, or what was asked right before, was the first answer."""
        self._thread.start()

    def end(self) -> None:
        """Ask no more. A question that is under way is left alone."""
        self._over.set()

    def reason(self) -> Quarantined | Undecided | None:
        """Why the command has to stop, if it has to."""
        if self._stop is not None:
            return self._stop
        age = elapsed() - self._answered
        if age < self._rhythm.max_age:
            return None
        return Undecided(
            f"nothing is known for {age:.0f} s, and {self._rhythm.max_age:.0f} s are allowed: "
            f"{self._trouble}"
        )

    def left(self) -> float:
        """Seconds until the last answer is too old."""
        return max(0.0, self._answered + self._rhythm.max_age - elapsed())

    def _run(self) -> None:
        begun = elapsed()
        while not self._over.wait(max(0.0, begun + SHARE * self._rhythm.interval - elapsed())):
            begun = elapsed()
            try:
                self._ask()
                self._answered = begun
            except Quarantined as error:
                self._stop = error
                self._wake()
                return
            except StemmaError as error:
                self._trouble = str(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, it is no answer
                self._trouble = f"{type(error).__name__}: {error}"


def elapsed() -> float:
    """Seconds, those in which the machine slept too."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
