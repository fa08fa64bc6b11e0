"""Doing the next few things while the first one is being looked at."""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(function: Callable[[T], R], items: Iterable[T], threads: int) -> Iterator[tuple[T, R]]:
    """Each item with what the function returns for it, in order.

    At most twice as many as there are threads are under way, so that any number
    of items may come. Raises what the function raises, at the item's place.
    """
    source, waiting = iter(items), deque[tuple[T, Future[R]]]()
    with ThreadPoolExecutor(threads) as pool:
        try:
            for item in itertools.islice(source, 2 * threads):
                waiting.append((item, pool.submit(function, item)))
            while waiting:
                item, future = waiting.popleft()
                result = future.result()
                for follower in itertools.islice(source, 1):
                    waiting.append((follower, pool.submit(function, follower)))
                yield item, result
        finally:
            for _, future in waiting:
                future.cancel()
