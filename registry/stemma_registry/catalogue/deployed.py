"""Where artifacts run, as far as deployment records say: rows, and questions about them.

Facts only. Whether anybody believes them is asked in `lineage.deployments`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select

from stemma_attestations.names import NameVersion
from stemma_attestations.predicates.deployment import STOPPED, Deployment, Spot
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, fact_of
from stemma_registry.catalogue.rows import Fact

AT_ONCE = 1_000  # rows that a query holds


@dataclass(frozen=True)
class Wanted:
    """Which records: None is any. `after` leaves out what has ended by then by itself."""

    node: int | None = None
    host: str | None = None
    service: str | None = None
    stage: str | None = None
    after: datetime | None = None


@dataclass(frozen=True)
class DeploymentRow:
    """What one record says of one of its subjects."""

    node_id: int
    name: NameVersion
    spot: Spot
    state: str
    instance: str
    since: datetime
    issued: datetime
    until: datetime | None
    fact: Fact


def project(connection: Connection, statement: int, said: Deployment) -> None:
    """The row of a record."""
    values = {
        "host": said.spot.host,
        "service": said.spot.service,
        "stage": said.spot.stage,
        "state": said.state,
        "instance": said.instance,
        "since": _seconds(said.since),
        "issued": _seconds(said.issued),
        "until": None if said.until is None else _seconds(said.until),
    }
    connection.execute(insert(t.deployment).values(statement_id=statement, **values))


def records(connection: Connection, wanted: Wanted) -> Iterator[DeploymentRow]:
    """What runs or ran, in ledger order. Rows are not held, since strangers may add any number."""
    asked, c = _rows().where(t.deployment.c.state != STOPPED), t.deployment.c
    for column, value in (
        (t.subject.c.node_id, wanted.node),
        (c.host, wanted.host),
        (c.service, wanted.service),
        (c.stage, wanted.stage),
    ):
        if value is not None:
            asked = asked.where(column == value)
    if wanted.after is not None:
        asked = asked.where(c.until > _seconds(wanted.after))
    yield from _stream(connection, asked)


def stops(connection: Connection, instances: Iterable[str]) -> Iterator[DeploymentRow]:
    """What is said to have stopped, of these runs."""
    ordered = sorted(set(instances))
    for start in range(0, len(ordered), query.BATCH):
        part = ordered[start : start + query.BATCH]
        ended = (t.deployment.c.state == STOPPED) & t.deployment.c.instance.in_(part)
        yield from _stream(connection, _rows().where(ended))


def newest_entry(connection: Connection) -> str | None:
    """The time of the newest ledger entry that brought a statement."""
    newest = select(t.statement.c.time).order_by(t.statement.c.n.desc()).limit(1)
    found: str | None = connection.execute(newest).scalar()
    return found


def _rows() -> Select[Any]:
    c, said = t.deployment.c, t.statement.c
    return (
        select(
            *(c.host, c.service, c.stage, c.state, c.instance, c.since, c.issued, c.until),
            *(t.subject.c.node_id, t.subject.c.name, t.subject.c.version),
            *FACT,
        )
        .join(t.statement, said.id == c.statement_id)
        .join(t.subject, t.subject.c.statement_id == c.statement_id)
        .order_by(c.statement_id, t.subject.c.position)
    )


def _stream(connection: Connection, asked: Select[Any]) -> Iterator[DeploymentRow]:
    for row in connection.execute(asked.execution_options(yield_per=AT_ONCE)):
        yield DeploymentRow(
            row.node_id,
            NameVersion(row.name, row.version),
            Spot(row.host, row.service, row.stage),
            row.state,
            row.instance,
            _time(row.since),
            _time(row.issued),
            None if row.until is None else _time(row.until),
            fact_of(row, row.name, row.version),
        )


def _seconds(time: datetime) -> int:
    return int(time.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
