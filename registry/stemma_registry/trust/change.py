"""What another trust root would change: asked before it is merged.

Assurance is computed, so nothing has to be rewritten when the trust root changes. This
asks every fact under both, and keeps only what differs.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from typing import Any

from sqlalchemy import Select, func, select

from stemma_attestations.digest import Digest
from stemma_attestations.grants import distinct
from stemma_attestations.marks import Mark
from stemma_attestations.predicates import imported, provenance
from stemma_attestations.predicates import status as status_predicate
from stemma_attestations.times import Times
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_registry.catalogue import query, statuses
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.acts import UNKNOWN
from stemma_registry.catalogue.dated_facts import TIMES, times_of
from stemma_registry.catalogue.keyless_facts import certified
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.lineage import matched
from stemma_registry.lineage.status import in_force, quarantine_worth
from stemma_registry.reference import labels
from stemma_registry.registry import Snapshot

AT_ONCE = 1_000  # rows that a query holds
REMEMBERED = 65_536  # answers of a trust root that are kept
STATEMENTS, EDGES, NAMES = "statements", "edges", "names"


@dataclass(frozen=True)
class Moved:
    """One thing that would be worth something else. `bundle` says it."""

    what: str
    about: str
    before: str
    after: str
    bundle: Digest


@dataclass
class Affected:
    """What changes of a signer's word: counts by kind, and the first of the changes."""

    signer: str
    lost: Counter[str] = field(default_factory=Counter)
    gained: Counter[str] = field(default_factory=Counter)
    listed: list[Moved] = field(default_factory=list)


@dataclass
class Side:
    """What is lost and what is won of one kind, and the first of each."""

    lost: int = 0
    gained: int = 0
    listed: list[tuple[str, str]] = field(default_factory=list)

    def note(self, is_lost: bool, text: Callable[[], str], limit: int) -> None:
        """One more."""
        self.lost, self.gained = self.lost + is_lost, self.gained + (not is_lost)
        if len(self.listed) < limit:
            self.listed.append(("lost" if is_lost else "gained", text()))


@dataclass
class Change:
    """All of it. `artifacts` are those whose believed provenance is lost or won.

    Of `quarantines`, those that are lost no longer stop anything.
    """

    trust: Digest
    signers: dict[str, Affected] = field(default_factory=dict)
    artifacts: Side = field(default_factory=Side)
    quarantines: Side = field(default_factory=Side)


@dataclass(frozen=True)
class _Claim:
    """A fact whose worth is asked."""

    what: str
    bundle: str
    signer: str
    predicate_type: str
    name: str | None
    signed: Times
    about: Callable[[Snapshot], str]


def compare(view: Snapshot, before: TrustRoot, after: TrustRoot, limit: int) -> Change:
    """What would change if `after` were believed instead of `before`.

    At most `limit` changes are listed of each signer, of artifacts and of quarantines.
    """
    who = functools.partial(certified, view.connection)
    old = replace(view, trust=before.knowing(who))
    new = replace(view, trust=after.knowing(who))
    change = Change(after.digest)
    _claims(old, new, change, limit)
    _artifacts(old, new, change.artifacts, limit)
    _quarantines(old, new, change.quarantines, limit)
    return change


def _claims(old: Snapshot, new: Snapshot, change: Change, limit: int) -> None:
    ask_old, ask_new = _asked(old.trust), _asked(new.trust)
    for read in (_statements, _edges, _names):
        for claim in read(old):
            key = (claim.signer, claim.predicate_type, claim.name, claim.signed)
            before, after = ask_old(*key), ask_new(*key)
            if before is not after:
                _note(old, new, change, claim, (before, after), limit)


def _asked(trust: TrustRoot) -> Callable[..., Assurance]:
    @functools.lru_cache(REMEMBERED)
    def ask(signer: str, kind: str, name: str | None, signed: Times) -> Assurance:
        return trust.assurance(signer, kind, name, None, signed)

    return ask


def _note(
    old: Snapshot,
    new: Snapshot,
    change: Change,
    claim: _Claim,
    worth: tuple[Assurance, Assurance],
    limit: int,
) -> None:
    signer = _signer(old.trust, new.trust, claim.signer)
    found = change.signers.setdefault(signer, Affected(signer))
    (found.lost if worth[0] is Assurance.ATTESTED else found.gained)[claim.what] += 1
    if len(found.listed) < limit:
        bundle = Digest("sha256", claim.bundle)
        moved = Moved(claim.what, claim.about(old), str(worth[0]), str(worth[1]), bundle)
        found.listed.append(moved)


def _signer(old: TrustRoot, new: TrustRoot, signer_id: str) -> str:
    """Whose word it is: one of the two lists him, or his word would be worth the same."""
    for trust in (old, new):
        listed = next(trust.entries(signer_id), None)
        if listed is not None:
            return f"{listed.principal} ({listed.label})"
    return old.label(signer_id)


def _stream(view: Snapshot, wanted: Select[Any]) -> Iterator[Any]:
    yield from view.connection.execution_options(yield_per=AT_ONCE).execute(wanted)


_SIGNED = (
    t.statement.c.bundle,
    t.statement.c.signer,
    t.statement.c.predicate_type,
    *TIMES,
)


def _claim(what: str, row: Any, name: str | None, about: Callable[[Snapshot], str]) -> _Claim:
    return _Claim(what, row.bundle, row.signer, row.predicate_type, name, times_of(row), about)


def _statements(view: Snapshot) -> Iterator[_Claim]:
    """What each statement says about each subject."""
    c = t.subject.c
    wanted = (
        select(*_SIGNED, c.name, c.version, c.node_id)
        .join(t.subject, c.statement_id == t.statement.c.id)
        .where(t.statement.c.signer.is_not(None))
        .order_by(t.statement.c.id, c.position)
    )
    for row in _stream(view, wanted):
        about = functools.partial(_about, row.predicate_type, row.name, row.version, row.node_id)
        yield _claim(STATEMENTS, row, row.name, about)


def _about(kind: str, name: str | None, version: str | None, node: int, view: Snapshot) -> str:
    return f"{_thing(view, name, version, node)}: {kind}"


def _edges(view: Snapshot) -> Iterator[_Claim]:
    """Each edge under the names that its statement gives the output.

    Where it gives none, and the output is a file, under those of the artifacts that contain it.
    """
    e, s = t.edge.c, t.subject.c
    named = (s.statement_id == e.statement_id) & (s.node_id == e.output_id)
    holds = t.version.c.artifact_id == t.made.c.artifact_id
    held = select(t.made.c.blob_id, t.version.c.name, t.version.c.version)
    of = held.join(t.version, holds).distinct().subquery("holder")
    name, version = func.coalesce(s.name, of.c.name), func.coalesce(s.version, of.c.version)
    wanted = (
        select(*_SIGNED, e.input_id, e.output_id, e.relation)
        .add_columns(name.label("name"), version.label("version"))
        .select_from(t.edge)
        .join(t.statement, t.statement.c.id == e.statement_id)
        .outerjoin(t.subject, named)
        .outerjoin(of, s.name.is_(None) & (of.c.blob_id == e.output_id))
        # What is a claim, whoever signed it, no trust root changes.
        .where(t.statement.c.signer.is_not(None), e.mark.is_distinct_from(str(Mark.NAMED)))
        .where(t.statement.c.predicate_type != imported.TYPE)
        .order_by(e.statement_id, e.output_id, e.input_id, e.relation, s.position, name, version)
    )
    for row in _stream(view, wanted):
        output = (row.name, row.version, row.output_id)
        about = functools.partial(_edge_text, output, row.relation, row.input_id)
        yield _claim(EDGES, row, row.name, about)


def _edge_text(
    output: tuple[str | None, str | None, int], relation: str, source: int, view: Snapshot
) -> str:
    return f"{_thing(view, *output)} {relation} {_label(view, source)}"


def _names(view: Snapshot) -> Iterator[_Claim]:
    """What binds a name to an artifact."""
    c = t.version.c
    wanted = (
        select(*_SIGNED, c.name, c.version, c.artifact_id)
        .select_from(t.version)
        .join(t.statement, t.statement.c.id == c.statement_id)
        .where(t.statement.c.signer.is_not(None))
        .order_by(c.id)
    )
    for row in _stream(view, wanted):
        about = functools.partial(_name_text, row.name, row.version, row.artifact_id)
        yield _claim(NAMES, row, row.name, about)


def _name_text(name: str, version: str, node: int, view: Snapshot) -> str:
    return f"{name}:{version} is {query.digests(view.connection, [node])[node].short}"


def _thing(view: Snapshot, name: str | None, version: str | None, node: int) -> str:
    return f"{name}:{version}" if name else _label(view, node)


def _label(view: Snapshot, node: int) -> str:
    return labels(view, {node})[node]


def _artifacts(old: Snapshot, new: Snapshot, side: Side, limit: int) -> None:
    """Artifacts with provenance that the gate counts under one of the two only."""
    c = t.subject.c
    wanted = (
        select(*_SIGNED, c.node_id, c.name, c.version)
        .join(t.subject, c.statement_id == t.statement.c.id)
        .join(t.artifact, t.artifact.c.id == c.node_id)
        .where(t.statement.c.signer.is_not(None), t.statement.c.predicate_type == provenance.TYPE)
        .order_by(c.node_id, c.name, c.version)
    )
    rows = _stream(old, wanted)
    for (node, name, version), group in groupby(rows, lambda r: (r.node_id, r.name, r.version)):
        before, after = _believed(old, new, group)
        if before != after:
            side.note(before, functools.partial(_thing, old, name, version, node), limit)


def _believed(old: Snapshot, new: Snapshot, rows: Iterable[Any]) -> tuple[bool, bool]:
    """Whether enough principals said so, and whether they would have."""
    said = list(rows)
    return _is_believed(old, said), _is_believed(new, said)


def _is_believed(view: Snapshot, rows: Sequence[Any]) -> bool:
    kind, name = rows[0].predicate_type, rows[0].name
    voices = (
        view.trust.principals(row.signer, kind, name, view.now, times_of(row)) for row in rows
    )
    return distinct(voices) >= view.trust.needed(kind, name)


def _quarantines(old: Snapshot, new: Snapshot, side: Side, limit: int) -> None:
    """Quarantines, and stops that this version does not understand, that count under one only."""
    before, after = _counting(old), _counting(new)
    for key in sorted(before.keys() | after.keys()):
        lost = _minus(before.get(key, []), after.get(key, []))
        gained = _minus(after.get(key, []), before.get(key, []))
        for rows, is_lost in ((lost, True), (gained, False)):
            if rows:
                side.note(is_lost, functools.partial(_stop_text, old, new, rows), limit)


def _minus(rows: Sequence[StatusRow], others: Sequence[StatusRow]) -> list[StatusRow]:
    # Lifted for its own name, a target stops less (see `in_force`).
    there = {(row.node_id, bool(row.lifts)) for row in others}
    return [
        row
        for row in rows
        if (row.node_id, False) not in there and not (row.lifts and (row.node_id, True) in there)
    ]


def _counting(view: Snapshot) -> dict[tuple[int, str], list[StatusRow]]:
    """Statement -> those of its targets that it stops."""
    found: dict[tuple[int, str], list[StatusRow]] = {}
    stops = (*in_force(view), *matched.everywhere(view))
    for row in (*stops, *statuses.statuses(view.connection, UNKNOWN)):
        if quarantine_worth(view, row, None) is Assurance.ATTESTED:
            found.setdefault((row.fact.n, row.statement), []).append(row)
    return found


def _stop_text(old: Snapshot, new: Snapshot, rows: Sequence[StatusRow]) -> str:
    row = rows[0]
    who = _signer(old.trust, new.trust, row.fact.signer or "")
    what = status_predicate.QUARANTINE if row.action != UNKNOWN else "an unknown stop"
    more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
    return f"{what} of {_label(old, row.node_id)}{more} by {who}: {row.reason}"
