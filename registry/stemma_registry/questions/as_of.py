"""Lineage as it was known at an earlier ledger entry, or time.

The answer is the same for ever, under the same trust root: only what entries 0 to N brought
counts, and what ends with time (a waiver, a deployment, the grant of a release) is as it was
at the time of entry N, or at the time that was asked for.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import select

from stemma_attestations.errors import Malformed
from stemma_attestations.times import format_time, parse_time
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import past
from stemma_registry.catalogue import tables as t
from stemma_registry.errors import NotFound
from stemma_registry.ledger.log import read_entry
from stemma_registry.registry import Snapshot

_NUMBER = re.compile(r"[0-9]{1,15}\Z")


class BadMoment(Malformed):
    """Neither the number of a ledger entry nor a time that has been."""


@dataclass(frozen=True)
class Moment:
    """A ledger entry, or a time."""

    entry: int | None = None
    time: datetime | None = None

    @classmethod
    def parse(cls, text: str) -> Moment:
        """`123` or `2026-01-31T12:00:00Z`. Raises BadMoment."""
        if _NUMBER.match(text):
            return cls(entry=int(text))
        try:
            return cls(time=parse_time(text))
        except Malformed as error:
            raise BadMoment(
                f"{text!r:.40} is no ledger entry and no time (123, 2026-01-31T12:00:00Z)"
            ) from error


@contextlib.contextmanager
def looking_back(view: Snapshot, store: Store, moment: Moment) -> Iterator[Snapshot]:
    """The snapshot as of a moment. Raises NotFound for an entry that is not there, BadMoment."""
    n, now = _place(view, store, moment)
    with past.looking_back(view.connection, n):
        yield replace(view, n=n, now=now)


def _place(view: Snapshot, store: Store, moment: Moment) -> tuple[int, datetime]:
    if moment.entry is not None:
        time = _time(store, moment.entry) if moment.entry <= view.n else None
        if time is None:
            raise NotFound(f"there is no ledger entry {moment.entry}; the newest is {view.n}")
        return moment.entry, time
    assert moment.time is not None  # noqa: S101 - it is one of the two
    if moment.time > view.now:
        raise BadMoment(f"{format_time(moment.time)} has not come yet")
    n = _newest(view, moment.time)
    while n < view.n and (time := _time(store, n + 1)) is not None and time <= moment.time:
        n += 1  # entries that brought no statement
    if n < 0:
        raise NotFound(f"the ledger began after {format_time(moment.time)}")
    return n, moment.time


def _time(store: Store, n: int) -> datetime | None:
    entry = read_entry(store, n)
    return None if entry is None else parse_time(entry.time)


def _newest(view: Snapshot, time: datetime) -> int:
    """The newest entry that brought a statement by then, -1 where none did.

    Entries bear their writers' clocks. One that went back hides nothing: what is behind
    it and in time counts too.
    """
    asked = select(t.statement.c.n, t.statement.c.time).distinct().order_by(t.statement.c.n.desc())
    with contextlib.closing(
        view.connection.execution_options(yield_per=1_000).execute(asked)
    ) as rows:
        for n, text in rows:
            if parse_time(text) <= time:
                return int(n)
    return -1
