"""Fewer rounds of the garbage collector while much is read and thrown away again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

# New objects until the next round. A statement of thousands of edges is some hundred thousand,
# in no circle: looking for circles took a fifth of the time.
_AT_LEAST = 100_000


@contextlib.contextmanager
def seldom_collecting() -> Iterator[None]:
    """Whoever sets the collector meanwhile has the last word."""
    before = gc.get_threshold()
    first, *others = before
    if not gc.isenabled() or first >= _AT_LEAST:
        yield
        return
    gc.set_threshold(_AT_LEAST, *others)
    try:
        yield
    finally:
        if gc.get_threshold()[0] == _AT_LEAST:
            gc.set_threshold(*before)
