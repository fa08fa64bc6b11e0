"""What a signer said, in a window of time: `signer:PRINCIPAL`, `signer:KEYID`, `signer:IDENTITY`.

Time is what is proven (a log, a timestamp authority), by what the trust root believes about
time. What has no proven time may be of any time, and is inside every window.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from stemma_attestations.digest import Digest
from stemma_attestations.times import Window, format_time
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_registry.catalogue import query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound
from stemma_registry.lineage.trace import ORIGIN, Direction, Origin, TraceEdge
from stemma_registry.lineage.words import ordered, word_of
from stemma_registry.registry import Snapshot

SCHEME = "signer:"
RELATION = "signed-by"
_HEX = re.compile(r"[0-9a-f]{12,64}\Z")


@dataclass(frozen=True)
class Said:
    """A statement about a node; `since` is its proven time."""

    node_id: int
    fact: Fact
    since: datetime | None


def signers(view: Snapshot, text: str) -> frozenset[str]:
    """The ids of those who signed anything and are called that. Raises NotFound."""
    wanted = text.removeprefix(SCHEME)
    asked = select(t.statement.c.signer).where(t.statement.c.signer.is_not(None)).distinct()
    known = view.connection.execute(asked).scalars()
    found = frozenset(one for one in known if _is_called(view.trust, one, wanted))
    if not found:
        raise NotFound(
            f"nobody called {wanted!r:.200} signed anything "
            "(a principal of the trust root, 12 digits of a key's id, or an identity)"
        )
    return found


def _is_called(trust: TrustRoot, signer: str, wanted: str) -> bool:
    if _HEX.match(wanted) and signer.startswith(wanted):
        return True
    if any(entry.principal == wanted for entry in trust.entries(signer)):
        return True
    who = trust.who(signer)
    return who is not None and wanted in (who.identity.subject, str(who.identity))


def said(view: Snapshot, ids: Iterable[str], window: Window) -> list[Said]:
    """What they said inside the window, in ledger order."""
    found = []
    for part in query.batches(ids):
        wanted = (
            query.facts_select(t.subject.c.node_id)
            .select_from(t.statement.join(t.subject, t.subject.c.statement_id == t.statement.c.id))
            .where(t.statement.c.signer.in_(part))
            .order_by(t.statement.c.id, t.subject.c.position)
        )
        for row in view.connection.execute(wanted):
            fact = query.fact_of(row)
            since = view.trust.since(fact.signer or "", fact.signed)
            if window.holds(since):
                found.append(Said(row.node_id, fact, since))
    return sorted(found, key=lambda one: one.fact.n)


def origin(view: Snapshot, text: str, window: Window, direction: Direction) -> Origin:
    """The start of a trace from everything a signer spoke about. Raises NotFound."""
    facts: dict[tuple[int, str], dict[Digest, Fact]] = {}
    for one in said(view, signers(view, text), window):
        facts.setdefault((one.node_id, one.fact.predicate_type), {})[one.fact.bundle] = one.fact
    if not facts:
        raise NotFound(f"{text} signed nothing{label(window)}")
    edges = []
    for (node, kind), here in facts.items():
        words = [word_of(view, fact, worth(view, fact)) for fact in here.values()]
        ends = (ORIGIN, node) if direction is Direction.DOWN else (node, ORIGIN)
        edges.append(TraceEdge(*ends, RELATION, ordered(words), path=kind))
    return Origin(text, "signer", tuple(edges))


def worth(view: Snapshot, fact: Fact) -> Assurance:
    """The assurance of a statement, for a question that asks about no name."""
    return view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)


def label(window: Window) -> str:
    """A window for people."""
    if window.start is None and window.end is None:
        return ""
    ends = (format_time(at) if at else "ever" for at in (window.start, window.end))
    return " between {} and {}".format(*ends)
