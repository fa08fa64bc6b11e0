"""What statements say about stages: rows of the catalogue, written and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, insert, select

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates.stage import Moved
from stemma_attestations.statement import Statement
from stemma_attestations.times import format_time
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, fact_of
from stemma_registry.catalogue.rows import Fact

_BOTH = (t.stage, t.deployment)


@dataclass(frozen=True)
class StageRow:
    """One statement about a stage of a name; `time` is that of its ledger entry.

    `statement`, `previous` and `verdict` are the SHA-256 (hex) of statements' own bytes.
    """

    statement: str
    name: NameVersion
    stage: str
    action: str
    artifact_id: int
    digest: Digest
    previous: str | None
    verdict: str
    reason: str
    issued: str
    time: str
    fact: Fact

    @property
    def where(self) -> str:
        """NAME#STAGE."""
        return f"{self.name.name}#{self.stage}"


def project(
    connection: Connection, row: int, statement: Statement, said: Moved, artifact: int
) -> None:
    """Write down what a statement says; `row` is its own, `artifact` the node of its subject."""
    move = said.move
    connection.execute(
        insert(t.stage).values(
            statement_id=row,
            payload=statement.digest.value,
            name=said.name.name,
            version=said.name.version,
            stage=move.stage,
            action=move.action,
            artifact_id=artifact,
            previous=move.previous.value if move.previous else None,
            verdict=move.verdict.value,
            reason=move.reason or "",
            issued=format_time(move.issued),
        )
    )


def said(connection: Connection, name: str | None = None) -> list[StageRow]:
    """Every statement about stages (of a name), whoever signed it, in ledger order."""
    query = (
        select(
            t.stage,
            t.node.c.value,
            *FACT,
            t.statement.c.time,
        )
        .join(t.statement, t.statement.c.id == t.stage.c.statement_id)
        .join(t.node, t.node.c.id == t.stage.c.artifact_id)
        .order_by(t.stage.c.statement_id)
    )
    if name is not None:
        query = query.where(t.stage.c.name == name)
    return [_row(row) for row in connection.execute(query)]


def is_said(connection: Connection, stage: str) -> bool:
    """Whether anybody ever said that anything is at a stage, or runs at it."""
    said = (select(table.c.statement_id).where(table.c.stage == stage).limit(1) for table in _BOTH)
    return any(connection.execute(one).first() is not None for one in said)


def words(connection: Connection) -> list[str]:
    """Every stage that anything was ever said to be at."""
    return list(connection.execute(select(t.stage.c.stage).distinct()).scalars())


def _row(row: Any) -> StageRow:
    return StageRow(
        statement=row.payload,
        name=NameVersion(row.name, row.version),
        stage=row.stage,
        action=row.action,
        artifact_id=row.artifact_id,
        digest=Digest("sha256", row.value),
        previous=row.previous,
        verdict=row.verdict,
        reason=row.reason,
        issued=row.issued,
        time=row.time,
        fact=fact_of(row, row.name, row.version),
    )
