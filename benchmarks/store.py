"""`python -m benchmarks.store`: the store against the limits and its peers, paired in one run.

docs/benchmarks.md says what is compared and how to read it. Full size needs
about 30 GB of disk; `--scale 0.01` tries everything in small.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import bucket, datasets, local, peers, profiling, race, report
from benchmarks.datasets import DataSet
from benchmarks.local import Plan
from benchmarks.measuring import Line
from benchmarks.peers import Peers, PeersMissing
from benchmarks.report import Report
from benchmarks.seat import Seat, tiny

OF_DATA: dict[str, Callable[[Plan, DataSet], Iterator[Line]]] = {
    "verify": local.verify,
    "push": local.push,
    "pull": local.pull,
    "s3": bucket.lines,
    "repush": local.repush,  # the last: it changes the data
}
PARTS = ("start", *OF_DATA, "race", "syncs")


def options(argv: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.store", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--data", nargs="+", choices=datasets.MAKERS, default=[*datasets.MAKERS])
    parser.add_argument("--scale", type=float, default=1.0, help="1: the full size")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--peer-runs", type=int, help="of the slow peers (else as --runs)")
    parser.add_argument("--work", type=Path, help="a folder on a real disk (else the temporary)")
    parser.add_argument("--out", type=Path, help="write NAME.md and NAME.json there")
    parser.add_argument("--name", default="store")
    parser.add_argument("--peers", type=Path, default=Path(".venv-peers"), metavar="DIR")
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--profile", action="store_true", help="say where our time goes instead")
    return parser.parse_args(argv)


def measure(chosen: argparse.Namespace, plan: Plan, told: Report) -> None:
    """Everything that was chosen, data set by data set."""
    if "start" in chosen.only:
        for line in local.start(plan):
            told.add(line)
    if "syncs" in chosen.only and plan.peers is not None:
        told.remark("What is made durable, and what is hashed", durability(plan, plan.peers))
    wanted = [part for part in OF_DATA if part in chosen.only]
    for name in chosen.data if wanted else ():
        data = datasets.make(name, plan.work, chosen.scale)
        for part in wanted:
            for line in OF_DATA[part](plan, data):
                told.add(line)
                save(chosen, told)
        shutil.rmtree(data.root)
    if "race" in chosen.only:
        told.remark("32 processes push to one bucket", race.run(plan.work))


def durability(plan: Plan, rivals: Peers) -> Iterator[str]:
    """Counts of the calls that make bytes durable, in one push of a few files by everybody."""
    data = datasets.make("small", plan.work / "counted", 0.01)
    yield f"One push of {data.label}, under strace:"
    yield ""
    yield "| | calls | hashes and copies |"
    yield "|---|---|---|"
    seat = Seat.made(plan.work)
    argv = [sys.executable, "-m", "stemma_cli.main", "push", str(data.root), "bench/counted:1"]
    store = Path(seat.registry)
    found = peers.count_syncs([[*argv, "--kind", "model"]], seat.environment, seat.folder, store)
    yield f"| stemma push | {found} | SHA-256 of each file, in the pass that copies it |"
    seat.end()
    for name in peers.PUSHERS:
        calls = peers.syncs_of_push(rivals, name, data)
        yield f"| {name} | {calls} | {peers.HASHES[name]} |"
    shutil.rmtree(plan.work / "counted")


def profile(chosen: argparse.Namespace, plan: Plan, told: Report) -> None:
    """Where the time of verify, push and pull goes, for each data set."""
    seat = Seat.made(plan.work)
    folder, name = tiny(plan.work), "bench/tiny:1"
    seat.push(folder, name)
    argv = ["verify", str(folder), "--as", name, "--json"]
    told.remark("imports of verify", profiling.imports(argv, seat.environment, seat.folder))
    told.remark("verify, a tiny directory", profiling.stacks(argv, seat.environment, seat.folder))
    for each in chosen.data:
        data = datasets.make(each, plan.work, chosen.scale)
        for how in (profiling.stacks, profiling.calls):
            seat.end()
            seat = Seat.made(plan.work)
            commands = [
                ["push", str(data.root), "bench/data:1", "--kind", "model", "--json"],
                ["verify", str(data.root), "--as", "bench/data:1", "--json"],
                ["pull", "bench/data:1", str(plan.work / "pulled"), "--json"],
            ]
            for command in commands:
                if command[0] in chosen.only:
                    title = f"{command[0]}, {data.label}: {how.__name__}"
                    told.remark(title, how(command, seat.environment, seat.folder))
                elif command[0] == "push":
                    seat.run(*command)
            shutil.rmtree(plan.work / "pulled", ignore_errors=True)
        shutil.rmtree(data.root)
    seat.end()


def save(chosen: argparse.Namespace, told: Report) -> None:
    """Write what there is so far: a long run that is broken off has not been for nothing."""
    if chosen.out is not None:
        told.write(chosen.out, chosen.name)


def main(argv: list[str] | None = None) -> None:
    """Measure, print and write."""
    chosen = options(argv)
    with tempfile.TemporaryDirectory(prefix="stemma-store-", dir=chosen.work) as name:
        work = Path(name).resolve()
        rivals = None
        if not chosen.no_peers and not chosen.profile:
            try:
                rivals = Peers.made(chosen.peers.absolute(), work)
            except PeersMissing as error:
                print(f"LEFT OUT: every peer and S3: {error}", file=sys.stderr)
        if rivals is None and "s3" in chosen.only and not chosen.profile:
            print("LEFT OUT: S3, which is measured against peers", file=sys.stderr)
            chosen.only.remove("s3")
        plan = Plan(work, chosen.runs, chosen.peer_runs or chosen.runs, rivals)
        facts = {**report.machine(work), "scale": f"{chosen.scale:g}", "runs": str(chosen.runs)}
        told = Report(facts)
        (profile if chosen.profile else measure)(chosen, plan, told)
        save(chosen, told)
    print("\n".join(report.summary(told.lines)))


if __name__ == "__main__":
    main()
