"""What loses its last valid support because somebody distrusts whoever signed for it.

An artifact is held up, under a name, by provenance whose signer may give it. Where as many
distinct principals as the trust root asks for stood behind it, and without what is
distrusted too few do, it is stopped like what is quarantined, and so is what descends
from it. What nobody believed before has lost nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from stemma_attestations import distrusting, releasing
from stemma_attestations.distrusting import InForce, Rule
from stemma_attestations.objection import Objection, Spoken
from stemma_attestations.predicates import status as predicate
from stemma_attestations.releasing import Voice
from stemma_attestations.trust import TrustRoot
from stemma_registry.catalogue import acts, query
from stemma_registry.catalogue.rows import Fact, StatusRow, VersionRow
from stemma_registry.registry import Snapshot

MARK = "distrusted"


def rules(trust: TrustRoot) -> Sequence[Rule]:
    """The distrust that a trust root was given, whoever signed it."""
    return trust.doubts.rules if isinstance(trust.doubts, InForce) else ()


def live(trust: TrustRoot) -> Sequence[Rule]:
    """Those of them that may still speak against something: not those that were surely released."""
    return trust.doubts.live if isinstance(trust.doubts, InForce) else ()


def with_rule(snapshot: Snapshot, rule: Rule) -> TrustRoot:
    """The trust root of a snapshot as if that rule were in the ledger too."""
    bare = snapshot.trust.doubting(distrusting.NOBODY)
    return distrusting.overlay(bare, [*rules(snapshot.trust), rule], snapshot.now)


def lost(snapshot: Snapshot, nodes: Iterable[int]) -> list[StatusRow]:
    """Those of the nodes that are held up no more, as if each were quarantined by the distrust.

    One row for each name that it held under; `fact` is who distrusts, `statement` where.
    """
    if not rules(snapshot.trust):
        return []
    found = []
    for node, versions in query.versions_of(snapshot.connection, nodes).items():
        by_name: dict[str, list[VersionRow]] = {}
        for row in versions:
            by_name.setdefault(row.name.name, []).append(row)
        for name, rows in by_name.items():
            doubt = _felled(snapshot.trust, name, [row.fact for row in rows])
            if doubt is not None:
                found.append(_row(snapshot, node, rows[0], doubt))
    return found


def all_lost(snapshot: Snapshot) -> list[StatusRow]:
    """The same, of everything that there is."""
    return lost(snapshot, suspects(snapshot, rules(snapshot.trust)))


def lost_above(snapshot: Snapshot, nodes: Collection[int] | None) -> list[StatusRow]:
    """The same, of a node and of what is above it: of all there is where that is too much (None).

    A sample is no answer: whoever adds edges could choose what is in it.
    """
    if not live(snapshot.trust):
        return []
    return all_lost(snapshot) if nodes is None else lost(snapshot, nodes)


def suspects(snapshot: Snapshot, wanted: Sequence[Rule]) -> set[int]:
    """The artifacts to which a signer whom one of these rules is about gave a name."""
    if not wanted:
        return set()
    signers = [
        one for one in acts.signers(snapshot.connection) if _is_met(snapshot.trust, one, wanted)
    ]
    return acts.signed_by(snapshot.connection, signers)


def _is_met(trust: TrustRoot, signer_id: str, wanted: Sequence[Rule]) -> bool:
    certified = trust.who(signer_id)
    return any(
        rule.meets(Spoken(signer_id, entry.principal, certified, None))
        for entry in trust.entries(signer_id)
        for rule in wanted
    )


def _felled(trust: TrustRoot, name: str, facts: Sequence[Fact]) -> Objection | None:
    """The distrust because of which these do not suffice any more; None where they do."""
    kind = facts[0].predicate_type
    heard = [
        fact
        for fact in facts
        if fact.signer is not None
        and trust.has_authorised(fact.signer, fact.predicate_type, name, fact.signed)
    ]
    if _people(trust, heard) < trust.needed(kind, name):
        return None
    left = [f for f in heard if trust.supports(f.signer or "", f.predicate_type, name, f.signed)]
    if left and _people(trust, left) >= trust.needed(kind, name):
        return None
    objections = (trust.objection(f.signer or "", name, f.signed) for f in heard if f not in left)
    return next((one for one in objections if one is not None), None)


def _people(trust: TrustRoot, facts: Sequence[Fact]) -> int:
    return releasing.principals(trust, (Voice(fact.signer, fact.signed) for fact in facts))


def _row(snapshot: Snapshot, node: int, row: VersionRow, doubt: Objection) -> StatusRow:
    who = snapshot.trust.label(row.fact.signer or "")
    fact = Fact(
        doubt.bundle,
        predicate.TYPE,
        doubt.signer,
        snapshot.n,
        row.name.name,
        row.name.version,
        doubt.signed,
    )
    reason = f"nothing holds it up since {who} is distrusted {doubt.text}"
    stopped = (node, doubt.statement.value, predicate.MATCHING, reason, "", None, fact)
    return StatusRow(*stopped, mark=MARK)
