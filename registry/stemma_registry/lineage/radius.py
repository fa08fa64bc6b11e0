"""How far a quarantine would reach: to which names below its targets, and on what way.

Decided upward from each name as a verdict does (`status.reach`), but for all names at once: a
hundred thousand models have the same few above them, and each step is taken once for all.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import partial

from stemma_attestations.digest import Digest
from stemma_attestations.request import Stop
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import ahead, halts
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.config import LIMITS
from stemma_registry.lineage import hops, status
from stemma_registry.lineage.hops import Hit, Hop, State
from stemma_registry.lineage.status import Quarantines
from stemma_registry.lineage.upward import Between
from stemma_registry.reference import labels
from stemma_registry.registry import Snapshot

FEW = 2_000  # nodes, from each of which a walk upward is taken by itself
Ways = dict[State, tuple[str, ...]]  # to the nearest target, a line a hop


def ways(
    snapshot: Snapshot,
    starts: Collection[State],
    quarantines: Quarantines,
    within: AbstractSet[int],
    pessimistic: bool = False,
) -> Ways:
    """Those of the states that quarantines reach, each with a shortest way up to one.

    `within` are the nodes that any such way leads over. A state is a node, and the name under
    which it is asked about. `pessimistic` is as of `status.reach`.
    """
    down = _steps(snapshot, starts, within, pessimistic)
    ends = dict[State, Hit]()
    for hit in _hits(snapshot, {*starts, *down}, quarantines, pessimistic):
        ends.setdefault(hit.state, hit)
    above = _below(ends, down)
    # Nearest first, as they were met: whoever is above a state has its lines already.
    shown = {state[0] for state in (*ends, *above)} | {hit.row.node_id for hit in ends.values()}
    shown |= {hop.file for _, hop in above.values() if hop.file is not None}
    names = labels(snapshot, shown)
    found: Ways = {state: tuple(hops.lines_at(hit, names)) for state, hit in ends.items()}
    for state, (parent, hop) in above.items():
        found[state] = (*hops.lines_of(snapshot, hop, parent, names), *found[parent])
    return {state: found[state] for state in starts if state in found}


def stops(
    snapshot: Snapshot, starts: Iterable[State], quarantines: Quarantines
) -> dict[State, list[Stop]]:
    """What stops those of the states that anything stops, without the ways: one for each act."""
    every = set(starts)
    within = _within(snapshot, {node for node, _ in every}, quarantines)
    asked = {state for state in every if state[0] in within}
    down = _steps(snapshot, asked, within, pessimistic=False)
    acts: dict[Digest, dict[State, Hit]] = {}
    for hit in _hits(snapshot, {*asked, *down}, quarantines, pessimistic=False):
        acts.setdefault(hit.row.fact.bundle, {}).setdefault(hit.state, hit)
    found: dict[State, list[Stop]] = {}
    for ends in acts.values():
        nearest = dict(ends)  # one act may say different things of its targets
        for state, (parent, _) in _below(ends, down).items():
            nearest[state] = nearest[parent]
        for state in asked & nearest.keys():
            stop = _stop(snapshot, nearest[state].row, own=state in ends)
            found.setdefault(state, []).append(stop)
    return found


def _within(
    snapshot: Snapshot, nodes: AbstractSet[int], quarantines: Quarantines
) -> AbstractSet[int]:
    """All nodes over which a way may lead from some of these up to a quarantine, and others.

    Above few there is less than below what is stopped; above many there may be everything.
    """
    connection, places, found = snapshot.connection, quarantines.ends, set[int]()
    below = partial(ahead.everything, connection, quarantines.targets.keys())
    if len(nodes) > FEW:
        return below()
    for node in nodes if places else ():
        above = halts.upstream(connection, node, LIMITS.ancestors)
        if len(above) >= LIMITS.ancestors:  # which may not be all of it
            return below()
        if not above.isdisjoint(places):
            found |= above
    return found


def _stop(snapshot: Snapshot, row: StatusRow, *, own: bool) -> Stop:
    return Stop(
        target=row.path or "",
        reason=row.reason,
        by=hops.signer_label(snapshot, row.fact.signer),
        bundle=row.fact.bundle,
        key_id=row.fact.signer,
        statement=Digest("sha256", row.statement),
        own=own,
        mark=row.mark,
    )


def _below(
    ends: Collection[State], down: Mapping[State, list[Hop]]
) -> dict[State, tuple[State, Hop]]:
    """The states below some, nearest first: each with the one above it, and the hop there."""
    found: dict[State, tuple[State, Hop]] = {}
    frontier: Collection[State] = ends
    while frontier:
        following: list[State] = []
        for parent in frontier:
            for hop in down.get(parent, ()):
                if hop.child not in found and hop.child not in ends:
                    found[hop.child] = parent, hop
                    following.append(hop.child)
        frontier = following
    return found


def _steps(
    snapshot: Snapshot, starts: Iterable[State], within: AbstractSet[int], pessimistic: bool
) -> Mapping[State, list[Hop]]:
    """All steps that can be taken up from the states, by where they lead."""
    above, least = Between(snapshot.connection), status.weakest(pessimistic)
    found: dict[State, list[Hop]] = {}
    frontier, met = sorted(starts, key=_in_order), set(starts)
    while frontier:
        following: list[State] = []
        for parent, hop in status.steps(snapshot, above, frontier, least):
            if parent[0] not in within:
                continue
            found.setdefault(parent, []).append(hop)
            if parent not in met:
                met.add(parent)
                following.append(parent)
        frontier = following
    return found


def _hits(
    snapshot: Snapshot, states: Iterable[State], quarantines: Quarantines, pessimistic: bool
) -> Iterator[Hit]:
    """Where the states meet quarantines that count."""
    places = quarantines.ends
    for state in sorted((state for state in states if state[0] in places), key=_in_order):
        for hit in quarantines.at(state, snapshot):
            if pessimistic or hit.assurance is Assurance.ATTESTED:
                yield hit


def _in_order(state: State) -> tuple[int, str]:
    return state[0], state[1] or ""
