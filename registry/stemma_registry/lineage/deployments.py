"""What runs where, and on whose word.

A record counts where the trust root lets its signer say so about the name. What others
say is shown, marked, and counts for nothing: it neither adds a host nor ends a run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import deployment
from stemma_attestations.predicates.deployment import Spot
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import deployed, query
from stemma_registry.catalogue.deployed import DeploymentRow, Wanted
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot


class State(StrEnum):
    """How something is deployed. Of what is `lapsed` nobody said that it stopped."""

    RUNNING = "running"
    VERIFIED = "verified"
    STOPPED = "stopped"
    LAPSED = "lapsed"


NOW = (State.RUNNING, State.VERIFIED)


@dataclass(frozen=True)
class Deployed:
    """An artifact somewhere. `said` is when that was last heard, `fact` by which statement.

    `until` is how long it counts, or when it stopped. `believed` is whether the signer
    may say so under the trust root.
    """

    node: int
    digest: Digest
    name: NameVersion
    spot: Spot
    state: State
    instance: str
    since: datetime
    said: datetime
    until: datetime
    by: str
    believed: bool
    fact: Fact


@dataclass(frozen=True)
class Deployments:
    """What was found, believed first. `unheard` is what else strangers said, unread."""

    found: tuple[Deployed, ...] = ()
    unheard: int = 0

    @property
    def believed(self) -> tuple[Deployed, ...]:
        """What counts."""
        return tuple(one for one in self.found if one.believed)

    @property
    def hosts(self) -> list[str]:
        """The hosts of what counts."""
        return sorted({one.spot.host for one in self.believed})

    def of(self, nodes: Iterable[int]) -> Deployments:
        """Those of some nodes."""
        wanted = set(nodes)
        return Deployments(tuple(one for one in self.found if one.node in wanted))

    def by_node(self) -> Mapping[int, Deployments]:
        """The same for each node that is deployed."""
        grouped: dict[int, list[Deployed]] = {}
        for one in self.found:
            grouped.setdefault(one.node, []).append(one)
        return {node: Deployments(tuple(ones)) for node, ones in grouped.items()}


# Node, name, and what tells it from others: the run, or who let it in and where.
_Key = tuple[int, NameVersion, str | Spot, str | None, bool]


@dataclass
class _Gathering:
    """The newest record of each, as they come. Of strangers' only the first few are held."""

    view: Snapshot
    newest: dict[_Key, DeploymentRow] = field(default_factory=dict)
    strange: int = 0
    unheard: int = 0

    def add(self, row: DeploymentRow) -> None:
        believed = _is_believed(self.view, row)
        ran = row.state == deployment.STARTED
        # Whoever is believed may renew another's run; a stranger speaks for himself alone.
        who = None if ran and believed else row.fact.signer
        key = (row.node_id, row.name, row.instance if ran else row.spot, who, believed)
        known = self.newest.get(key)
        if known is None and not believed:
            if self.strange >= LIMITS.others:
                self.unheard += 1
                return
            self.strange += 1
        if known is None or (known.issued, known.fact.n) <= (row.issued, row.fact.n):
            self.newest[key] = row

    def ends(self) -> dict[_Key, datetime]:
        """When runs were stopped, by those who may say so of each."""
        runs = [row.instance for row in self.newest.values() if row.state == deployment.STARTED]
        found: dict[_Key, datetime] = {}
        for row in deployed.stops(self.view.connection, runs):
            believed = _is_believed(self.view, row)
            for who, counts in ((None, True), (row.fact.signer, False)):
                key = (row.node_id, row.name, row.instance, who, counts)
                if key in self.newest and (believed or not counts):
                    found[key] = max(row.issued, found.get(key, row.issued))
        return found


def load(view: Snapshot, wanted: Wanted, ended: bool = False) -> Deployments:
    """What is deployed now as far as is known; with `ended` also what was.

    What strangers say is bounded by `LIMITS.others`, and never in the way of the rest.
    """
    gathering = _Gathering(view)
    asked = wanted if ended else replace(wanted, after=view.now)
    for row in deployed.records(view.connection, asked):
        gathering.add(row)
    ends = gathering.ends()
    digests = query.digests(view.connection, (row.node_id for row in gathering.newest.values()))
    found = [
        _deployed(view, row, key[-1], digests[row.node_id], ends.get(key))
        for key, row in gathering.newest.items()
    ]
    if not ended:
        found = [one for one in found if one.state in NOW]
    found.sort(key=lambda one: (not one.believed, one.state not in NOW, one.name, *_order(one)))
    return Deployments(tuple(found), gathering.unheard)


def _is_believed(view: Snapshot, row: DeploymentRow) -> bool:
    fact = row.fact
    worth = view.trust.assurance(fact.signer, deployment.TYPE, row.name.name, None, fact.signed)
    return worth is Assurance.ATTESTED


def _deployed(
    view: Snapshot, row: DeploymentRow, believed: bool, digest: Digest, end: datetime | None
) -> Deployed:
    until = row.until if row.until is not None else row.issued
    if end is not None:
        state, until = State.STOPPED, end
    elif until <= view.now:
        state = State.LAPSED
    else:
        state = State.RUNNING if row.state == deployment.STARTED else State.VERIFIED
    return Deployed(
        node=row.node_id,
        digest=digest,
        name=row.name,
        spot=row.spot,
        state=state,
        instance=row.instance,
        since=row.since,
        said=row.issued,
        until=until,
        by=signer_label(view, row.fact.signer),
        believed=believed,
        fact=row.fact,
    )


def _order(one: Deployed) -> tuple[str, str, str, datetime, str]:
    spot = one.spot
    return spot.host, spot.service or "", spot.stage or "", one.since, one.instance
