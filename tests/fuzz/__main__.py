"""`python -m tests.fuzz TARGET [--seconds N | --runs N] [--seed N] [--corpus DIR]`.

TARGET is one of `tests.fuzz.properties.TARGETS`, or `all`, where the first byte of an
input chooses. atheris drives where it is installed (it has wheels for Linux on x86-64);
elsewhere the same mutations are made without looking at coverage. Exit code 1 where a
property does not hold; the input is then kept in the folder for temporary files.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

# Of one input, in seconds of this thread's own time: what is read is bounded, and so is this.
SLOWEST = 2.0
ALL = "all"


def _atheris() -> ModuleType | None:
    try:
        return importlib.import_module("atheris")
    except ImportError:
        return None


class Run:
    """One run: which input goes where, and what came of it."""

    def __init__(self, target: str) -> None:
        from tests.fuzz.properties import TARGETS

        self.targets = TARGETS if target == ALL else {target: TARGETS[target]}
        self.names = list(self.targets)
        self.multiplexed = target == ALL
        self.runs: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.slowest = 0.0

    def seeds(self) -> list[list[bytes]]:
        """Every seed as an input of this run, a list a target."""
        from tests.fuzz import seeds

        return [[self.framed(i, seed) for seed in seeds.of(n)] for i, n in enumerate(self.names)]

    def framed(self, index: int, data: bytes) -> bytes:
        """An input for the target of that number."""
        return bytes([index]) + data if self.multiplexed else data

    def one(self, data: bytes) -> None:
        """Put one input to its target. Raises whatever is wrong."""
        name = self.names[0]
        if self.multiplexed:
            if not data:  # how libFuzzer begins
                return
            name, data = self.names[data[0] % len(self.names)], data[1:]
        begun = time.thread_time()
        try:
            accepted = self.targets[name](data)
            spent = time.thread_time() - begun
            assert spent < SLOWEST, f"{spent:.1f} s for {len(data)} bytes"
        except BaseException:
            found = Path(tempfile.gettempdir()) / f"stemma-fuzz-{name}-{len(data)}"
            found.write_bytes(data)
            print(f"FOUND by {name}: {found} ({data[:200]!r} ...)", file=sys.stderr)
            raise
        self.slowest = max(self.slowest, spent)
        self.runs[name] += 1
        self.accepted[name] += accepted

    def mutated(self, data: bytes, max_size: int, seed: int) -> bytes:
        """Another input for the same target, or once in a while for another."""
        from tests.fuzz.mutate import mutate

        if not self.multiplexed:
            return mutate(data, seed, max_size)
        index = data[0] % len(self.names) if data else seed % len(self.names)
        return self.framed(index, mutate(data[1:], seed, max_size - 1))

    def report(self) -> str:
        """A line a target."""
        lines = [f"{n}: {self.runs[n]} runs, {self.accepted[n]} accepted" for n in self.names]
        return "\n".join([*lines, f"slowest input: {self.slowest:.2f} s"])


def _plain(run: Run, options: argparse.Namespace) -> None:
    """Without atheris: mutations of the seeds, and of what was accepted on the way."""
    chance, pools = random.Random(options.seed), run.seeds()
    for seed in (seed for pool in pools for seed in pool):
        run.one(seed)
    end, count = time.monotonic() + (options.seconds or float("inf")), 0
    while time.monotonic() < end and (options.runs is None or count < options.runs):
        pool, before = chance.choice(pools), run.accepted.total()
        data = run.mutated(chance.choice(pool), options.max_size, chance.randrange(2**31))
        run.one(data)
        if run.accepted.total() > before and len(pool) < 500:
            pool.append(data)
        count += 1


def _guided(atheris: ModuleType, run: Run, options: argparse.Namespace) -> None:
    """With atheris, which owns the process from here: this does not return."""
    folder = tempfile.mkdtemp(prefix="stemma-fuzz-")
    corpus = Path(options.corpus or folder)
    corpus.mkdir(parents=True, exist_ok=True)
    for i, seed in enumerate(seed for pool in run.seeds() for seed in pool):
        (corpus / f"seed-{i:04d}").write_bytes(seed)
    begun = time.monotonic()

    def one(data: bytes) -> None:
        run.one(data)
        spent, count = time.monotonic() - begun, run.runs.total()
        late = options.seconds is not None and spent > options.seconds
        if late or (options.runs is not None and count >= options.runs):
            shutil.rmtree(folder)
            print(run.report(), flush=True)
            os._exit(0)

    def mutated(data: bytes, max_size: int, seed: int) -> bytes:
        if seed % 5 == 0:
            other: bytes = atheris.Mutate(data, max_size)
            return other
        return run.mutated(data, max_size, seed)

    arguments = [
        *(sys.argv[0], str(corpus), f"-seed={options.seed}", f"-max_len={options.max_size}"),
        *(f"-artifact_prefix={folder}/", "-timeout=60", "-rss_limit_mb=3000", "-verbosity=0"),
    ]
    atheris.Setup(arguments, one, custom_mutator=mutated)
    atheris.Fuzz()


def main() -> None:
    """Run one target."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target")
    parser.add_argument("--seconds", type=int)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--max-size", type=int, default=32 * 1024)
    parser.add_argument("--corpus", help="a directory to begin with, and to add to")
    parser.add_argument("--plain", action="store_true", help="without atheris")
    options = parser.parse_args()
    if options.seconds is None and options.runs is None:
        options.seconds = 60
    atheris = None if options.plain else _atheris()
    watching: Callable[[], contextlib.AbstractContextManager[None]] = contextlib.nullcontext
    if atheris is not None:
        ours = ["stemma_attestations", "stemma_registry.ledger", "stemma_registry.trust.roots"]
        watching = lambda: atheris.instrument_imports(include=ours)  # noqa: E731
    with watching():
        from tests.fuzz.properties import TARGETS

        if options.target not in (*TARGETS, ALL):
            parser.error(f"TARGET is one of {', '.join((ALL, *TARGETS))}")
        run = Run(options.target)
        run.seeds()
    if atheris is None:
        _plain(run, options)
        print(run.report())
    else:
        _guided(atheris, run, options)


if __name__ == "__main__":
    os.environ.setdefault("HOME", "/nonexistent")
    main()
