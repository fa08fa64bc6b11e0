"""A progress that counts, and calls back."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Counted:
    """What was done and what was expected, in bytes; `then` is called with each count."""

    def __init__(self, then: Callable[[int], object] = lambda count: None) -> None:
        self.done = self.expected = 0
        self._then = then
        self._lock = threading.Lock()

    def __call__(self, count: int) -> None:
        with self._lock:
            self.done += count
        self._then(count)

    def expect(self, count: int) -> None:
        with self._lock:
            self.expected += count
