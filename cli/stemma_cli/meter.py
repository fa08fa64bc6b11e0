"""How far something is, on one line of a terminal."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import click

from stemma_cli.output import size

QUIET_SECONDS = 1.0  # what is over sooner needs no line
STEP_SECONDS = 0.2


class Meter:
    """Counts bytes, or things, from any number of threads and now and then shows the line."""

    def __init__(
        self, doing: str, clock: Callable[[], float] = time.monotonic, things: str = ""
    ) -> None:
        self._doing, self._clock, self._things = doing, clock, things
        self._lock = threading.Lock()
        self._start = self._shown = clock()
        self._done = self._expected = self._width = 0

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = self._clock()
            if now - self._start > QUIET_SECONDS and now - self._shown > STEP_SECONDS:
                self._shown = now
                self._show(self.line(now))

    def expect(self, count: int) -> None:
        with self._lock:
            self._expected += count

    def line(self, now: float) -> str:
        """Bytes done, of how many, the rate and the time left."""
        rate = self._done / max(now - self._start, 1e-9)
        left = self._expected - self._done
        if left <= 0 or rate <= 0:
            return f"{self._doing} {self._amount(self._done)}, {self._amount(int(rate))}/s"
        done = f"{self._amount(self._done)} of {self._amount(self._expected)}"
        return f"{self._doing} {done}, {self._amount(int(rate))}/s, {_clock_of(left / rate)} left"

    def _amount(self, count: int) -> str:
        return f"{count} {self._things}" if self._things else size(count)

    def clear(self) -> None:
        """Take the line away."""
        if self._width:
            click.echo("\r" + " " * self._width + "\r", nl=False, err=True)

    def _show(self, text: str) -> None:
        self._width = max(self._width, len(text))
        click.echo("\r" + text.ljust(self._width), nl=False, err=True)


def _clock_of(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
