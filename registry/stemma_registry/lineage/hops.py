"""How a walk upward got where it is: hop by hop, in words and for machines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from stemma_attestations.digest import Digest
from stemma_attestations.reasons import Edge
from stemma_attestations.request import Stop
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import StatusRow
from stemma_registry.reference import labelled
from stemma_registry.registry import Snapshot

State = tuple[int, str | None]
Digests = Mapping[int, Digest]


class Hop(NamedTuple):
    """How a state was reached: from which, and by whose word (nobody's for containment).

    `path` is the file that was passed by: one of the state, or one of the `child`, of which it
    is said then (`file`).
    """

    child: State
    relation: str
    assurance: Assurance
    bundle: Digest | None = None
    signer: str | None = None
    path: str | None = None
    file: int | None = None


@dataclass(frozen=True)
class Hit:
    """A quarantine that reaches the artifact, at `state`, by way of `file` if it is a file's."""

    row: StatusRow
    state: State
    file: str | None
    assurance: Assurance


def stops(
    snapshot: Snapshot,
    hits: Sequence[Hit],
    hops: dict[State, Hop | None],
    pessimistic: bool,
) -> list[Stop]:
    """One Stop for each quarantine that counts in this walk, by its nearest target."""
    wanted: dict[Digest, Hit] = {}
    for hit in hits:
        if pessimistic or hit.assurance is Assurance.ATTESTED:
            wanted.setdefault(hit.row.fact.bundle, hit)
    shown = {hit.row.node_id for hit in wanted.values()}
    for hit in wanted.values():
        trail = _trail(hit.state, hops)
        shown |= {state[0] for state in trail}
        shown |= {hop.file for state in trail if (hop := hops[state]) and hop.file is not None}
    known = query.digests(snapshot.connection, shown)
    names = labelled(snapshot, known)
    return [_stop(snapshot, hit, hops, names, known) for hit in wanted.values()]


def _trail(state: State, hops: dict[State, Hop | None]) -> list[State]:
    """The states from `state` down to the start of the walk."""
    trail = [state]
    while (hop := hops[trail[-1]]) is not None:
        trail.append(hop.child)
    return trail


def _stop(
    snapshot: Snapshot,
    hit: Hit,
    hops: dict[State, Hop | None],
    names: Mapping[int, str],
    digests: Digests,
) -> Stop:
    lines, edges = list[str](), list[Edge]()
    for state in reversed(_trail(hit.state, hops)[:-1]):
        hop = hops[state]
        if hop is not None:
            lines += lines_of(snapshot, hop, state, names)
            if hop.file is not None:
                edges.append(_held(hop.child[0], hop.file, hop.path, names, digests))
            edges.append(as_edge(snapshot, hop, state[0], names, digests))
    target = names[hit.row.node_id]
    if hit.file is not None:
        lines += lines_at(hit, names)
        edges.append(_held(hit.state[0], hit.row.node_id, hit.file, names, digests))
        target = f"{hit.file} ({target})"
    return Stop(
        target=target,
        reason=hit.row.reason,
        by=signer_label(snapshot, hit.row.fact.signer),
        bundle=hit.row.fact.bundle,
        path=tuple(lines),
        key_id=hit.row.fact.signer,
        edges=tuple(edges),
        statement=Digest("sha256", hit.row.statement),
        own=hops[hit.state] is None,
        mark=hit.row.mark,
    )


def lines_at(hit: Hit, names: Mapping[int, str]) -> list[str]:
    """What is said where a walk ends."""
    contained = f"  which contains {hit.file} ({names[hit.row.node_id]})"
    return [] if hit.file is None else [contained]


def lines_of(
    snapshot: Snapshot, hop: Hop, parent: State, names: Mapping[int, str]
) -> Iterator[str]:
    """What is said of a hop up to `parent`."""
    other = names[parent[0]]
    if hop.bundle is None:
        yield f"  which is {hop.path} of {other} (contains)"
        return
    if hop.file is not None:
        yield f"  which contains {hop.path} ({names[hop.file]})"
    who = signer_label(snapshot, hop.signer)
    yield f"  {hop.relation} {other} ({hop.assurance} by {who}, {hop.bundle.short})"


def _held(
    artifact: int, blob: int, path: str | None, names: Mapping[int, str], digests: Digests
) -> Edge:
    """From an artifact up to a file of it, for machines."""
    word = str(Assurance.CONTAINS)
    ends = digests[artifact], names[artifact], word, digests[blob], names[blob]
    return Edge(*ends, word, path=path)


def as_edge(
    snapshot: Snapshot, hop: Hop, parent: int, names: Mapping[int, str], digests: Digests
) -> Edge:
    """A hop up to `parent`, for machines."""
    child = hop.child[0] if hop.file is None else hop.file
    # What is contained is below what contains it, and the walk went up.
    return Edge(
        digests[child],
        names[child],
        hop.relation,
        digests[parent],
        names[parent],
        str(hop.assurance),
        hop.bundle,
        signer_label(snapshot, hop.signer) if hop.bundle else None,
        hop.path if hop.file is None else None,
    )


def signer_label(snapshot: Snapshot, key_id: str | None) -> str:
    """A signer for people: the principal, else the beginning of the key's id."""
    if key_id is None:
        return "nobody"
    return snapshot.trust.label(key_id)
