"""Records of what is being served: one when it starts, one when it ended, renewed between.

All of it is done by the parent: what is run knows neither the key nor of the records.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Self

from stemma_attestations.predicates.deployment import STARTED, STOPPED, Deployment, Spot
from stemma_registry import deploying
from stemma_registry.deploying import DEFAULT_LIFE, Left, Subject
from stemma_registry.registry import snapshot
from stemma_registry.serving.asking import Approved, Place
from stemma_registry.serving.watching import elapsed
from stemma_registry.signing import Signer

SHARE = 0.5  # of a record's life: when the next one is left
PATIENCE = 10.0  # seconds that a renewal which is under way may still take at the end
RETRY = 1 / 24  # of it: how soon one that could not be left is tried again


@dataclass(frozen=True)
class Report:
    """What is asked for: as whom, where, for how long a record counts.

    `tell` is for people, `left` is told of every record.
    """

    signer: Signer
    spot: Spot
    tell: Callable[[str], None]
    left: Callable[[Left], None]
    life: timedelta = DEFAULT_LIFE


class Run:
    """One run that is reported. As a context, it is renewed in a thread of its own."""

    def __init__(self, place: Place, report: Report, approved: Sequence[Approved]) -> None:
        self._place, self._report = place, report
        self._verdicts = [one.verdict for one in approved]
        self._instance = deploying.new_instance()
        self._began = datetime.now(UTC)
        self._subjects: tuple[Subject, ...] = ()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="report", daemon=True)

    def begin(self) -> None:
        """Leave the first record. Whatever it raises, nothing may start."""
        self._began = datetime.now(UTC)
        for warning in self._say(STARTED).warnings:
            self._report.tell(f"warning: {warning}")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()

    def end(self) -> None:
        """Leave the last record; a loud note where that cannot be done."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(PATIENCE)  # two at once are more than some signers can do
        try:
            self._say(STOPPED)
        except Exception as error:  # noqa: BLE001 - the command has ended, and so it ends
            self._report.tell(f"NOT REPORTED as stopped: {_why(error)}")
        except BaseException:
            self._report.tell("NOT REPORTED as stopped: interrupted")
            raise

    def _say(self, state: str) -> Left:
        with self._place.open() as (registry, trust):
            now = datetime.now(UTC)
            if not self._subjects:
                with snapshot(registry, trust, now) as view:
                    self._subjects = deploying.subjects_of(view, self._verdicts)
            said = Deployment(
                self._report.spot,
                state,
                self._instance,
                min(self._began, now),  # a clock may be set back
                now,
                None if state == STOPPED else now + self._report.life,
                self._verdicts[0].entry,
            )
            left = deploying.leave(registry, trust, self._report.signer, self._subjects, said)
        self._report.left(left)
        return left

    def _renew(self) -> None:
        life = self._report.life.total_seconds()
        due = elapsed() + SHARE * life
        while not self._over.wait(max(0.0, min(due - elapsed(), 60.0))):
            if elapsed() < due:
                continue  # in small steps: a machine that slept is awake again by then
            try:
                self._say(STARTED)
                due = elapsed() + SHARE * life
            except Exception as error:  # noqa: BLE001 - what runs goes on running
                due = elapsed() + RETRY * life
                if not self._over.is_set():
                    self._report.tell(f"NOT REPORTED again, a new try follows: {_why(error)}")


def _why(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
