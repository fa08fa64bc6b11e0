"""What is measured on this machine's own disk: verify, push, push again, pull, start."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import floors, peers
from benchmarks.datasets import DataSet
from benchmarks.measuring import Contestant, Line, Sample, alternate, process, settle, work
from benchmarks.peers import Peers, Signature
from benchmarks.seat import Seat, Start, tiny


@dataclass(frozen=True)
class Plan:
    """How often things run, where, and against whom. `peers`: None where there are none."""

    work: Path
    runs: int
    peer_runs: int
    peers: Peers | None

    def measure(
        self, data: str, what: str, contestants: list[Contestant], warm: bool = False
    ) -> Line:
        """Run the contestants in turn."""
        samples = alternate(contestants, self.runs, self.peer_runs, warm)
        return Line(data, what, samples, {each.name: each.role for each in contestants})


def verify(plan: Plan, data: DataSet) -> Iterator[Line]:
    """A directory against what it should be; everything is in the page cache."""
    seat = Seat.made(plan.work)
    seat.push(data.root)
    contestants = [
        Contestant("stemma verify", "ours", lambda: seat.verify(data.root)),
        Start("verify", seat, plan.work).contestant(),
        Contestant(
            "SHA-256, a thread a core", "floor", lambda: work(lambda: floors.hash_all(data))
        ),
    ]
    if plan.peers is not None:
        signature = Signature.made(plan.peers, data, seat.folder)
        contestants.append(Contestant("model_signing verify", "peer", signature.verify))
    line = plan.measure(data.label, "verify", contestants, warm=True)
    line.goal, line.peer_goal = 1.10, 1.5
    seat.end()
    yield line


def fastest(plan: Plan, data: DataSet, ways: list[floors.Way]) -> floors.Way:
    """The fastest of some ways to copy the data; each is tried once, behind a first to warm up."""
    copying(plan, data, ways[0])
    return min(ways, key=lambda way: copying(plan, data, way).wall)


def copying(plan: Plan, data: DataSet, way: floors.Way, sync: bool = True) -> Sample:
    """One copy of the data, removed again."""
    target = plan.work / "floor"
    settle()
    try:
        return work(lambda: way.run(data, target, sync))
    finally:
        shutil.rmtree(target)


def push(plan: Plan, data: DataSet) -> Iterator[Line]:
    """Into an empty registry, by a user whose stat cache is empty."""

    def ours() -> Sample:
        seat = Seat.made(plan.work)
        settle()
        try:
            return seat.push(data.root)
        finally:
            seat.end()

    way, other = fastest(plan, data, floors.stores()), Seat.made(plan.work)
    contestants = [
        Contestant("stemma push", "ours", ours),
        Start("push", other, plan.work).contestant(),
        Contestant("read, hash, write, fsync", "floor", lambda: copying(plan, data, way)),
    ]
    rivals = plan.peers
    if rivals is not None:
        contestants += [
            Contestant(name, "peer", _pusher(rivals, name, data))
            for name in peers.PUSHERS
            if not (name.startswith("git lfs") and not _has("git-lfs"))
        ]
    line = plan.measure(data.label, "push", contestants)
    line.notes.append(f"floor: {way.name}")
    line.goal, line.peer_goal = 1.15, 1.0
    other.end()
    yield line


def _pusher(rivals: Peers, name: str, data: DataSet) -> Callable[[], Sample]:
    return lambda: peers.push(rivals, name, data)


def _has(program: str) -> bool:
    found = shutil.which(program) is not None
    if not found:
        print(f"LEFT OUT: {program} (Debian: apt-get install {program})", file=sys.stderr)
    return found


def pull(plan: Plan, data: DataSet) -> Iterator[Line]:
    """Into a new directory; the registry's files are in the page cache."""
    seat, target = Seat.made(plan.work), plan.work / "pulled"
    seat.push(data.root)

    def ours() -> Sample:
        settle()
        try:
            return seat.pull(target)
        finally:
            shutil.rmtree(target)

    way = fastest(plan, data, floors.copies(plan.work))
    line = plan.measure(
        data.label,
        "pull",
        [
            Contestant("stemma pull", "ours", ours),
            Start("pull", seat, plan.work).contestant(),
            Contestant("copy and fsync", "floor", lambda: copying(plan, data, way)),
            Contestant("copy without fsync", "other", lambda: copying(plan, data, way, sync=False)),
        ],
    )
    line.notes.append(f"floor: {way.name}, no hashing; ours hashes what it copies")
    line.goal = 1.15
    seat.end()
    yield line


def repush(plan: Plan, data: DataSet) -> Iterator[Line]:
    """Again with nothing changed, and with one file changed; the data is another afterwards."""
    seat = Seat.made(plan.work)
    seat.push(data.root)
    starting = Start("push", seat, plan.work).contestant()
    unchanged = plan.measure(
        data.label,
        "push again, nothing changed",
        [
            Contestant("stemma push", "ours", lambda: seat.push(data.root)),
            starting,
            Contestant("stat of the tree", "floor", lambda: work(lambda: floors.stat_all(data))),
            Contestant(
                "stemma push --no-stat-cache",
                "other",
                lambda: seat.push(data.root, "bench/data:1", "--no-stat-cache"),
            ),
        ],
        warm=True,
    )
    unchanged.notes.append("the floor is microseconds: what counts is ours beside our start")
    yield unchanged
    file, number = max(data.paths, key=lambda path: path.stat().st_size), 1

    def ours() -> Sample:
        nonlocal number
        number += 1
        with file.open("r+b") as out:  # the header stays as it is
            out.seek(file.stat().st_size // 2)
            out.write(number.to_bytes(8, "big"))
        settle()
        return seat.push(data.root, f"bench/data:{number}")

    alone = DataSet("file", file.name, file.parent)
    changed = plan.measure(
        data.label,
        f"push again, one file of {file.stat().st_size:,} bytes changed",
        [
            Contestant("stemma push", "ours", ours),
            starting,
            Contestant(
                "SHA-256 of the file", "floor", lambda: work(lambda: floors.hash_file(file))
            ),
            Contestant(
                "read, hash, write, fsync the file", "other", lambda: _store_one(plan, alone, file)
            ),
        ],
    )
    changed.notes.append("ours stores the changed file too, which the second floor does")
    seat.end()
    yield changed


def _store_one(plan: Plan, data: DataSet, file: Path) -> Sample:
    way, target = floors.stores()[2], plan.work / "floor"
    settle()
    try:
        return work(lambda: way.run(data, target, only=[file]))
    finally:
        shutil.rmtree(target)


def start(plan: Plan) -> Iterator[Line]:
    """Starting the command, against importing the two libraries that every command needs."""
    seat, folder = Seat.made(plan.work), tiny(plan.work)
    seat.push(folder)
    imports = [sys.executable, "-c", "import click, sqlalchemy"]
    line = plan.measure(
        "one file of a few bytes",
        "start",
        [
            Contestant("stemma verify", "ours", lambda: seat.verify(folder)),
            Contestant(
                "import click, sqlalchemy", "floor", lambda: process(imports, seat.environment)
            ),
            Contestant(
                "python -c pass", "other", lambda: process([*imports[:2], "pass"], seat.environment)
            ),
        ],
        warm=True,
    )
    line.goal = 2.0
    seat.end()
    yield line
