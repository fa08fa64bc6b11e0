"""Where a command's time goes: samples of every thread's stack, system calls, imports.

For a floor that is missed: the report says by this what the time was spent on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

# Run in the profiled process. Twice a millisecond would be too much beside two cores; every 5 ms a
# thread's place counts for its innermost function of ours, and for what that calls outside.
SAMPLER = """
import atexit, collections, json, resource, sys, threading, time
seen, ours, stop = collections.Counter(), ("stemma_cli", "stemma_registry", "stemma_attestations",
    "stemma_migrations"), threading.Event()
waits = {"wait", "acquire", "get", "_wait_for_tstate_lock", "result", "join", "_worker"}
def place(frame):
    inner = frame.f_code
    called = f"{inner.co_filename.rpartition('/')[2]}:{inner.co_name}"
    while frame is not None:
        file = frame.f_code.co_filename
        if any(f"/{name}/" in file for name in ours):
            where = f"{file.rpartition('/')[2]}:{frame.f_code.co_name}:{frame.f_lineno}"
            return where, called if frame.f_code is not inner else "-"
        frame = frame.f_back
    return "outside", called
def sample():
    own, started = threading.get_ident(), time.perf_counter()
    while not stop.wait(0.005):
        for identity, frame in sys._current_frames().items():
            if identity != own:
                seen[place(frame)] += 1
        seen[("total", "rounds")] += 1
def tell():
    stop.set()
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps({"seen": [[*k, n] for k, n in seen.most_common(40)],
        "user": used.ru_utime, "system": used.ru_stime,
        "wall": time.perf_counter() - began}), file=sys.stderr)
began = time.perf_counter()
atexit.register(tell)
threading.Thread(target=sample, daemon=True).start()
from stemma_cli.main import main
main(sys.argv[1:])
"""
SHOWN = 18


def stacks(arguments: list[str], environment: Mapping[str, str], cwd: Path) -> list[str]:
    """Samples of the stacks as lines of Markdown: share of the wall time, thread by thread."""
    argv = [sys.executable, "-c", SAMPLER, *arguments]
    said = _run(argv, environment, cwd).stderr.splitlines()[-1]
    found = json.loads(said)
    rounds = next((n for where, _, n in found["seen"] if where == "total"), 1)
    rows = [
        f"- wall {found['wall']:.2f} s, user {found['user']:.2f} s, system {found['system']:.2f} s",
        "",
        "| our function and line | what it was in | threads in it, on average |",
        "|---|---|---|",
    ]
    places = [each for each in found["seen"] if each[0] != "total"]
    rows += [f"| {where} | {called} | {n / rounds:.2f} |" for where, called, n in places[:SHOWN]]
    return rows


def calls(arguments: list[str], environment: Mapping[str, str], cwd: Path) -> list[str]:
    """The system calls with the most time in them, of all threads (`strace -c -w`)."""
    log = cwd / "strace.log"
    argv = ["strace", "-f", "-c", "-w", "-S", "time", "-o", str(log)]
    _run([*argv, sys.executable, "-m", "stemma_cli.main", *arguments], environment, cwd)
    return ["```", *log.read_text().splitlines()[:14], "```"]


def imports(arguments: list[str], environment: Mapping[str, str], cwd: Path) -> list[str]:
    """The slowest imports, with what they import themselves."""
    argv = [sys.executable, "-X", "importtime", "-m", "stemma_cli.main", *arguments]
    rows = []
    for line in _run(argv, environment, cwd).stderr.splitlines():
        parts = line.removeprefix("import time:").split("|")
        if len(parts) == 3 and parts[1].strip().isdigit():
            rows.append((int(parts[1]), parts[2].strip()))
    rows.sort(reverse=True)
    return [f"- {micro / 1000:.1f} ms {name}" for micro, name in rows[:SHOWN]]


def _run(
    argv: list[str], environment: Mapping[str, str], cwd: Path
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        argv, env=dict(environment), cwd=cwd, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{argv}: exit {done.returncode}: {done.stderr[-1500:]}")
    return done
