"""What stops an artifact: quarantines that reach it, and on whose word.

The walk goes upward from the artifact. A state is a node together with the
name it is asked about, because a signer who may speak for `x/*` cannot speak
about `prod/y` by way of the same bytes (see TrustRoot.assurance). It is done
twice: along attested edges (what it reaches *stops*), and along all edges
(what only that reaches is *suspect* and shown).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from stemma_attestations import releasing
from stemma_attestations.digest import Digest
from stemma_attestations.edges import is_claim
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import status as status_predicate
from stemma_attestations.relations import propagates
from stemma_attestations.releasing import Voice
from stemma_attestations.request import StatusView, Stop
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import acts, climb, halts, made, query, statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.rows import EdgeRow, Fact, StatusRow
from stemma_registry.config import LIMITS
from stemma_registry.lineage import hops, matched, retired, sought, support, undecided, waivers
from stemma_registry.lineage.hops import Hit, Hop, State
from stemma_registry.lineage.upward import Between
from stemma_registry.registry import Snapshot

ORDER = tuple(Assurance)
# So many nodes above an artifact are looked at by one query. Where there are more, a walk level by
# level is faster; not where each level is a question to a server.
NEAR = {"sqlite": 400, "postgresql": 10_000}


@dataclass
class Quarantines:
    """The quarantines in force, ready to be met by a walk.

    `targets` are quarantined nodes; `inside` are artifacts that contain a
    quarantined blob, with the file's path.
    """

    targets: dict[int, list[StatusRow]] = field(default_factory=dict)
    inside: dict[int, list[tuple[StatusRow, str]]] = field(default_factory=dict)

    @property
    def ends(self) -> set[int]:
        """Where a walk may meet one."""
        return self.targets.keys() | self.inside.keys()

    def bundles(self, nodes: Collection[int]) -> set[Digest]:
        """Those of the quarantines that a walk over these nodes may meet."""
        rows = [row for node in nodes for row in self.targets.get(node, ())]
        rows += [row for node in nodes for row, _ in self.inside.get(node, ())]
        return {row.fact.bundle for row in rows}

    def at(self, state: State, snapshot: Snapshot) -> list[Hit]:
        """The quarantines that a state meets, each with what it is worth there."""
        node, asked = state
        met: list[tuple[StatusRow, str | None]] = [(r, None) for r in self.targets.get(node, [])]
        met += self.inside.get(node, [])
        return [
            Hit(row, state, file, quarantine_worth(snapshot, row, asked, held=file is not None))
            for row, file in met
            if not _is_lifted(snapshot, row, asked)
        ]


def quarantine_worth(
    snapshot: Snapshot, row: StatusRow, asked: str | None, *, held: bool = False
) -> Assurance:
    """The assurance of a quarantine for a question about the name `asked`.

    Of a criterion, that of the word by which it meets its target, where that is worth less.
    Where what is asked about only holds the target, a word that gives it no name is about that.
    """
    fact, trust, seen = row.fact, snapshot.trust, row.evidence
    worth = trust.assurance(fact.signer, status_predicate.TYPE, fact.name, asked, fact.signed)
    if seen is None:
        return worth
    said = seen.signer, seen.predicate_type
    if held and seen.name is None:
        other = trust.of_file(*said, asked, seen.signed)
    else:
        other = trust.assurance(*said, seen.name, asked, seen.signed)
    return max(worth, other, key=ORDER.index)


def in_force(snapshot: Snapshot, targets: Collection[int] | None = None) -> list[StatusRow]:
    """Quarantines that no believed release has lifted for every question, whoever signed them.

    Of these targets (None: of all). A row with `lifts` is lifted for its own name, and may still
    stop the same bytes under another: that is decided where the name is known (`Quarantines.at`).
    """
    connection, action = snapshot.connection, status_predicate.QUARANTINE
    if targets is None:
        rows, released = statuses.statuses(connection, action), statuses.releases(connection)
    else:
        rows = statuses.statuses_of(connection, action, targets)
        released = statuses.releases_of(connection, [row.statement for row in rows])
    found = []
    for row in rows:
        name, now, by = row.fact.name, snapshot.now, voice(row.fact)
        lifts = [
            fact
            for fact in released.get(row.statement, [])
            if releasing.lifts(snapshot.trust, voice(fact), name, None, now)
        ]
        voices = [voice(fact) for fact in lifts]
        if not voices or not releasing.lifts_wholly(snapshot.trust, voices, by, name, now):
            found.append(replace(row, lifts=tuple(lifts)) if lifts else row)
    return found


def voice(fact: Fact) -> Voice:
    """Who stands behind a status."""
    return Voice(fact.signer, fact.signed)


def stopping(snapshot: Snapshot) -> list[StatusRow]:
    """All that stops something: quarantines, criteria, what distrust left without support."""
    rows = [*in_force(snapshot), *support.all_lost(snapshot)]
    return [*rows, *matched.everywhere(snapshot)]


def load(snapshot: Snapshot, rows: Iterable[StatusRow]) -> Quarantines:
    """Index quarantines by the nodes at which a walk meets them."""
    found = Quarantines()
    for row in rows:
        found.targets.setdefault(row.node_id, []).append(row)
    for part in query.containers(snapshot.connection, found.targets):
        for row in found.targets[part.blob_id]:
            found.inside.setdefault(part.artifact_id, []).append((row, part.path))
    return found


def view(snapshot: Snapshot, node: int, name: NameVersion | None) -> StatusView:
    """What the gate needs to know about everything upstream of an artifact."""
    connection, limit = snapshot.connection, LIMITS.ancestors
    near, live, wanted = NEAR[connection.dialect.name], support.live(snapshot.trust), None
    if not live and not halts.any_near(connection, node, near):
        return StatusView(entry=snapshot.n, undecided=snapshot.doubt)
    unknown, heard = undecided.everywhere(snapshot), acts.heard(connection, snapshot.trust)
    named = retired.stops(snapshot, name, heard)
    clear = StatusView(entry=snapshot.n, stops=tuple(named), undecided=unknown)
    if live or halts.is_anywhere(connection):
        wanted = sought.of(snapshot, heard)
        if not halts.any_near(connection, node, near, wanted):
            return clear
    above = climb.shape(
        connection, node, limit, lambda: halts.any_above(connection, node, limit, wanted)
    )
    met = None if above is None else halts.among(connection, above, wanted)
    if met is not None and not met:
        return clear
    quarantines, ends = _stopping(snapshot, heard, met)
    between = Between.of(connection, above, ends)
    if between.nodes is not None and not between.nodes:
        return clear
    start: State = (node, name.name if name else None)
    stops, why = reach(snapshot, start, quarantines, between=between)
    left, waived = waivers.let_pass(snapshot, node, start[1], stops)
    stopped, everything = {stop.bundle for stop in stops}, list[Stop]()
    if between.nodes is None or quarantines.bundles(between.nodes) - stopped:
        everything, _ = reach(snapshot, start, quarantines, pessimistic=True, between=between)
    suspects = [stop for stop in everything if stop.bundle not in stopped]
    return StatusView(
        entry=snapshot.n,
        stops=(*named, *left),
        suspects=tuple(suspects[: LIMITS.paths]),
        undecided=unknown or why,
        waived=tuple(waived),
    )


def _stopping(
    snapshot: Snapshot, heard: Sequence[CriterionRow], met: set[int] | None
) -> tuple[Quarantines, set[int]]:
    """What is in force, and where a walk meets it: of what was met above (None: everywhere)."""
    rows = in_force(snapshot, None if met is None else halts.targets(snapshot.connection, met))
    found = load(snapshot, rows)
    ends = found.ends if met is None else found.ends & met
    more = [*support.lost_above(snapshot, met), *matched.above(snapshot, heard, met)]
    if more:
        ends |= load(snapshot, more).ends
        found = load(snapshot, [*rows, *more])
    return found, ends


def reach(
    snapshot: Snapshot,
    start: State,
    quarantines: Quarantines,
    pessimistic: bool = False,
    between: Between | None = None,
) -> tuple[list[Stop], str | None]:
    """The quarantines that reach `start`, nearest first, and why that may not be all.

    Pessimistic walks take every edge and every quarantine, believed or not. `between` is what
    of everything above it matters, where that is known.
    """
    above = between or Between(snapshot.connection)
    least = weakest(pessimistic)
    how: dict[State, Hop | None] = {start: None}
    frontier: list[State] = [start]
    hits: list[Hit] = []
    while frontier:
        for state in frontier:
            hits += quarantines.at(state, snapshot)
        if len(how) > LIMITS.ancestors:
            return hops.stops(snapshot, hits, how, pessimistic), (
                f"more than {LIMITS.ancestors} ancestors; the limit is a named one"
            )
        frontier = _parents(snapshot, above, frontier, how, least)
    return hops.stops(snapshot, hits, how, pessimistic), None


def weakest(pessimistic: bool) -> Assurance:
    """The weakest word that such a walk goes by."""
    return Assurance.CONTAINS if pessimistic else Assurance.ATTESTED


def _parents(
    snapshot: Snapshot,
    above: Between,
    frontier: Sequence[State],
    how: dict[State, Hop | None],
    least: Assurance,
) -> list[State]:
    """The states one step up that were not met before; `how` remembers by which hop."""
    found: list[State] = []
    for parent, hop in steps(snapshot, above, frontier, least):
        if parent not in how:
            how[parent] = hop
            found.append(parent)
    return found


def steps(
    snapshot: Snapshot, above: Between, frontier: Iterable[State], least: Assurance
) -> Iterator[tuple[State, Hop]]:
    """The steps up from these states, each with the hop there."""
    asked: dict[int, list[State]] = {}
    for state in frontier:
        asked.setdefault(state[0], []).append(state)
    for edge in above.edges_into(asked):
        yield from _along(snapshot, edge, asked[edge.output_id], least, edge_worth)
    # What a file of it came from. Of others that contain that file this says nothing.
    for edge, part in above.edges_into_files(asked):
        for parent, hop in _along(snapshot, edge, asked[part.artifact_id], least, file_worth):
            yield parent, hop._replace(path=part.path, file=part.blob_id)
    if least is Assurance.CONTAINS:
        # A file that was used by itself may come out of an artifact that is tainted as a whole.
        for part in above.containers(asked):
            for state in asked[part.blob_id]:
                word = Assurance.CONTAINS
                yield (part.artifact_id, None), Hop(state, str(word), word, path=part.path)


def _along(
    snapshot: Snapshot,
    edge: EdgeRow,
    states: Iterable[State],
    least: Assurance,
    worth_of: Callable[[Snapshot, EdgeRow, str | None], Assurance],
) -> Iterator[tuple[State, Hop]]:
    """The hops from these states up an edge, where it carries something and is worth that."""
    if not propagates(edge.relation):
        return
    for state in states:
        worth = worth_of(snapshot, edge, state[1])
        if ORDER.index(worth) <= ORDER.index(least):
            hop = Hop(state, edge.relation, worth, edge.fact.bundle, edge.fact.signer)
            yield (edge.input_id, edge.input_name), hop


def edge_worth(snapshot: Snapshot, edge: EdgeRow, asked: str | None) -> Assurance:
    """The assurance of an edge for a question about the output under the name `asked`."""
    fact = edge.fact
    if is_claim(edge.mark, fact.predicate_type):
        return Assurance.CLAIMED
    return snapshot.trust.assurance(fact.signer, fact.predicate_type, fact.name, asked, fact.signed)


def file_worth(snapshot: Snapshot, edge: EdgeRow, asked: str | None) -> Assurance:
    """The same of an edge into a file, for a question about an artifact that contains it."""
    fact = edge.fact
    if fact.name is not None or is_claim(edge.mark, fact.predicate_type):
        return edge_worth(snapshot, edge, asked)
    return snapshot.trust.of_file(fact.signer, fact.predicate_type, asked, fact.signed)


def worths(snapshot: Snapshot, edges: Sequence[EdgeRow]) -> list[Assurance]:
    """What edges are worth where nobody asks about a name: also those into files of artifacts."""
    found = [edge_worth(snapshot, edge, None) for edge in edges]
    open_ = {
        edge.output_id
        for edge, worth in zip(edges, found, strict=True)
        if worth is Assurance.SIGNED and edge.fact.name is None
    }
    files = made.held(snapshot.connection, open_) if open_ else ()
    return [
        file_worth(snapshot, edge, None) if edge.output_id in files else worth
        for edge, worth in zip(edges, found, strict=True)
    ]


def _is_lifted(snapshot: Snapshot, row: StatusRow, asked: str | None) -> bool:
    """Whether somebody who may speak about `asked` too has released this target."""
    voices = [voice(fact) for fact in row.lifts]
    return bool(voices) and releasing.lifted(
        snapshot.trust, voices, row.fact.name, asked, snapshot.now
    )
