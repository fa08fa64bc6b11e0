"""Running whole processes and pieces of work in turn, and the ratios of what they took."""

from __future__ import annotations

import functools
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sample:
    """One run: wall and CPU seconds, and the peak resident memory in bytes (0: not measured).

    `inner` is what a process says it took without its start, `extra` what is to
    be added for the same durability, `server` the CPU seconds of a server; all in
    seconds.
    """

    wall: float
    cpu: float = 0.0
    rss: int = 0
    inner: float | None = None
    extra: float | None = None
    server: float | None = None


@dataclass(frozen=True)
class Contestant:
    """Something to be run. `role`: ours, floor, peer, start or other. `run` times itself."""

    name: str
    role: str
    run: Callable[[], Sample]


@dataclass
class Line:
    """Everything that was measured of one piece of work on one data set.

    `goal`: the ratio to the floor that is wanted; `peer_goal`: how many times faster
    than each peer. A contestant with the role "start" is the same command on next to
    nothing, run in turn with the rest.
    """

    data: str
    work: str
    samples: dict[str, list[Sample]]
    roles: dict[str, str]
    goal: float | None = None
    peer_goal: float | None = None
    notes: list[str] = field(default_factory=list)

    def median(self, name: str) -> float:
        """Median wall seconds."""
        return statistics.median(s.wall for s in self.samples[name])

    @property
    def ours(self) -> str:
        """The name of the contestant that is ours."""
        return next(name for name, role in self.roles.items() if role == "ours")

    def bare(self, name: str) -> float | None:
        """Median seconds of a contestant without its own start; None where that is not known."""
        known = [s.inner for s in self.samples[name] if s.inner is not None]
        return statistics.median(known) if known else None

    @property
    def start(self) -> float | None:
        """Median seconds of the command's start, where that was measured."""
        names = [name for name, role in self.roles.items() if role == "start"]
        return self.median(names[0]) if names else None

    @property
    def is_start_all(self) -> bool:
        """Whether what ours takes beyond its start is lost in how much that varies."""
        if self.start is None:
            return False
        starts = next(self.samples[name] for name, role in self.roles.items() if role == "start")
        spreads = [
            max(s.wall for s in samples) - min(s.wall for s in samples)
            for samples in (starts, self.samples[self.ours])
        ]
        return self.median(self.ours) - self.start < max(*spreads, 0.2 * self.start)

    def ratios(self, other: str, net: bool = False, durable: bool = False) -> list[float]:
        """Ours divided by `other`, run by run; `durable`: with its fsync added.

        `net`: both without their starts; where `bare` says None that means nothing.
        """
        start = self.start
        less = start if net and start is not None else 0.0
        found = []
        for ours, its in zip(self.samples[self.ours], self.samples[other], strict=False):
            alone = its.inner if net and its.inner is not None else its.wall
            theirs = alone + ((its.extra or 0.0) if durable else 0.0)
            found.append((ours.wall - less) / max(theirs, 1e-6))
        return found


def alternate(
    contestants: Sequence[Contestant], runs: int, peer_runs: int | None = None, warm: bool = False
) -> dict[str, list[Sample]]:
    """Run all in turn `runs` times (peers `peer_runs` times), so that drift meets all alike."""
    if warm:
        for each in contestants:
            each.run()
    samples: dict[str, list[Sample]] = {each.name: [] for each in contestants}
    for number in range(runs):
        # Every other round goes backwards: who comes second is not always the same.
        for each in contestants if number % 2 == 0 else list(reversed(contestants)):
            if each.role == "peer" and peer_runs is not None and number >= peer_runs:
                continue
            samples[each.name].append(each.run())
    return samples


def settle() -> None:
    """Write everything that waits to be written, so that no run pays for another's bytes."""
    os.sync()


@functools.cache
def _spawner() -> subprocess.Popen[str]:
    program = str(Path(__file__).with_name("spawner.py"))
    return subprocess.Popen(
        [sys.executable, "-S", "-E", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def process(
    argv: Sequence[str],
    environment: Mapping[str, str],
    cwd: Path | None = None,
    output: Path | None = None,
) -> Sample:
    """A whole process: wall, CPU and peak memory of it and its children.

    `output` takes what it prints. Raises RuntimeError with the end of stderr
    where it fails.
    """
    spawner = _spawner()
    assert spawner.stdin is not None
    assert spawner.stdout is not None
    folder = None if cwd is None else str(cwd)
    job = [list(argv), dict(environment), folder, str(output or os.devnull)]
    spawner.stdin.write(json.dumps(job) + "\n")
    spawner.stdin.flush()
    done = json.loads(spawner.stdout.readline())
    if done["code"] != 0:
        raise RuntimeError(f"{' '.join(argv)[:300]}: exit {done['code']}: {done['said']}")
    return Sample(done["wall"], done["cpu"], done["rss"])


def work(job: Callable[[], object]) -> Sample:
    """A call in this process, all its threads."""
    before, start = time.process_time(), time.perf_counter()
    job()
    wall = time.perf_counter() - start
    return Sample(wall, time.process_time() - before, inner=wall)


def group_cpu(group: int) -> float:
    """CPU seconds that the living processes of a process group have used."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")
