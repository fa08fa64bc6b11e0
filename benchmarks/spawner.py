"""Starts processes for the benchmark and says what each took: a small process of its own.

Linux counts the peak memory of whoever started a process as the process's own,
so whoever starts what is measured must be small. A line of JSON in, one out.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

ERROR_BYTES = 1500


def run(argv: list[str], environment: dict[str, str], cwd: str | None, output: str) -> object:
    """Run a command to its end: exit code, seconds, bytes, and the end of what it complained of."""
    start = time.perf_counter()
    with (
        open(output, "wb") as out,
        subprocess.Popen(
            argv,
            env=environment,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.PIPE,
        ) as child,
    ):
        assert child.stderr is not None
        said = child.stderr.read()
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
    return {
        "code": child.returncode,
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "rss": used.ru_maxrss * 1024,
        "said": said[-ERROR_BYTES:].decode(errors="replace"),
    }


def main() -> None:
    """Serve until stdin ends."""
    for line in sys.stdin:
        print(json.dumps(run(*json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
