"""Distrust of a signer in a window of time: what it would cost, and the rule.

From then on what the signer signed in that window, by a time that somebody proves, holds
nothing up: artifacts that lose their last support by it are stopped with all that descends
from them. What has no proven time is inside every window.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.distrusting import Rule
from stemma_attestations.objection import Spoken
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import EVERYTHING, Distrusted
from stemma_attestations.releasing import Voice
from stemma_attestations.times import Dated
from stemma_attestations.trust import TrustRoot, described
from stemma_registry import custody
from stemma_registry.catalogue import acts, keyless_facts
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.custody import Affected
from stemma_registry.errors import NotFound, Refused
from stemma_registry.lineage import deployments, support
from stemma_registry.lineage.deployments import Deployments
from stemma_registry.measures import effects, signing
from stemma_registry.measures.effects import Counts
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.signing import Signer

_KEY = re.compile(r"[0-9a-f]{12,64}\Z")
_DRAFT = Digest("sha256", "0" * 64)


@dataclass(frozen=True)
class Preview:
    """What a distrust would stop: what loses its last support, and what descends from that."""

    of: Distrusted
    lost: tuple[Affected, ...]
    affected: tuple[Affected, ...]
    counts: Counts
    deployed: Deployments
    warnings: tuple[str, ...]


def whom(
    view: Snapshot,
    text: str,
    issuer: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    names: Sequence[str] = EVERYTHING,
) -> Distrusted:
    """The criterion for a principal of the trust root, the id of a key, or an identity's subject.

    Raises NotFound, Refused where it could be several.
    """
    if since is not None and until is not None and since >= until:
        raise Refused("the window ends before it begins")
    found = Distrusted(since=since, until=until, names=tuple(names))
    if issuer is not None:
        return replace(found, identity=(issuer, text))
    if any(signer.principal == text for signer in view.trust.signers):
        return replace(found, principal=text)
    if _KEY.match(text):
        return replace(found, key=_key(view, text))
    known = keyless_facts.identities(view.connection)
    issuers = sorted({one.identity.issuer for one in known if one.identity.subject == text})
    if len(issuers) > 1:
        raise Refused(f"{text} is known from {', '.join(issuers)}: say which by --issuer")
    if not issuers:
        raise NotFound(
            f"no principal, key or identity is known as {text:.100} (an identity that has signed "
            "nothing here needs --issuer)"
        )
    return replace(found, identity=(issuers[0], text))


def preview(view: Snapshot, of: Distrusted, signer: Signer) -> Preview:
    """What the distrust would stop that is not stopped by other distrust already."""
    view = replace(view, trust=view.trust.introducing(signer.certified))
    dated = (Dated(view.now, signer.certified.root),) if signer.certified else ()
    rule = Rule(_DRAFT, _DRAFT, Voice(signer.id, dated), of, "")
    then = replace(view, trust=support.with_rule(view, rule))
    nodes = support.suspects(view, [rule])
    before = {(row.node_id, row.fact.name) for row in support.lost(view, nodes)}
    rows = [row for row in support.lost(then, nodes) if (row.node_id, row.fact.name) not in before]
    affected = custody.reached(then, rows)
    gone = {(row.node_id, row.fact.name) for row in rows}
    blocked = [item for item in affected if item.blocked]
    runs = deployments.load(view, Wanted()).of({item.version.artifact_id for item in blocked})
    return Preview(
        of,
        tuple(a for a in blocked if (a.version.artifact_id, a.version.name.name) in gone),
        tuple(affected),
        effects.count(view, [item.version for item in blocked]),
        runs,
        tuple(_warnings(view, of, rule, signer)),
    )


def distrust(
    registry: Registry,
    trust: TrustRoot,
    signer: Signer,
    of: Distrusted,
    reason: str,
    now: datetime,
) -> tuple[Digest, int]:
    """Put the distrust in force; the digest of its statement, and the ledger entry.

    Raises Refused where its own signer is meant, who could not release it again.
    """
    if _is_himself(trust, of, signer, now):
        raise Refused(
            f"{described(signer)} would distrust himself, and could not release it again: "
            "let somebody else sign it (--sign)"
        )
    return signing.stop_matching(registry, trust, signer, of, reason, now)


def _warnings(view: Snapshot, of: Distrusted, rule: Rule, signer: Signer) -> list[str]:
    found = []
    if not view.trust.patterns(signer.id, predicate.TYPE, None, rule.voice.signed):
        found.append(
            f"the trust root does not let {described(signer)} stop anything: "
            "this distrust would be shown, and change nothing"
        )
    if of.key is not None and not view.trust.time:
        found.append(
            "the trust root believes nobody about the time of a key's signatures (`time`): "
            "all of them are inside the window"
        )
    if _is_himself(view.trust, of, signer, view.now):
        found.append("its own signer is meant: he could not release it again")
    return found


def _is_himself(trust: TrustRoot, of: Distrusted, signer: Signer, now: datetime) -> bool:
    """Whether a release that he signs now would be distrusted by it."""
    who = signer.certified
    known = trust.introducing(who)
    rule = Rule(_DRAFT, _DRAFT, Voice(None), of, "")
    principals = {entry.principal for entry in known.entries(signer.id)} or {""}
    since = now if who else None
    return any(rule.meets(Spoken(signer.id, one, who, since)) for one in principals)


def _key(view: Snapshot, text: str) -> str:
    """The whole id of a key that is listed, or has signed something here."""
    listed = {signer.key.id for signer in view.trust.signers if signer.key is not None}
    known = listed | set(acts.signers(view.connection))
    found = sorted(one for one in known if one.startswith(text))
    if len(found) > 1:
        raise Refused(f"{text} is the beginning of more than one key's id")
    if found:
        return found[0]
    if len(text) == 64:
        return text
    raise NotFound(f"no key is known whose id begins with {text}")
