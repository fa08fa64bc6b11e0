"""32 processes push straight to one bucket at once: who gives up, and what is sent twice."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import group_cpu
from benchmarks.seat import Seat
from tests import seaweed

COUNT = 32
FILES, SIZE = 4, 250_000
# Run by each process: everything is imported, then it waits for the start, then it pushes. What
# it sent and how that was answered goes to stderr at its end.
RUNNER = """
import atexit, json, sys, time
import boto3, sigstore, stemma_cli.commands.publishing, stemma_registry.publish
from botocore.httpsession import URLLib3Session
usual, sent = URLLib3Session.send, []
def send(self, request):
    answer = usual(self, request)
    sent.append([request.method, request.url.partition("?")[0], answer.status_code])
    return answer
URLLib3Session.send = send
def tell():
    print(json.dumps({"sent": sent, "began": began, "ended": time.time()}), file=sys.stderr)
atexit.register(tell)
print("ready", flush=True)
sys.stdin.readline()
began = time.time()
from stemma_cli.main import main
main(sys.argv[1:])
"""


@dataclass(frozen=True)
class Ended:
    """How one process ended: its exit code, the document, and what it sent."""

    code: int
    document: dict[str, object]
    sent: list[tuple[str, str, int]]
    began: float
    ended: float


def run(work: Path, count: int = COUNT) -> list[str]:
    """The race, and what it shows as lines of Markdown. Raises RuntimeError where one gave up."""
    with seaweed.server(work / "s3") as server:
        location = f"s3://{server.bucket('race')}/registry"
        seat = Seat.made(work, location, server.environment())
        homes = [_user(seat, number) for number in range(count)]
        children = [_start(seat, home) for home in homes]
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("a process did not come up")
        before = group_cpu(server.pid)
        for child in children:
            assert child.stdin is not None
            child.stdin.write("\n")
            child.stdin.flush()
        ended = [_end(child) for child in children]
        cpu = group_cpu(server.pid) - before
        whole = _audit(seat)
        seat.end()
    shutil.rmtree(work / "s3")
    return [*_told(ended, cpu), f"- audit afterwards: {whole}"]


def _user(seat: Seat, number: int) -> Path:
    """A home that believes the same signers, with its own key file, and something to push."""
    home = seat.folder / f"home-{number}"
    shutil.copytree(seat.folder / "home", home)
    data = home / "data"
    data.mkdir()
    for each in range(FILES):
        (data / f"part-{each}.bin").write_bytes(os.urandom(SIZE))
    return home


def _start(seat: Seat, home: Path) -> subprocess.Popen[str]:
    name = f"race/{home.name}:1"
    argv = [sys.executable, "-c", RUNNER, "push", str(home / "data"), name]
    return subprocess.Popen(
        [*argv, "--kind", "dataset", "--json"],
        env={**seat.environment, "STEMMA_HOME": str(home)},
        cwd=seat.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _end(child: subprocess.Popen[str]) -> Ended:
    out, err = child.communicate(timeout=600)
    said = json.loads(err.splitlines()[-1])
    sent = [(method, url, status) for method, url, status in said["sent"]]
    return Ended(child.returncode, json.loads(out), sent, said["began"], said["ended"])


def _audit(seat: Seat) -> str:
    argv = [sys.executable, "-m", "stemma_cli.main", "audit", "--json"]
    start = time.perf_counter()
    done = subprocess.run(
        argv, env=seat.environment, cwd=seat.folder, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode != 0:
        raise RuntimeError(f"the registry is not whole: {done.stdout[-2000:]}")
    report = json.loads(done.stdout)
    return f"whole, {report['entries']} ledger entries ({seconds:.1f} s)"


def _told(ended: Sequence[Ended], cpu: float) -> list[str]:
    gave_up = [each for each in ended if each.code != 0]
    seconds = max(each.ended for each in ended) - min(each.began for each in ended)
    blobs, again, lost, each_sent = Counter[str](), 0, 0, list[int]()
    for each in ended:
        own = Counter(url for method, url, _ in each.sent if method == "PUT" and "/blobs/" in url)
        blobs.update(own)
        each_sent.append(own.total())
        again += sum(count - 1 for count in own.values())
        lost += sum(
            1 for method, url, status in each.sent if "/ledger/" in url and status in (409, 412)
        )
    requests = Counter(method for each in ended for method, _, _ in each.sent)
    several = sum(1 for count in blobs.values() if count > 1)
    done, twice = len(ended) - len(gave_up), "**missed**" if again else "reached"
    rate = f"{done} appends in {seconds:.2f} s, {done / seconds:.1f} appends/s"
    share = f"by each process {min(each_sent)} to {max(each_sent)}"
    return [
        f"- {len(ended)} processes with homes of their own, {FILES} files of {SIZE:,} bytes each",
        f"- gave up: {len(gave_up)} {_codes(gave_up)}({'**missed**' if gave_up else 'reached'})",
        f"- {rate} (everything was imported before the start)",
        f"- races for a place in the ledger that were lost and tried again: {lost}",
        f"- blobs sent: {blobs.total()}, of which distinct: {len(blobs)}; {share}",
        f"- blobs sent again by the same process: {again} ({twice})",
        f"- blobs sent by several processes, each its first time (the same key): {several}",
        f"- requests: {dict(requests)}; CPU seconds of the server: {cpu:.1f}",
    ]


def _codes(gave_up: Sequence[Ended]) -> str:
    return f"({[each.document for each in gave_up]}) " if gave_up else ""
