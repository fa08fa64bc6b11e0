"""What vouches for everything upstream, for the gate's step about ancestors.

The walk follows edges that are worth what the policy asks for: where that is attested,
an untrusted signer can neither add an ancestor nor take one away. Each statement about
an ancestor is read from the store and its signature verified again here, whatever the
catalogue says of it.
"""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from stemma_attestations.ancestry import standing
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused, Undecided
from stemma_attestations.grants import distinct
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import admission, provenance
from stemma_attestations.reasons import Edge
from stemma_attestations.request import Ancestor, Vouching
from stemma_attestations.statement import Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance
from stemma_registry import stored
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import climb, query
from stemma_registry.catalogue.climb import Spoken
from stemma_registry.config import LIMITS
from stemma_registry.lineage import said
from stemma_registry.lineage.climbing import Climb
from stemma_registry.lineage.hops import Hop, State, as_edge
from stemma_registry.lineage.remembered import Remembered
from stemma_registry.lineage.said import Said
from stemma_registry.reference import labelled
from stemma_registry.registry import Snapshot

# What `coverage` counts, best first.
STANDINGS = ("attested", "admitted", "signed", "claimed", "incomplete", "unknown")
_SAID = (provenance.TYPE, admission.TYPE)


@dataclass(frozen=True)
class Walk:
    """How far to go: over edges that are worth `edges` at least, `depth` of them (None: all)."""

    edges: Assurance = Assurance.ATTESTED
    depth: int | None = None


def ancestors(
    snapshot: Snapshot,
    store: Store,
    roots: Mapping[Digest, bytes],
    start: State,
    walks: Sequence[Walk] = (Walk(),),
    memory: Remembered | None = None,
) -> list[Ancestor]:
    """Everything upstream that each of the walks meets, nearest first.

    `memory` knows of bundles that were verified before, and learns. Raises Undecided
    where there are more than `LIMITS.ancestors`, or where a statement is lost or damaged.
    """
    with _undisturbed():
        return _ancestors(snapshot, store, roots, start, walks, memory or Remembered.off())


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Without the collector of cycles: a walk makes none, and thousands of things that stay.

    It would look through all of them again and again, for a quarter of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _ancestors(
    snapshot: Snapshot,
    store: Store,
    roots: Mapping[Digest, bytes],
    start: State,
    walks: Sequence[Walk],
    memory: Remembered,
) -> list[Ancestor]:
    way = Climb(snapshot)
    met = [(walk, _met(way, start, walk)) for walk in walks]
    states = dict.fromkeys(state for _, reached in met for state in reached)
    look = _Look(snapshot, store, roots, memory)
    looked = look.at(states, start)
    return [
        replace(
            looked[state],
            depth=depth,
            edges=walk.edges,
            edge=look.edge(looked[state], hop, state[0]),
        )
        for walk, reached in met
        for state, (depth, hop) in reached.items()
    ]


def coverage(found: Iterable[Ancestor]) -> dict[str, int]:
    """How many ancestors stand how, by the words of STANDINGS; commits are not counted.

    What is upstream under several names counts once, by the worst of them.
    """
    worst: dict[str, int] = {}
    for one in found:
        if not one.code:
            rank = STANDINGS.index(standing(one))
            worst[one.label] = max(rank, worst.get(one.label, 0))
    ranks = list(worst.values())
    return {word: ranks.count(rank) for rank, word in enumerate(STANDINGS)}


def _met(way: Climb, start: State, walk: Walk) -> dict[State, tuple[int, Hop]]:
    """The states upstream, each with its distance and the hop that leads to it."""
    met: dict[State, tuple[int, Hop]] = {}
    frontier, level = [start], 0
    while frontier and (walk.depth is None or level < walk.depth):
        level += 1
        found = way.parents(frontier, walk.edges)
        frontier = [s for s in found if s not in met and s != start]
        met.update({state: (level, found[state]) for state in frontier})
        if len(met) >= LIMITS.ancestors:
            raise Undecided(f"more than {LIMITS.ancestors} ancestors; the limit is a named one")
    # A node is its own ancestor only where somebody forged a circle of digests.
    return {state: reached for state, reached in met.items() if state[0] != start[0]}


@dataclass
class _Look:
    """Reads what is said about nodes; a statement about many of them is verified once."""

    snapshot: Snapshot
    store: Store
    roots: Mapping[Digest, bytes]
    memory: Remembered
    sizes: dict[Digest, int] = field(default_factory=dict)  # of what does not verify
    names: dict[str | None, str | None] = field(default_factory=dict)
    digests: dict[int, Digest] = field(default_factory=dict)
    labels: dict[int, str] = field(default_factory=dict)

    def at(self, states: Iterable[State], start: State) -> dict[State, Ancestor]:
        """What stands behind each of the states upstream of `start`."""
        asked: dict[int, list[State]] = {}
        for state in states:
            asked.setdefault(state[0], []).append(state)
        connection = self.snapshot.connection
        self.digests = query.digests(connection, {start[0], *asked})
        self.labels = labelled(self.snapshot, self.digests)
        spoken = climb.spoken_about(connection, asked, _SAID)
        proven, admitted = (spoken[kind] for kind in _SAID)
        heard = (one for kind in _SAID for facts in spoken[kind].values() for one in facts)
        self.memory.recall({one.bundle for one in heard})
        found = {}
        for node, here in asked.items():
            for state in here:
                about = (self.digests[node], state[1])
                if about[0].algorithm == "gitCommit":
                    found[state] = Ancestor(self.labels[node], 0, code=True)
                    continue
                lets, refused = self._admitted(about, admitted.get(node, []))
                vouching = self._vouching(about, proven.get(node, []))
                found[state] = Ancestor(self.labels[node], 0, vouching, lets, refused)
        self.memory.save()
        return found

    def edge(self, one: Ancestor, hop: Hop, node: int) -> Edge | None:
        """The hop to an ancestor, for machines; None where no rule can refuse it."""
        if one.code or standing(one) == Assurance.ATTESTED:
            return None
        return as_edge(self.snapshot, hop, node, self.labels, self.digests)

    def _vouching(
        self, about: tuple[Digest, str | None], facts: Iterable[Spoken]
    ) -> tuple[Vouching, ...]:
        """What each statement of provenance is worth."""
        found: list[tuple[Vouching, frozenset[str]]] = []
        names = {about[1]}
        for bundle, item in self._heard(facts):
            if item is None:
                with contextlib.suppress(BadBundle, BadStatement):  # else it says nothing
                    claimed = self._claim(bundle)
                    open_ends, commits = said.left_open(claimed), said.built_from(claimed)
                    claim = Vouching(Assurance.CLAIMED, open_ends, bundle, commits=commits)
                    found.append((claim, frozenset()))
                continue
            if item.unreadable is not None:
                continue  # it says nothing
            who = self._principals(item, about)
            worth = Assurance.ATTESTED if who else Assurance.SIGNED
            names |= self._named(item, about[0]) if who else set()
            by = self.snapshot.trust.introducing(item.certified).label(item.signer)
            one = Vouching(worth, item.gaps, bundle, by, item.signer, item.commits)
            found.append((one, self._people(item) if who else who))
        voices = [who for one, who in found if who and not one.gaps]
        needed = self._needed(provenance.TYPE, names)
        if voices and distinct(voices) < needed:
            few = f"provenance by {needed} distinct principals is asked for"
            found = [(replace(v, gaps=(*v.gaps, few)) if w else v, w) for v, w in found]
        return tuple(dict.fromkeys(one for one, _ in found))

    def _admitted(
        self, about: tuple[Digest, str | None], facts: Sequence[Spoken]
    ) -> tuple[bool, tuple[str, ...]]:
        """Whether an admission is in force, and why those are not that people may expect."""
        if not facts:
            return False, ()
        voices: list[frozenset[str]] = []
        refused: list[str] = []
        names = {about[1]}
        for _, item in self._heard(facts):
            if item is None:
                continue
            who = self._principals(item, about)
            by = self.snapshot.trust.introducing(item.certified).label(item.signer)
            view = item.admission
            if view is None:
                refused.append(f"an admission by {by}: {item.unreadable}")
            elif not who:
                refused.append(f"admitted by {by}, who may not say so")
            elif view.until is not None and view.ended(self.snapshot.now):
                refused.append(f"its admission by {by} ended at {format_time(view.until)}")
            else:
                voices.append(self._people(item))
                names |= self._named(item, about[0])
        needed = self._needed(admission.TYPE, names)
        if voices and distinct(voices) < needed:
            refused.append(f"admission by {needed} distinct principals is asked for")
        return bool(voices) and distinct(voices) >= needed, tuple(refused[:5])

    def _needed(self, kind: str, names: Iterable[str | None]) -> int:
        return max(self.snapshot.trust.needed(kind, name) for name in names)

    def _people(self, item: Said) -> frozenset[str]:
        """Whose the signer is, whatever he may say."""
        trust = self.snapshot.trust.introducing(item.certified)
        return frozenset(entry.principal for entry in trust.entries(item.signer))

    def _heard(self, facts: Iterable[Spoken]) -> Iterator[tuple[Digest, Said | None]]:
        """The statements that are heard, None for one whose signature does not verify."""
        return stored.heard(self.snapshot.trust, facts, self._signed)

    def _signed(self, bundle: Digest) -> tuple[int, Said | None]:
        """The size of a bundle, and its statement if the signature verifies, whoever made it."""
        known = self.memory.get(bundle)
        if known is not None:
            return known.size, known
        if bundle not in self.sizes:
            item = stored.evidence(self.store, bundle)
            with contextlib.suppress(SignatureRefused, BadBundle, BadKey):
                known = said.verify(item, self.snapshot.trust, self.roots)
                self.memory.note(bundle, known)
                return known.size, known
            self.sizes[bundle] = len(item.raw)
        return self.sizes[bundle], None

    def _claim(self, bundle: Digest) -> Statement:
        """What a bundle says whose signature does not verify. Raises BadBundle, BadStatement."""
        return Bundle.parse(stored.evidence(self.store, bundle).raw).statement()

    def _principals(self, item: Said, about: tuple[Digest, str | None]) -> frozenset[str]:
        """As whom its signer may say it, for the name that is asked about too."""
        digest, asked = about
        trust = self.snapshot.trust.introducing(item.certified)
        found: set[str] = set()
        for called in item.names_of(digest):
            names = {self._name(called), *(() if asked is None else (asked,))}
            voices = [
                trust.principals(
                    item.signer, item.predicate_type, one, self.snapshot.now, item.signed
                )
                for one in names
            ]
            found |= frozenset.intersection(*voices)
        return frozenset(found)

    def _named(self, item: Said, digest: Digest) -> set[str | None]:
        """The names under which a statement speaks about something."""
        return {self._name(one) for one in item.names_of(digest)} - {None}

    def _name(self, called: str | None) -> str | None:
        if called not in self.names:
            name = subject_name(called)
            self.names[called] = name.name if name else None
        return self.names[called]
