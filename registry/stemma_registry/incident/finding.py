"""Which act an incident is about: a quarantine, or a criterion, and what it stops itself."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from stemma_attestations import distrusting
from stemma_attestations.errors import BadDigest
from stemma_attestations.packages import SCHEME, Wanted
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Distrusted, Packaged, Recorded, Retired
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import acts, query, statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage import matched, status, support
from stemma_registry.lineage.status import quarantine_worth
from stemma_registry.measures import criteria, retiring
from stemma_registry.reference import MIN_PREFIX, resolve
from stemma_registry.registry import Snapshot

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


@dataclass(frozen=True)
class Act:
    """What an incident is about. `nodes` are what it stops itself, `first` the one to be named.

    Of a criterion `anchor` is the node that stands for it, and `nodes` is what it would stop
    if it had not been released.
    """

    statement: str
    nodes: frozenset[int]
    first: int | None
    state: str
    anchor: int | None = None
    row: CriterionRow | None = None

    @property
    def subject(self) -> str | None:
        """What a criterion is about, for people; None for a quarantine."""
        of = self.row.of if self.row else None
        if isinstance(of, Packaged | Recorded):
            return f"whatever has {of.label}"
        if isinstance(of, Distrusted):
            return f"what {of.label} signed {of.window}"
        return f"the name {of.label}" if isinstance(of, Retired) else None

    @property
    def document(self) -> dict[str, Any] | None:
        """The criterion as it was signed; None for a quarantine."""
        return self.row.of.document() if self.row else None


def find(view: Snapshot, text: str) -> Act:
    """What `text` names: the digest that was printed, twelve digits of it, a REF, a package.

    One that was released is found too. Raises NotFound, Refused, BadDigest, BadPackage.
    """
    rows = statuses.statuses(view.connection, predicate.QUARANTINE)
    rows += statuses.statuses(view.connection, predicate.MATCHING)  # also what one names besides
    rules = acts.criteria(view.connection)
    named = _named(view, text, rows, rules)
    if not named:
        raise NotFound(f"{text} was never quarantined itself")
    if len(named) > 1:
        listed = " ".join(f"sha256:{one[:12]}" for one in sorted(named))
        raise Refused(f"{text} was quarantined more than once; name one of: {listed}")
    (statement,) = named
    for rule in rules:
        if rule.statement == statement:
            return _of_criterion(view, rule)
    own = [row for row in rows if row.statement == statement]
    nodes = frozenset(row.node_id for row in own)
    return Act(statement, nodes, own[0].node_id, _state(view, own[0]))


def _named(
    view: Snapshot, text: str, rows: Iterable[StatusRow], rules: Iterable[CriterionRow]
) -> set[str]:
    """The digests of the statements that are meant."""
    if text.startswith(SCHEME):
        wanted = Packaged(Wanted.parse(text))
        return {rule.statement for rule in rules if rule.of == wanted}
    match = _ID.match(text)
    prefix = match[1] if match and len(match[1]) >= MIN_PREFIX else None
    every = {one.statement for one in rows} | {one.statement for one in rules}
    named = {one for one in every if prefix and one.startswith(prefix)}
    if named:
        return named
    if match and not text.startswith("sha256:"):
        raise NotFound(f"no quarantine is {text!r:.80}")
    try:
        node = resolve(view, text).node
    except (NotFound, BadDigest):
        raise NotFound(f"no quarantine is {text!r:.80} (see `stemma log`)") from None
    return {row.statement for row in rows if row.node_id == node}


def _state(view: Snapshot, row: StatusRow) -> str:
    if quarantine_worth(view, row, None) is not Assurance.ATTESTED:
        return "not believed"
    standing = {one.statement for one in status.in_force(view)}
    return "in force" if row.statement in standing else "released"


def _of_criterion(view: Snapshot, rule: CriterionRow) -> Act:
    nodes = frozenset(_met(view, rule))
    states = {one.row.statement: one.believed for one in criteria.standing(view)}
    state = "in force" if rule.statement in states else "released"
    if not acts.is_heard(view.trust, rule.fact):
        state = "not believed"
    anchor = query.node_id(view.connection, criterion.subject(rule.of))
    return Act(rule.statement, nodes, min(nodes, default=None), state, anchor, rule)


def _met(view: Snapshot, rule: CriterionRow) -> Iterable[int]:
    if isinstance(rule.of, Packaged | Recorded):
        return (
            row.node_id
            for row in matched.of(view, rule)
            if quarantine_worth(view, row, None) is Assurance.ATTESTED
        )
    if isinstance(rule.of, Retired):
        return (row.artifact_id for row in retiring.bound(view, rule.of))
    alone = acts.rules([rule], {})
    bare = view.trust.doubting(distrusting.NOBODY)
    then = replace(view, trust=distrusting.overlay(bare, alone, view.now))
    return (row.node_id for row in support.lost(then, support.suspects(view, alone)))
