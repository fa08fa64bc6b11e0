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
from stemma_registry.status.documents import Custody
from stemma_registry.trust.roots import TrustedRoots

if TYPE_CHECKING:
    from stemma_registry.dossier.opening import Machine
    from stemma_registry.status.reader import Status

NOTHING = Custody()


@dataclass(frozen=True)
class Standing:
    """What the feed says, or was heard to say when it was last read here.

    `n` is the ledger entry that it is of; None where it was not read anew.
    """

    freshness: Freshness | None = None
    statements: Custody = NOTHING
    n: int | None = None


def ask(
    content: Content, trust: TrustRoot, roots: TrustedRoots, terms: Terms, machine: Machine
) -> Standing:
    """Ask the feed that this machine has pinned, where the policy or somebody limits the age.

    Else nobody is asked, and what the machine remembers of the feed still stops. Raises
    Undecided where that cannot be read.
    """
    rules = terms.policy.rules_for(content.name.name, terms.stage)
    limit = gate.age_limit(terms, rules)
    if limit is None and not machine.home.feeds.exists():
        return Standing()
    from stemma_registry.dossier import feeds  # python-tuf takes a while

    location = machine.location()
    remembered = feeds.remembered(machine.home, location)
    if limit is None:
        return Standing(statements=remembered)
    present = roots.present(trust.all_roots)
    question = feeds.Question(machine.home, location, trust, present, machine.now)
    answer = feeds.ask(question, content.one(Role.FEED), limit)
    status = answer.status
    if status is None:
        return Standing(Freshness(None, answer.stale, answer.contradicted), remembered)
    against = contradiction(content, status) or status.custody.undecided
    fresh = Freshness(status.age(machine.now), contradicted=against)
    return Standing(fresh, status.statements, status.head.n)


def project(catalogue: Catalogue, store: HeldStore, held: Held, standing: Standing, n: int) -> int:
    """Write the rows of what the feed says; the ledger entry that the status is of then."""
    said, newest = standing.statements, max(n, standing.n or 0)
    bundles = tuple(store.hold(raw) for raw in said.bundles)
    keys = tuple(store.hold(raw) for raw in said.keys)
    if bundles:
        event = Event(STATUS, bundles=bundles, keys=keys)
        entry = LedgerEntry(newest, None, "", "", "", (event,), b"")
        with catalogue.writing() as connection:
            Projector(connection, store, held).project(entry)
    return newest


def contradiction(content: Content, status: Status) -> str | None:
    """Why the feed is not of the ledger that the dossier was made from, if it is not."""
    said, head = content.said, status.head
    if head.n == said.n and head.entry != said.entry:
        return f"ledger entry {head.n} is not the same in the status feed and in the dossier"
    return None
