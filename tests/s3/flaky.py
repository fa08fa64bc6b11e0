"""A store in memory that fails as it is told, and a clock that nobody waits for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.blobs.retrying import Budget, Limits, Patience, Retrying
from stemma_registry.blobs.streams import Progress, Tap

T = TypeVar("T")


@dataclass
class Clock:
    """Time that passes only where somebody sleeps, or `now` is moved."""

    now: float = 1000.0
    pauses: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        """Sleep."""
        self.pauses.append(seconds)
        self.now += seconds

    def patience(self, limits: Limits) -> Patience:
        """These limits by this clock, always with the longest pause."""
        budget = Budget(limits.tokens, limits.tokens)
        return Patience(limits, budget, self.sleep, lambda: self.now, lambda low, high: high)


class Remote(MemoryStore):
    """Counts how often blobs are read."""

    def __init__(self) -> None:
        super().__init__()
        self.readings = 0

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        self.readings += 1
        yield from super().chunks(digest)


class Flaky(MemoryStore):
    """Raises the errors in `failing`, one a call, then works; `calls` counts all of them.

    `reached`: the call has done its work before it fails. `cut`: a reading fails
    behind so many items.
    """

    def __init__(self, *failing: Exception, reached: bool = False, cut: int = 0) -> None:
        super().__init__()
        self.failing = list(failing)
        self.reached, self.cut = reached, cut
        self.calls: list[str] = []

    def _fails(self, name: str) -> Exception | None:
        self.calls.append(name)
        return self.failing.pop(0) if self.failing else None

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        error = self._fails("put")
        if error is not None:
            if self.reached:
                super().put(source, digest, size)
            source.read(3)
            raise error
        return super().put(source, digest, size)

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        error = self._fails("receive")
        if error is not None:
            read = len(source.read(3))
            if progress is not None:
                progress.expect(size)
                progress(read)
            raise error
        if progress is not None:
            progress.expect(size)
        return super().receive(source, size, progress, tap)

    def create(self, key: str, data: bytes) -> None:
        error = self._fails("create")
        if self.reached or error is None:
            super().create(key, data)
        if error is not None:
            raise error

    def read(self, key: str) -> bytes:
        error = self._fails("read")
        if error is not None:
            raise error
        return super().read(key)

    def replace(self, key: str, data: bytes) -> None:
        error = self._fails("replace")
        if error is not None:
            raise error
        super().replace(key, data)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        yield from self._cut(super().chunks(digest), self._fails("chunks"))

    def blobs(self) -> Iterator[Digest]:
        yield from self._cut(super().blobs(), self._fails("blobs"))

    def _cut(self, items: Iterator[T], error: Exception | None) -> Iterator[T]:
        for number, item in enumerate(items):
            if error is not None and number >= self.cut:
                raise error
            yield item
        if error is not None:
            raise error


def patient(store: MemoryStore, clock: Clock, **limits: float) -> Retrying:
    """A Retrying around the store, by that clock."""
    return Retrying(store, patience=clock.patience(Limits(**limits)))  # type: ignore[arg-type]
