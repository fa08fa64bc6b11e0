"""What vouches for everything upstream, for the gate's step about ancestors.

The walk follows edges that are worth what the policy asks for: where that is attested,
an untrusted signer can neither add an ancestor nor take one away. Each statement about
an ancestor is read from the store and its signature verified again here, whatever the
catalogue says of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from stemma_attestations.accepted import Signed, verified
from stemma_attestations.ancestry import standing
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused, Undecided
from stemma_attestations.grants import distinct
from stemma_attestations.guarding import guarded
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import admission, provenance
from stemma_attestations.request import Ancestor, Vouching
from stemma_attestations.requirements import gaps
from stemma_attestations.statement import Statement
from stemma_attestations.times import format_time
from stemma_attestations.trust import Assurance
from stemma_registry import stored
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage.status import Hop, State, as_edge, parents_over
from stemma_registry.reference import labels
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
) -> list[Ancestor]:
    """Everything upstream that each of the walks meets, nearest first.

    Raises Undecided where there are more than `LIMITS.ancestors`, or where a
    statement is lost or damaged.
    """
    met = [(walk, _met(snapshot, start, walk)) for walk in walks]
    states = {state for _, reached in met for state in reached}
    looked = _Look(snapshot, store, roots).at(states)
    names = labels(snapshot, {start[0]}) | {node: one.label for (node, _), one in looked.items()}
    digests = query.digests(snapshot.connection, names)
    return [
        replace(
            looked[state],
            depth=depth,
            edges=walk.edges,
            edge=as_edge(snapshot, hop, state[0], names, digests),
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


def _met(snapshot: Snapshot, start: State, walk: Walk) -> dict[State, tuple[int, Hop]]:
    """The states upstream, each with its distance and the hop that leads to it."""
    met: dict[State, tuple[int, Hop]] = {}
    frontier, level = [start], 0
    while frontier and (walk.depth is None or level < walk.depth):
        level += 1
        found = parents_over(snapshot, frontier, walk.edges)
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
    read: dict[Digest, tuple[int, Signed | None]] = field(default_factory=dict)

    def at(self, states: Iterable[State]) -> dict[State, Ancestor]:
        """What stands behind each of the states."""
        asked: dict[int, list[State]] = {}
        for state in states:
            asked.setdefault(state[0], []).append(state)
        names = labels(self.snapshot, set(asked))
        digests = query.digests(self.snapshot.connection, asked)
        proven, admitted = (query.facts_of(self.snapshot.connection, asked, kind) for kind in _SAID)
        found = {}
        for node, here in asked.items():
            for state in here:
                about = (digests[node], state[1])
                if about[0].algorithm == "gitCommit":
                    found[state] = Ancestor(names[node], 0, code=True)
                    continue
                lets, refused = self._admitted(about, admitted.get(node, []))
                vouching = self._vouching(about, proven.get(node, []))
                found[state] = Ancestor(names[node], 0, vouching, lets, refused)
        return found

    def _vouching(
        self, about: tuple[Digest, str | None], facts: Iterable[Fact]
    ) -> tuple[Vouching, ...]:
        """What each statement of provenance is worth."""
        found: list[tuple[Vouching, frozenset[str]]] = []
        names = {about[1]}
        for bundle, signed in self._heard(facts):
            try:
                statement = signed.statement if signed else self._claim(bundle)
                view = guarded(partial(provenance.parse, statement.predicate), BadStatement)
            except (BadBundle, BadStatement):
                continue  # it says nothing
            open_ends = tuple(gaps(view, commit=True))
            if signed is None:
                found.append((Vouching(Assurance.CLAIMED, open_ends, bundle), frozenset()))
                continue
            who = self._principals(signed, about)
            worth = Assurance.ATTESTED if who else Assurance.SIGNED
            names |= _named(signed, about[0]) if who else set()
            by = self.snapshot.trust.introducing(signed.certified).label(signed.signer)
            one = Vouching(worth, open_ends, bundle, by, signed.signer)
            found.append((one, self._people(signed) if who else who))
        voices = [who for one, who in found if who and not one.gaps]
        needed = self._needed(provenance.TYPE, names)
        if voices and distinct(voices) < needed:
            few = f"provenance by {needed} distinct principals is asked for"
            found = [(replace(v, gaps=(*v.gaps, few)) if w else v, w) for v, w in found]
        return tuple(dict.fromkeys(one for one, _ in found))

    def _admitted(
        self, about: tuple[Digest, str | None], facts: Iterable[Fact]
    ) -> tuple[bool, tuple[str, ...]]:
        """Whether an admission is in force, and why those are not that people may expect."""
        voices: list[frozenset[str]] = []
        refused: list[str] = []
        names = {about[1]}
        for _, signed in self._heard(facts):
            if signed is None:
                continue
            who = self._principals(signed, about)
            by = self.snapshot.trust.introducing(signed.certified).label(signed.signer)
            try:
                said = signed.statement.predicate
                view = guarded(partial(admission.parse, said), BadStatement)
            except BadStatement as error:
                refused.append(f"an admission by {by}: {error}")
                continue
            if not who:
                refused.append(f"admitted by {by}, who may not say so")
            elif view.until is not None and view.ended(self.snapshot.now):
                refused.append(f"its admission by {by} ended at {format_time(view.until)}")
            else:
                voices.append(self._people(signed))
                names |= _named(signed, about[0])
        needed = self._needed(admission.TYPE, names)
        if voices and distinct(voices) < needed:
            refused.append(f"admission by {needed} distinct principals is asked for")
        return bool(voices) and distinct(voices) >= needed, tuple(refused[:5])

    def _needed(self, kind: str, names: Iterable[str | None]) -> int:
        return max(self.snapshot.trust.needed(kind, name) for name in names)

    def _people(self, item: Signed) -> frozenset[str]:
        """Whose the signer is, whatever he may say."""
        trust = self.snapshot.trust.introducing(item.certified)
        return frozenset(entry.principal for entry in trust.entries(item.signer))

    def _heard(self, facts: Iterable[Fact]) -> Iterator[tuple[Digest, Signed | None]]:
        """The statements that are heard, None for one whose signature does not verify."""
        return stored.heard(self.snapshot.trust, facts, self._signed)

    def _signed(self, bundle: Digest) -> tuple[int, Signed | None]:
        """The size of a bundle, and its statement if the signature verifies, whoever made it."""
        if bundle not in self.read:
            item = stored.evidence(self.store, bundle)
            signed = None
            with contextlib.suppress(SignatureRefused, BadBundle, BadKey):
                signed = verified(item, self.snapshot.trust, self.roots)
            self.read[bundle] = len(item.raw), signed
        return self.read[bundle]

    def _claim(self, bundle: Digest) -> Statement:
        """What a bundle says whose signature does not verify. Raises BadBundle, BadStatement."""
        return Bundle.parse(stored.evidence(self.store, bundle).raw).statement()

    def _principals(self, item: Signed, about: tuple[Digest, str | None]) -> frozenset[str]:
        """As whom its signer may say it, for the name that is asked about too."""
        digest, asked = about
        trust = self.snapshot.trust.introducing(item.certified)
        found: set[str] = set()
        for subject in item.statement.subjects_about(digest):
            name = subject_name(subject.name)
            names = {name.name if name else None, *(() if asked is None else (asked,))}
            voices = [
                trust.principals(
                    item.signer, item.statement.predicate_type, one, self.snapshot.now, item.signed
                )
                for one in names
            ]
            found |= frozenset.intersection(*voices)
        return frozenset(found)


def _named(item: Signed, digest: Digest) -> set[str | None]:
    """The names under which a statement speaks about something."""
    names = (subject_name(one.name) for one in item.statement.subjects_about(digest))
    return {name.name for name in names if name is not None}
