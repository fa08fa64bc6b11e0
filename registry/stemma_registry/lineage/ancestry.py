"""What vouches for everything upstream, for the gate's step about ancestors.

The walk follows edges that are believed: an untrusted signer can neither add an
ancestor nor take one away. Each ancestor's provenance is read from the store and its
signature verified again here, whatever the catalogue says of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from stemma_attestations.accepted import verified
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadKey, BadStatement, SignatureRefused, Undecided
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import provenance
from stemma_attestations.request import Ancestor, Evidence
from stemma_attestations.requirements import gaps
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.lineage.status import State, parents_on_believed_edges
from stemma_registry.reference import labels
from stemma_registry.registry import Snapshot

_ORDER = (Assurance.ATTESTED, Assurance.SIGNED, Assurance.CLAIMED)


def ancestors(
    snapshot: Snapshot,
    store: Store,
    roots: Mapping[Digest, bytes],
    start: State,
    depth: int | None,
) -> list[Ancestor]:
    """Everything within `depth` edges upstream (None: all), nearest first.

    Raises Undecided where there are more than `LIMITS.ancestors`, or where a
    statement is lost or damaged.
    """
    depths = _walk(snapshot, start, depth)
    nodes = {node for node, _ in depths}
    names, digests = labels(snapshot, nodes), query.digests(snapshot.connection, nodes)
    facts = query.facts_of(snapshot.connection, nodes, provenance.TYPE)
    found = []
    for state, level in depths.items():
        node, asked = state
        if digests[node].algorithm == "gitCommit":
            found.append(Ancestor(names[node], level, None, code=True))
            continue
        worth, open_ends = _provenance(
            snapshot, store, roots, (digests[node], asked), facts.get(node, [])
        )
        found.append(Ancestor(names[node], level, worth, open_ends))
    return found


def _walk(snapshot: Snapshot, start: State, depth: int | None) -> dict[State, int]:
    """The states upstream, each with its distance."""
    met: dict[State, int] = {start: 0}
    frontier, level = [start], 0
    while frontier and (depth is None or level < depth):
        level += 1
        frontier = [s for s in parents_on_believed_edges(snapshot, frontier) if s not in met]
        met.update(dict.fromkeys(frontier, level))
        if len(met) > LIMITS.ancestors:
            raise Undecided(f"more than {LIMITS.ancestors} ancestors; the limit is a named one")
    del met[start]
    return met


def _provenance(
    snapshot: Snapshot,
    store: Store,
    roots: Mapping[Digest, bytes],
    about: tuple[Digest, str | None],
    facts: Iterable[Fact],
) -> tuple[Assurance | None, tuple[str, ...]]:
    """The best that an ancestor's provenance rests on, and what is missing in that."""
    best: tuple[int, int, Assurance, tuple[str, ...]] | None = None
    for fact in {fact.bundle: fact for fact in facts}.values():
        worth, open_ends = _judged(snapshot, store, roots, about, fact.bundle)
        rank = (_ORDER.index(worth), len(open_ends), worth, open_ends)
        best = min(best, rank, key=lambda one: one[:2]) if best else rank
    return (best[2], best[3]) if best else (None, ())


def _judged(
    snapshot: Snapshot,
    store: Store,
    roots: Mapping[Digest, bytes],
    about: tuple[Digest, str | None],
    bundle: Digest,
) -> tuple[Assurance, tuple[str, ...]]:
    digest, asked = about
    try:
        raw = get_bytes(store, bundle, LIMITS.small_object_bytes)
    except (BlobMissing, Damaged) as error:
        raise Undecided(f"a statement is lost or damaged in the store: {error}") from error
    try:
        item = verified(Evidence(bundle, raw, None), snapshot.trust, roots)
        open_ends = tuple(gaps(provenance.parse(item.statement.predicate), commit=True))
    except (SignatureRefused, BadBundle, BadKey, BadStatement):
        return Assurance.CLAIMED, ()
    trust = snapshot.trust.introducing(item.certified)
    for subject in item.statement.subjects_about(digest):
        name = subject_name(subject.name)
        said = name.name if name else None
        if all(
            trust.authorises(item.signer, provenance.TYPE, one, snapshot.now, item.signed)
            for one in ((said,) if asked is None else (said, asked))
        ):
            return Assurance.ATTESTED, open_ends
    return Assurance.SIGNED, open_ends
