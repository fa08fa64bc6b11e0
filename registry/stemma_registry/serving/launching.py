"""From a question to a running command: verify, copy, ask again, run, watch."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_attestations.errors import Malformed
from stemma_registry.blobs.streams import Progress
from stemma_registry.serving.asking import Approved, Place, check_standing
from stemma_registry.serving.private import PrivateDirectory, base_for
from stemma_registry.serving.reporting import Report, Run
from stemma_registry.serving.running import NO_COMMAND, Ended, Job, clean, run, tidy_when_killed
from stemma_registry.serving.served import MAIN, Served
from stemma_registry.serving.watching import Rhythm, Watch

VARIABLE = "STEMMA_MODEL"
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)(ms|s|m|h)\Z")


@dataclass(frozen=True)
class Serving:
    """How a command is to be served: where from, with what, until when, and who is told."""

    place: Place
    served: Served
    command: Sequence[str]
    folder: Path | None = None
    rhythm: Rhythm | None = None
    report: Report | None = None


def serve(
    serving: Serving,
    job: Job,
    environ: Mapping[str, str],
    progress: Progress | None = None,
    ready: Callable[[], None] | None = None,
) -> tuple[list[Approved], Ended]:
    """Verify a set, run the command of `job` on private copies of it, and end as it does.

    The command of the job is filled in; `ready` is called before it starts. Nothing runs
    unless every verdict is a yes, and still is when the copies are made; and, where that is
    to be reported, unless it is. Raises Malformed, NotVerified and its kin, NotFound,
    Unavailable, Refused.
    """
    served, program = serving.served, serving.command[0]
    served.check(serving.command)
    if _is_missing(program, environ):
        return [], Ended(NO_COMMAND, note=f"no command {program:.200}")
    with tidy_when_killed(), contextlib.ExitStack() as behind, contextlib.ExitStack() as stack:
        with serving.place.view() as (registry, view):
            approved = served.approve(registry, view, progress)
            size = sum(one.manifest.size for one in approved)
            base = serving.folder or base_for(serving.place.home, environ, size)
            private = stack.enter_context(PrivateDirectory(base))
            places = served.put(private, registry, approved, progress)
        reported = None
        if serving.report is not None:
            reported = Run(serving.place, serving.report, approved)
            reported.begin()
            behind.callback(reported.end)  # when the copies are gone
        _ask(serving.place, approved)  # copying, and reporting, may have taken long
        if ready is not None:
            ready()
        filled = Job(
            served.fill(serving.command, places),
            {**clean(environ), VARIABLE: str(places[MAIN])},
            job.signal,
            job.grace,
            (private.lock,),
            job.stdout,
        )
        return approved, run(filled, _watch(serving, approved), reported)


def _is_missing(program: str, environ: Mapping[str, str]) -> bool:
    """Whether hashing gigabytes for it is in vain. What else is wrong is told when it is tried."""
    if "{" in program or os.path.lexists(program):
        return False
    return shutil.which(program, path=environ.get("PATH")) is None


def _watch(
    serving: Serving, approved: Sequence[Approved]
) -> Callable[[Callable[[], None]], Watch] | None:
    rhythm = serving.rhythm
    if rhythm is None:
        return None
    return lambda wake: Watch(lambda: _ask(serving.place, approved), rhythm, wake)


def _ask(place: Place, approved: Sequence[Approved]) -> None:
    with place.view() as (registry, view):
        for one in approved:
            check_standing(registry, view, one)


def seconds(text: str) -> float:
    """A duration: a number with ms, s, m or h behind it. Raises Malformed."""
    found = _DURATION.match(text)
    length = float(found[1]) * _SECONDS[found[2]] if found else 0.0
    if length <= 0:
        raise Malformed(f"{text!r:.40} is no duration: 500ms, 60s, 15m, 1h")
    return length
