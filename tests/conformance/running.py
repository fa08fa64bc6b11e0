"""Run the cases of some folders, and count the verdicts that are wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

from tests.conformance.case import BadCase, Case, find
from tests.conformance.judging import Answer, judge, made

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60.0  # seconds that a case with a limit may take beyond ten times the limit


class Wrong(IntEnum):
    """How a case can fail, worst first: the order of the report."""

    FALSE_ACCEPT = 0
    CRASH = 1
    OTHER_REASON = 2
    OVER_LIMIT = 3
    FALSE_REJECT = 4
    BROKEN = 5

    def __str__(self) -> str:
        return self.name.lower().replace("_", " ")


@dataclass(frozen=True)
class Result:
    """What came of one case; `wrong` is None where it is as expected."""

    folder: Path
    wrong: Wrong | None
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.wrong}: {self.folder}: {self.detail}"


def run(folders: Iterable[Path]) -> Iterator[Result]:
    """Judge every case of the folders. Raises BadCase where a folder has none."""
    for folder in folders:
        if not folder.is_dir():
            raise BadCase(f"{folder} is not a folder")
        cases = list(find(folder))
        if not cases:
            raise BadCase(f"{folder} has no cases")
        for case in cases:
            yield one(case)


def one(folder: Path) -> Result:
    """Judge the case in a folder."""
    try:
        with made(folder) as case:
            limited = case.max_seconds is not None or case.max_mib is not None
            answer = _alone(case) if limited else judge(case)
            return Result(folder, *_compare(case, answer))
    except BadCase as error:
        return Result(folder, Wrong.BROKEN, str(error))
    except Exception as error:  # noqa: BLE001 - a maker or a file that cannot be read
        return Result(folder, Wrong.BROKEN, f"{type(error).__name__}: {error}")


def _compare(case: Case, answer: Answer) -> tuple[Wrong | None, str]:
    if answer.crashed:
        return Wrong.CRASH, answer.reason
    if answer.accepted and not case.expected:
        return Wrong.FALSE_ACCEPT, f"expected a refusal {case.reason}".strip()
    if case.expected and not answer.accepted:
        return Wrong.FALSE_REJECT, answer.reason
    if case.reason not in answer.reason:
        return Wrong.OTHER_REASON, f"{case.reason!r} is not in {answer.reason!r}"
    if case.max_seconds is not None and answer.seconds > case.max_seconds:
        return Wrong.OVER_LIMIT, f"{answer.seconds:.1f} s, at most {case.max_seconds} s"
    if case.max_mib is not None and answer.mib > case.max_mib:
        return Wrong.OVER_LIMIT, f"{answer.mib:.0f} MiB, at most {case.max_mib} MiB"
    return None, answer.reason


def _alone(case: Case) -> Answer:
    """Judge in a process of its own, which can be measured, and stopped."""
    command = [sys.executable, "-m", "tests.conformance.alone", str(case.folder), str(case.home)]
    patience = PATIENCE + 10 * (case.max_seconds or 0)
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=patience, check=False
        )
    except subprocess.TimeoutExpired:
        return Answer(False, f"no answer after {patience:.0f} s", crashed=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        return Answer(False, f"the process ended with {done.returncode}: {last}", crashed=True)
    return Answer(**json.loads(done.stdout))
