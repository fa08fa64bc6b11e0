"""Criteria of status statements, and waivers: rows of the catalogue, written and read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, select, true

from stemma_attestations import distrusting
from stemma_attestations.digest import Digest
from stemma_attestations.distrusting import Rule
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import criterion, status
from stemma_attestations.predicates.criterion import Criterion, Distrusted, Recorded
from stemma_attestations.predicates.waiver import Waiver
from stemma_attestations.releasing import Voice
from stemma_attestations.statement import Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry.catalogue import bulk, halts, query, statuses
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.facts import FACT, by_signers, fact_of
from stemma_registry.catalogue.prepared import Prepared
from stemma_registry.catalogue.rows import Fact, StatusRow
from stemma_registry.config import LIMITS

UNKNOWN = "unknown"  # the action of a status that this version does not understand


@dataclass(frozen=True)
class CriterionRow:
    """One status that stops by a criterion; `statement` is the digest of its own bytes, hex."""

    statement: str
    of: Criterion
    reason: str
    issued: str
    fact: Fact

    @property
    def digest(self) -> Digest:
        """The same, as a digest."""
        return Digest("sha256", self.statement)


@dataclass(frozen=True)
class WaiverRow:
    """One waiver of one subject; `quarantine` is the digest (hex) of what it is in spite of."""

    node_id: int
    quarantine: str
    until: datetime
    reason: str
    fact: Fact


def project_status(connection: Connection, row: int, statement: Statement) -> None:
    """Write what a status statement says, also one that nobody understands."""
    key = {"statement_id": row, "payload": statement.digest.value}
    try:
        view = status.parse(statement.predicate)
    except BadStatement as error:
        # Somebody meant to stop something, and we cannot tell what: never ignored.
        values = {"action": UNKNOWN, "reason": str(error), "issued": ""}
        connection.execute(insert(t.status).values({**key, **values}))
        halts.of_status(connection, row, UNKNOWN)
        return
    values = {"action": view.action, "reason": view.reason, "issued": view.issued}
    connection.execute(insert(t.status).values({**key, **values}))
    halts.of_status(connection, row, view.action)
    if view.criterion is not None:
        project_criterion(connection, row, view.criterion)
        if isinstance(view.criterion, Recorded):
            halts.of_targets(connection, row)
    for digest in sorted(set(view.releases)):
        lifts = {"statement_id": row, "payload": digest.value}
        connection.execute(insert(t.lifted).values(lifts))


def project_criterion(connection: Connection, row: int, of: Criterion) -> None:
    """Write down what a status stops by; `row` is that of the statement."""
    text = criterion.encode(of).decode()
    connection.execute(insert(t.criterion).values(statement_id=row, document=text))


def project_waiver(connection: Connection, row: int, said: Waiver) -> None:
    """Write down what a waiver is in spite of, and until when."""
    connection.execute(
        insert(t.waiver).values(
            statement_id=row,
            quarantine=said.quarantine.value,
            until=int(said.until.timestamp()),
            reason=said.reason,
        )
    )


def _criteria() -> Select[Any]:
    return (
        select(
            t.status.c.payload,
            t.status.c.reason,
            t.status.c.issued,
            t.criterion.c.document,
            *FACT,
        )
        .join(t.statement, t.statement.c.id == t.criterion.c.statement_id)
        .join(t.status, t.status.c.statement_id == t.criterion.c.statement_id)
        .order_by(t.criterion.c.statement_id)
    )


def _criterion(row: Any, fact: Fact) -> CriterionRow:
    of = criterion.load(row.document)
    return CriterionRow(row.payload, of, row.reason, row.issued, fact)


def criteria(connection: Connection) -> list[CriterionRow]:
    """Every one, whoever signed it, in ledger order."""
    rows = connection.execute(_criteria()).all()
    return [_criterion(row, fact_of(row, None, None)) for row in rows]


_THESE = Prepared(lambda among: _criteria().where(among(t.criterion.c.statement_id)))
_SIGNED = "SELECT c.statement_id FROM criterion c JOIN statement s ON s.id = c.statement_id WHERE "


def heard(connection: Connection, trust: TrustRoot) -> list[CriterionRow]:
    """Those of signers who may speak as custody about any name at all, in ledger order.

    What strangers sign is hardly looked at: they could write any amount of it.
    """
    keys = {one.key.id for one in trust.signers if one.key is not None}
    named = any(one.identity is not None for one in trust.signers)
    signed, values = by_signers(keys, identities=named)
    if not signed:
        return []
    ids = [row for (row,) in bulk.ask(connection, _SIGNED + signed, **values)]
    rows = _THESE.rows(connection, ids) if ids else []
    facts = ((row, fact_of(row, None, None)) for row in rows)
    return [_criterion(row, fact) for row, fact in facts if is_heard(trust, fact)]


def targets(connection: Connection, row: CriterionRow) -> list[StatusRow]:
    """What a status stops by a criterion, and names by its digest besides."""
    own = query.node_id(connection, criterion.subject(row.of))
    wanted = (
        query.facts_select(t.subject.c.node_id, t.subject.c.path)
        .join(t.statement, t.statement.c.id == t.subject.c.statement_id)
        .where(t.is_one_of(t.statement.c.bundle, [row.fact.bundle.value]))
        .order_by(t.subject.c.position)
    )
    return [
        StatusRow(
            one.node_id,
            row.statement,
            status.MATCHING,
            row.reason,
            row.issued,
            one.path,
            query.fact_of(one),
        )
        for one in connection.execute(wanted)
        if one.node_id != own
    ]


def rules(rows: Iterable[CriterionRow], released: dict[str, list[Fact]]) -> list[Rule]:
    """Those that distrust a signer, with their releases."""
    return [
        Rule(
            row.digest,
            row.fact.bundle,
            Voice(row.fact.signer, row.fact.signed),
            row.of,
            row.reason,
            tuple(Voice(one.signer, one.signed) for one in released.get(row.statement, ())),
        )
        for row in rows
        if isinstance(row.of, Distrusted)
    ]


def with_distrust(
    connection: Connection, trust: TrustRoot, now: datetime
) -> tuple[TrustRoot, str | None]:
    """A trust root with the distrust in force, and why that may not be all.

    What strangers sign is left out here: they could write more of it than is read.
    """
    rows = heard(connection, trust)
    if len(rows) > LIMITS.criteria:
        return trust, f"more than {LIMITS.criteria} criteria; the limit is a named one"
    found = rules(rows, statuses.releases_of(connection, [row.statement for row in rows]))
    return distrusting.overlay(trust, found, now), None


def is_heard(trust: TrustRoot, fact: Fact) -> bool:
    """Whether somebody may speak as custody about any name at all."""
    signer = fact.signer
    return signer is not None and bool(trust.patterns(signer, status.TYPE, None, fact.signed))


def _waivers(about: Any, on: Any) -> Select[Any]:
    return (
        select(
            *(about.c.node_id, about.c.name, about.c.version),
            *(t.waiver.c.quarantine, t.waiver.c.until, t.waiver.c.reason),
            *FACT,
        )
        .join(t.statement, t.statement.c.id == t.waiver.c.statement_id)
        .join(about, on)
        .order_by(t.waiver.c.statement_id, about.c.position)
    )


_NAMED = t.subject.c.statement_id == t.waiver.c.statement_id
_ALL_WAIVERS = Prepared(  # as `query.statuses`
    lambda _: _waivers(t.subject, _NAMED),
    lambda _: _waivers(select(t.subject).where(_NAMED).offset(0).lateral("about"), true()),
)
_WAIVERS = Prepared(lambda among: _waivers(t.subject, _NAMED).where(among(t.subject.c.node_id)))


def waivers(connection: Connection, node: int | None = None) -> list[WaiverRow]:
    """Every waiver (of a node), whoever signed it, in ledger order."""
    rows = _ALL_WAIVERS.one(connection) if node is None else _WAIVERS.rows(connection, [node])
    return [
        WaiverRow(
            row.node_id,
            row.quarantine,
            datetime.fromtimestamp(row.until, UTC),
            row.reason,
            fact_of(row, row.name, row.version),
        )
        for row in rows
    ]


def signed_by(connection: Connection, signers: Iterable[str]) -> set[int]:
    """The artifacts that one of these signers gave a name to."""
    wanted = sorted(set(signers))
    if not wanted:
        return set()
    query = (
        select(t.version.c.artifact_id)
        .join(t.statement, t.statement.c.id == t.version.c.statement_id)
        .where(t.statement.c.signer.in_(wanted))
        .distinct()
    )
    return set(connection.execute(query).scalars())


def signers(connection: Connection) -> list[str]:
    """The ids of all that gave a name to anything."""
    query = (
        select(t.statement.c.signer)
        .join(t.version, t.version.c.statement_id == t.statement.c.id)
        .where(t.statement.c.signer.is_not(None))
        .distinct()
    )
    return [str(one) for one in connection.execute(query).scalars()]
