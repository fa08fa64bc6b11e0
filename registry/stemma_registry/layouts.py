"""How artifacts are committed, as those say who published them from Git: an offer, and no more.

Anybody may make one. The tree is computed from the manifest and its bytes, so that a wrong
layout has another tree and finds nothing. Who is believed about how an artifact was made is heard
first, so that strangers cannot crowd anybody out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from stemma_attestations.bundle import Bundle
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.predicates import git_layout, provenance
from stemma_attestations.predicates.git_layout import Layout
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.registry import Snapshot
from stemma_registry.signing import Signer


def said(view: Snapshot, nodes: Iterable[int]) -> Mapping[int, Sequence[tuple[Fact, bool]]]:
    """The statements of layouts of each artifact, the best first, and whether one is believed."""
    found = query.facts_of(view.connection, nodes, git_layout.TYPE)
    return {node: _best(view, facts) for node, facts in found.items()}


def read(store: Store, fact: Fact) -> Layout | None:
    """What a statement says; None where it cannot be read, or is lost. Raises Unavailable."""
    try:
        raw = get_bytes(store, fact.bundle, LIMITS.layout_bytes)
        return git_layout.parse(Bundle.parse(raw).statement().predicate)
    except (BlobMissing, Damaged, BadBundle, BadStatement):
        return None


def is_said(view: Snapshot, store: Store, node: int, layout: Layout, signer: Signer) -> bool:
    """Whether a signer said this layout of an artifact before."""
    facts = query.facts_of(view.connection, [node], git_layout.TYPE).get(node, ())
    own = [fact for fact in facts if view.trust.is_same(fact.signer, signer)]
    return any(read(store, fact) == layout for fact in own[-LIMITS.tree_layouts :])


def _best(view: Snapshot, facts: Iterable[Fact]) -> Sequence[tuple[Fact, bool]]:
    ranked = [(fact, _is_believed(view, fact)) for fact in facts]
    ranked.sort(key=lambda one: (not one[1], -one[0].n))
    return ranked[: LIMITS.tree_layouts]


def _is_believed(view: Snapshot, fact: Fact) -> bool:
    worth = view.trust.assurance(fact.signer, provenance.TYPE, fact.name, None, fact.signed)
    return worth is Assurance.ATTESTED
