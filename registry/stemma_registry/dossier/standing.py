"""How new the status in a dossier is, and what the status feed has stopped since.

The statements of the feed are projected beside those of the dossier, so the one walk of
the gate meets a quarantine of today on any node of the ancestry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stemma_attestations.predicates.dossier import Role
from stemma_attestations.trust import TrustRoot
from stemma_registry import gate
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.held import Held
from stemma_registry.catalogue.project import Projector
from stemma_registry.dossier.container import Content
from stemma_registry.dossier.held import HeldStore
from stemma_registry.freshness import Freshness
from stemma_registry.gate import Terms
from stemma_registry.ledger.entry import STATUS, Event, LedgerEntry
from stemma_registry.trust.roots import TrustedRoots

if TYPE_CHECKING:
    from stemma_registry.dossier.opening import Machine
    from stemma_registry.status.reader import Status


@dataclass(frozen=True)
class Standing:
    """What the feed says: nothing where nobody asks how old the status is."""

    freshness: Freshness | None = None
    status: Status | None = None


def ask(
    content: Content, trust: TrustRoot, roots: TrustedRoots, terms: Terms, machine: Machine
) -> Standing:
    """Ask the feed that this machine has pinned, where the policy or somebody limits the age."""
    rules = terms.policy.rules_for(content.name.name, terms.stage)
    limit = gate.age_limit(terms, rules)
    if limit is None:
        return Standing()
    from stemma_registry.dossier import feeds  # python-tuf takes a while

    present = roots.present(trust.all_roots)
    question = feeds.Question(machine.home, machine.location(), trust, present, machine.now)
    answer = feeds.ask(question, content.one(Role.FEED), limit)
    status = answer.status
    if status is None:
        return Standing(Freshness(stale=answer.stale, contradicted=answer.contradicted))
    against = _contradiction(content, status) or status.custody.undecided
    return Standing(Freshness(status.age(machine.now), contradicted=against), status)


def project(catalogue: Catalogue, store: HeldStore, held: Held, standing: Standing, n: int) -> int:
    """Write the rows of what the feed says; the ledger entry that the status is of then."""
    status = standing.status
    if status is None:
        return n
    said = status.statements
    bundles = tuple(store.hold(raw) for raw in said.bundles)
    keys = tuple(store.hold(raw) for raw in said.keys)
    event = Event(STATUS, bundles=bundles, keys=keys)
    head = status.head
    entry = LedgerEntry(head.n, None, "", head.time, head.tree_root, (event,), b"")
    with catalogue.writing() as connection:
        Projector(connection, store, held).project(entry)
    return max(n, head.n)


def _contradiction(content: Content, status: Status) -> str | None:
    """Why the feed is not of the ledger that the dossier was made from, if it is not."""
    said, head = content.said, status.head
    if head.n == said.n and head.entry != said.entry:
        return f"ledger entry {head.n} is not the same in the status feed and in the dossier"
    return None
