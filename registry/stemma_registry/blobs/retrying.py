"""A store around a store: what failed for a moment is tried again.

Only Temporary is repeated; everything else passes at once. The pauses grow,
at random, and three limits end the trying: a number of tries and a time for
each call, and a budget for all calls together. Every repetition costs a token
and every success earns a part of one, so a server that fails for everybody is
asked little more often than without repetition, and not as many times more as
there are tries.

`create` and `swap` are never repeated: whether an append of the ledger arrived
is a question for the ledger, which knows its own entry again.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store, Stray, hashed
from stemma_registry.blobs.streams import Progress, Tap
from stemma_registry.errors import Temporary

T = TypeVar("T")
Item = TypeVar("Item", Digest, str)


@dataclass(frozen=True)
class Limits:
    """When to give up. The time of a call counts from its first failure, and anew after progress.

    An upload that takes hours may so be repeated where its connection broke.
    """

    tries: int = 8
    seconds: float = 60.0
    pause_seconds: float = 0.1  # before the second try, at most; doubled for each further one
    longest_pause_seconds: float = 8.0
    tokens: float = 64.0  # repetitions, of all calls together, that need no success
    earned: float = 0.25  # tokens for a call that succeeded at once


@dataclass
class Budget:
    """The tokens of all calls of a store. Used by many threads."""

    tokens: float
    most: float
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def spend(self) -> bool:
        """Take a token for a repetition; False if there is none."""
        with self._lock:
            if self.tokens < 1:
                return False
            self.tokens -= 1
            return True

    def earn(self, count: float) -> None:
        """Give some back."""
        with self._lock:
            self.tokens = min(self.most, self.tokens + count)


@dataclass(frozen=True)
class Patience:
    """The limits, the budget that is left, and the clock, which tests replace."""

    limits: Limits
    budget: Budget
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    draw: Callable[[float, float], float] = random.uniform


class Retrying:
    """A Store that repeats what `below` could not do for a moment."""

    def __init__(
        self,
        below: Store,
        limits: Limits | None = None,
        *,
        patience: Patience | None = None,
    ) -> None:
        limits = limits or Limits()
        self.below = below
        self._patience = patience or Patience(limits, Budget(limits.tokens, limits.tokens))

    @property
    def location(self) -> str:
        return self.below.location

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        rewind = _rewinding(source)
        if rewind is None:
            return self.below.put(source, digest, size)
        return self._again(lambda: self.below.put(rewind(), digest, size))

    def receive(
        self, source: BinaryIO, size: int, progress: Progress | None = None, tap: Tap | None = None
    ) -> Digest:
        rewind = _rewinding(source)
        if rewind is None:
            return self.below.receive(source, size, progress, tap)
        counted = Onward.over(progress)
        return self._again(
            lambda: self.below.receive(rewind(), size, counted and counted.anew(), tap)
        )

    def keep(self, digest: Digest, size: int) -> bool:
        return self._again(lambda: self.below.keep(digest, size))

    @contextlib.contextmanager
    def batch(self) -> Iterator[Store]:
        # The end of a batch cannot be repeated: what went through it is put once more.
        with self.below.batch() as inner:
            yield self if inner is self.below else Retrying(inner, patience=self._patience)

    def size(self, digest: Digest) -> int | None:
        return self._again(lambda: self.below.size(digest))

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        # Each reading is checked by the store; what is passed on may be of several.
        yield from hashed(self._chunks(digest), digest)

    def fetch(self, digest: Digest, out: BinaryIO, progress: Progress | None = None) -> None:
        rewind, counted = _rewinding(out), Onward.over(progress)

        def fetch() -> None:
            if rewind is not None:
                rewind().truncate()
            self.below.fetch(digest, out, counted and counted.anew())

        return self._again(fetch) if rewind is not None else fetch()

    def read_range(self, digest: Digest, start: int, length: int) -> bytes:
        return self._again(lambda: self.below.read_range(digest, start, length))

    def blobs(self) -> Iterator[Digest]:
        return self._resumed(self.below.blobs)

    def delete(self, digest: Digest) -> None:
        self._again(lambda: self.below.delete(digest))

    def create(self, key: str, data: bytes) -> None:
        self.below.create(key, data)

    def read(self, key: str) -> bytes:
        return self._again(lambda: self.below.read(key))

    def replace(self, key: str, data: bytes) -> None:
        self._again(lambda: self.below.replace(key, data))

    def swap(self, key: str, old: bytes | None, data: bytes) -> bool:
        return self.below.swap(key, old, data)

    def remove(self, key: str) -> None:
        self._again(lambda: self.below.remove(key))

    def settle(self, key: str) -> None:
        self._again(lambda: self.below.settle(key))

    def keys(self, prefix: str) -> Iterator[str]:
        return self._resumed(lambda: self.below.keys(prefix))

    def strays(self) -> Iterator[Stray]:
        # They come in no order in which a broken list could be taken up.
        yield from self._again(lambda: list(self.below.strays()))

    def sweep(self, older_than_seconds: float) -> int:
        return self._again(lambda: self.below.sweep(older_than_seconds))

    def _again(self, job: Callable[[], T]) -> T:
        """Do a job that can be repeated. Raises what it raised last."""
        trial = _Trial(self._patience)
        while True:
            try:
                result = job()
            except Temporary as error:
                trial.failed(error)
            else:
                trial.succeeded()
                return result

    def _chunks(self, digest: Digest) -> Iterator[bytes]:
        """The chunks of one reading, and where it broke off, the rest from the next."""
        position, trial = 0, _Trial(self._patience)
        while True:
            source, offset = _begun(lambda: self.below.chunks(digest)), 0
            try:
                for chunk in _guarded(source):
                    if isinstance(chunk, Temporary):
                        trial.failed(chunk)
                        break
                    fresh = chunk[max(0, position - offset) :]
                    offset += len(chunk)
                    if fresh:
                        position = offset
                        trial.progressed()
                        yield fresh
                else:
                    trial.succeeded()
                    return
            finally:
                source.close()

    def _resumed(self, listing: Callable[[], Iterator[Item]]) -> Iterator[Item]:
        """A listing in order; where it breaks off, it goes on behind what was passed on last."""
        last: Item | None = None
        trial = _Trial(self._patience)
        while True:
            source = _begun(listing)
            try:
                for item in _guarded(source):
                    if isinstance(item, Temporary):
                        trial.failed(item)
                        break
                    if last is None or item > last:
                        last = item
                        trial.progressed()
                        yield item
                else:
                    trial.succeeded()
                    return
            finally:
                source.close()


class _Trial:
    """The tries of one call."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._failures = 0
        self._first = 0.0

    def failed(self, error: Temporary) -> None:
        """Pause before the next try, or raise the error if there is to be none."""
        limits, patience = self._patience.limits, self._patience
        now = patience.clock()
        if self._failures == 0:
            self._first = now
        self._failures += 1
        most = min(limits.longest_pause_seconds, limits.pause_seconds * 2.0 ** (self._failures - 1))
        pause = patience.draw(most / 2, most)
        if self._failures >= limits.tries or now + pause - self._first > limits.seconds:
            tried = f"tried {self._failures} times" if self._failures > 1 else "tried once"
            raise type(error)(f"{error}; {tried}") from error
        if not patience.budget.spend():
            raise type(error)(f"{error}; not repeated, for too much fails") from error
        patience.sleep(pause)

    def progressed(self) -> None:
        """Begin to count anew: the repetition has brought something."""
        self._failures = 0

    def succeeded(self) -> None:
        """Earn something for the others, if nothing had to be repeated."""
        if self._failures == 0:
            self._patience.budget.earn(self._patience.limits.earned)


class Onward:
    """A Progress that is told of each byte once, however often it is moved."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._lock = threading.Lock()
        self._told = self._told_expected = 0
        self._done = self._expected = 0

    @classmethod
    def over(cls, progress: Progress | None) -> Onward | None:
        """Around a progress, if there is one."""
        return None if progress is None else cls(progress)

    def anew(self) -> Onward:
        """The next try begins."""
        with self._lock:
            self._done = self._expected = 0
        return self

    def __call__(self, count: int) -> None:
        with self._lock:
            self._done += count
            count, self._told = max(0, self._done - self._told), max(self._told, self._done)
        if count:
            self._progress(count)

    def expect(self, count: int) -> None:
        with self._lock:
            self._expected += count
            new = max(0, self._expected - self._told_expected)
            self._told_expected += new
        if new:
            self._progress.expect(new)


def _guarded(source: Iterator[T]) -> Iterator[T | Temporary]:
    """The items, and a Temporary that ends them as the last: raised by the source, by nobody else.

    A generator's consumer can throw into it; that must not look like a failing store.
    """
    while True:
        try:
            item = next(source)
        except StopIteration:
            return
        except Temporary as error:
            yield error
            return
        yield item


def _begun(start: Callable[[], Iterator[T]]) -> Generator[T, None, None]:
    """An iterator that is begun at its first item, so that beginning can fail as reading can.

    It can be closed, and what is below it with it: that may hold connections or files.
    """
    yield from start()


def _rewinding(source: BinaryIO) -> Callable[[], BinaryIO] | None:
    """A function that puts a file back to where it stands now; None for one that has no way back.

    Such a source is read once, and a failure is final.
    """
    if not source.seekable():
        return None
    start = source.tell()

    def rewind() -> BinaryIO:
        if source.tell() != start:
            source.seek(start)
        return source

    return rewind
