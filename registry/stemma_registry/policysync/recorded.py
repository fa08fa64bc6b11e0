"""The last commit that the ledger says was taken from a policy repository."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.predicates import policy_sync as predicate
from stemma_attestations.predicates.policy_sync import PolicySync
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query
from stemma_registry.config import LIMITS
from stemma_registry.registry import Registry, Snapshot


@dataclass(frozen=True)
class Last:
    """What it says, and the ledger entry that holds it."""

    says: PolicySync
    bundle: Digest
    entry: int


def last(registry: Registry, view: Snapshot, repository: str | None, path: str) -> Last | None:
    """The newest record by somebody who may make one; whatever others say is not read.

    Asked as what stops something is: that a key has ended takes nothing back to an older commit.
    """
    node = query.node_id(view.connection, predicate.place_digest(repository, path))
    if node is None:
        return None
    for fact in reversed(query.facts_about(view.connection, node)):
        signer = fact.signer
        if fact.predicate_type != predicate.TYPE or signer is None:
            continue
        if not view.trust.has_authorised(signer, predicate.TYPE, repository, fact.signed):
            continue
        raw = get_bytes(registry.store, fact.bundle, LIMITS.small_object_bytes)
        try:
            says = predicate.parse(Bundle.parse(raw).statement())
        except (BadBundle, BadStatement):
            continue
        if (says.repository, says.path) == (repository, path):
            return Last(says, fact.bundle, fact.n)
    return None
