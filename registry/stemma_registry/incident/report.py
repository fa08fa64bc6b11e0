"""Everything about one quarantine: what, when, by whom, whom it reached, what still runs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.drawing import places
from stemma_registry.incident import plan as planning
from stemma_registry.incident import planned
from stemma_registry.incident.finding import find
from stemma_registry.incident.plan import Plan
from stemma_registry.incident.timeline import Moment, Timeline, timeline
from stemma_registry.lineage import deployments, status
from stemma_registry.lineage.deployments import Deployed
from stemma_registry.lineage.hops import signer_label
from stemma_registry.reference import labels
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.stages import holding

_ID = re.compile(r"(?:sha256:)?([0-9a-f]{1,64})\Z")


@dataclass(frozen=True)
class Standing:
    """Something that is at a stage, or runs; `stopped` is what the gate says of quarantines now.

    None is undecided. `reason` is the first stop's, or why it is not decided.
    """

    name: str
    where: str
    stopped: bool | None
    reason: str


@dataclass(frozen=True)
class Evidence:
    """How one thing was reached, a line for each step of a shortest way."""

    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Incident:
    """A quarantine and all that belongs to it, as of one entry under one trust root.

    `subject` and `criterion` say what is stopped by a criterion, for people and as it was signed.
    `state` is `in force`, `released`, or `not believed`. `actions` are what people did since:
    acts of custody, promotions, rollbacks, approvals.
    """

    id: Digest
    act: Moment
    state: str
    subject: str | None
    criterion: Mapping[str, Any] | None
    plan: Plan
    timeline: Timeline
    actions: tuple[Moment, ...]
    staged: tuple[Standing, ...]
    running: tuple[Standing, ...]
    evidence: tuple[Evidence, ...]
    trust: Digest
    asked: datetime


def incident(registry: Registry, view: Snapshot, text: str, limit: int) -> Incident:
    """The whole incident; `limit` steps are looked at closely. Raises as `find`, and Undecided."""
    about = find(view, text)
    found = planning.of_nodes(registry, view, about.nodes, limit=limit, first=about.first)
    every = {*about.nodes, *found.reach.affected}
    moved = _moved(view, every)
    known = labels(view, every | moved)
    shown = [*about.nodes, *(step.thing.node for step in found.steps)]
    if about.anchor is not None:
        shown, known = [*shown, about.anchor], {**known, about.anchor: about.subject or ""}
    told = timeline(view, known, shown, moved)
    act = next(m for m in told.moments if m.statement == about.statement)
    later = (m for m in told.moments if m.entry >= act.entry)
    return Incident(
        id=Digest("sha256", about.statement),
        act=act,
        state=about.state,
        subject=about.subject,
        criterion=about.document,
        plan=found,
        timeline=told,
        actions=tuple(m for m in later if not m.what.startswith("push ") and not m.place),
        staged=_staged(view, every),
        running=_running(view, every),
        evidence=_evidence(view, found),
        trust=view.trust.digest,
        asked=view.now,
    )


def _moved(view: Snapshot, nodes: set[int]) -> set[int]:
    """What was at the stages where any of the nodes ever was."""
    pasts = holding.histories(view).values()
    there = ({row.artifact_id for row in past.counted} for past in pasts)
    return set[int]().union(*(ids for ids in there if ids & nodes))


def _staged(view: Snapshot, nodes: set[int]) -> tuple[Standing, ...]:
    holders = [past.holder for past in holding.histories(view).values()]
    there = [row for row in holders if row is not None and row.artifact_id in nodes]
    return tuple(_standing(view, row.artifact_id, row.name, row.where) for row in there)


def _running(view: Snapshot, nodes: set[int]) -> tuple[Standing, ...]:
    found = deployments.load(view, Wanted()).of(nodes).found
    return tuple(_standing(view, one.node, one.name, _place(one)) for one in found)


def _place(one: Deployed) -> str:
    return places.line(one)


def _standing(view: Snapshot, node: int, name: NameVersion, where: str) -> Standing:
    seen = status.view(view, node, name)
    if seen.stops:
        return Standing(str(name), where, True, seen.stops[0].reason)
    return Standing(str(name), where, None if seen.undecided else False, seen.undecided or "")


def _evidence(view: Snapshot, found: Plan) -> tuple[Evidence, ...]:
    ways = {step.thing.node: found.reach.way(step.thing.node) for step in found.steps}
    ends = {end for way in ways.values() for link in way for end in (link.input, link.output)}
    known = labels(view, ends)
    told = []
    for step in found.steps:
        lines = []
        for link in ways[step.thing.node]:
            word = str(link.assurance)
            if link.fact is not None:
                who = signer_label(view, link.fact.signer)
                word += f" by {who}, {link.fact.bundle.short}, entry {link.fact.n}"
            said = planned.relation(link)
            lines.append(f"{known[link.output]} {said} {known[link.input]} ({word})")
        told.append(Evidence(step.thing.label, tuple(lines)))
    return tuple(told)


def counts(found: Plan) -> Mapping[str, Mapping[str, int]]:
    """How many of the steps by kind, by stage and by owner, most first."""
    tables: dict[str, Counter[str]] = {"kind": Counter(), "stage": Counter(), "owner": Counter()}
    for step in found.steps:
        tables["kind"][step.thing.kind or "-"] += 1
        tables["owner"][planned.owner(step)] += 1
        for where in step.stages or ("at no stage",):
            tables["stage"][where.rpartition("#")[2]] += 1
    return {by: _most_first(table) for by, table in tables.items()}


def _most_first(table: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(table.items(), key=lambda item: (-item[1], item[0])))


def verdict(one: Standing) -> str:
    """What the gate says of quarantines, for people."""
    if one.stopped is None:
        return f"cannot be decided: {one.reason}"
    return f"refused: {one.reason}" if one.stopped else "not stopped"


def serving(found: Incident) -> Sequence[Standing]:
    """What runs although the gate refuses it now, or cannot say."""
    return [one for one in found.running if one.stopped is not False]
