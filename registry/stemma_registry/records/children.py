"""The processes in which files of others are read: what their parent does."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, Self

from stemma_registry.config import LIMITS
from stemma_registry.records.engine import TOO_LARGE
from stemma_registry.records.readers import Unreadable

INSTALL = "records are read by an extra: pip install 'stemma-registry[records]'"
# Nothing of the environment or of a site's own files: the paths come as arguments.
_CHILD = (
    "import sys; sys.path += sys.argv[1:]; "
    "from stemma_registry.records import engine; engine.main()"
)

# What is freed is kept for the next batch: given back, each page of it is cleared anew.
_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_MMAP_THRESHOLD_": str(32 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(128 * 1024 * 1024),
    "OPENBLAS_NUM_THREADS": "1",
}


class NoExtra(Exception):
    """The libraries that read records are not installed."""


def check_installed() -> None:
    """Raise NoExtra where the extra is not there."""
    for name in ("numpy", "pyarrow"):
        try:
            spec = find_spec(name)
        except ValueError:
            spec = None
        if spec is None:
            raise NoExtra(INSTALL)


class Children:
    """At most so many children, started when they are needed. Each answers one at a time."""

    def __init__(self, count: int | None = None) -> None:
        self.count = count or max(1, min(os.cpu_count() or 1, LIMITS.record_children))
        self._free: queue.LifoQueue[_Child | None] = queue.LifoQueue()
        for _ in range(self.count):
            self._free.put(None)

    def ask(self, question: dict[str, Any], size: int) -> dict[str, Any]:
        """The answer about a file of `size` bytes. Raises Unreadable."""
        child = self._free.get()
        try:
            child = child or _Child()
            said = child.ask(question, LIMITS.record_seconds + size / LIMITS.record_pace)
        except Unreadable:
            if child is not None:
                child.close()
            child = None
            raise
        finally:
            self._free.put(child)
        if "wrong" in said:
            raise Unreadable(str(said["wrong"]))
        return said

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End them all."""
        with contextlib.suppress(queue.Empty):
            while True:
                child = self._free.get_nowait()
                if child is not None:
                    child.close()


def children(count: int | None = None) -> Children:
    """Some children; a context manager that ends them. Raises NoExtra."""
    check_installed()
    return Children(count)


@contextlib.contextmanager
def several(datasets: int) -> Iterator[Children | None]:
    """Children for many datasets in a row; None for one, or where the extra is not there."""
    try:
        check_installed()
    except NoExtra:
        datasets = 0
    if datasets < 2:
        yield None
        return
    with children() as some:
        yield some


class _Child:
    def __init__(self) -> None:
        paths = [os.path.abspath(path) for path in sys.path if path]
        try:
            self.process = subprocess.Popen(  # noqa: S603 - this very interpreter
                [sys.executable, "-I", "-S", "-B", "-c", _CHILD, *paths],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env=_ENVIRONMENT,
            )
        except OSError as error:
            raise Unreadable(f"cannot start a process: {error.strerror}") from error

    def ask(self, question: dict[str, Any], seconds: float) -> dict[str, Any]:
        late = threading.Event()

        def stop() -> None:
            late.set()
            self.process.kill()

        timer = threading.Timer(seconds, stop)
        timer.daemon = True
        timer.start()
        try:
            line = self._exchange(json.dumps(question).encode() + b"\n")
        finally:
            timer.cancel()
        if line:
            with contextlib.suppress(ValueError):
                said = json.loads(line)
                if isinstance(said, dict):
                    return said
        if late.is_set():
            raise Unreadable(f"it could not be read within {seconds:.0f} s")
        code = self.process.wait()
        if code == TOO_LARGE:
            raise Unreadable(f"reading it takes more than {LIMITS.record_memory} bytes of memory")
        raise Unreadable(f"the process that read it ended with {code}")

    def _exchange(self, line: bytes) -> bytes:
        if self.process.stdin is None or self.process.stdout is None:
            return b""
        try:
            self.process.stdin.write(line)
            self.process.stdin.flush()
            return self.process.stdout.readline()
        except OSError:
            return b""

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
