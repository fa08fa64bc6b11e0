"""Stopping whatever has a package in it: what that would reach, and the rule.

It holds for what is pushed later too. What has no BOM, or one that says nothing of the
package, is not met; the preview says how many models have no believed BOM at all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from stemma_attestations.digest import Digest
from stemma_attestations.packages import Wanted
from stemma_attestations.predicates import mlbom
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Packaged
from stemma_attestations.times import Dated
from stemma_attestations.trust import Assurance, TrustRoot, described
from stemma_registry import custody
from stemma_registry.catalogue import query
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.deployed import Wanted as Runs
from stemma_registry.catalogue.rows import Fact, StatusRow
from stemma_registry.custody import Affected
from stemma_registry.lineage import deployments, matched
from stemma_registry.lineage.deployments import Deployments
from stemma_registry.lineage.status import quarantine_worth
from stemma_registry.measures import effects, signing
from stemma_registry.measures.effects import Counts
from stemma_registry.questions import package_starts
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.signing import Signer

_DRAFT = Digest("sha256", "0" * 64)
MODEL = "model"


@dataclass(frozen=True)
class Preview:
    """What a criterion would stop: what it meets itself, and all that it reaches.

    `silent` models have no believed BOM: whether they are meant, nobody can tell.
    """

    of: Packaged
    met: tuple[Affected, ...]
    affected: tuple[Affected, ...]
    counts: Counts
    deployed: Deployments
    silent: int
    warnings: tuple[str, ...]


def packages(text: str) -> Packaged:
    """The criterion for a package URL with a version, a range, or none. Raises BadPackage."""
    return Packaged(Wanted.parse(text))


def preview(view: Snapshot, of: Packaged, signer: Signer) -> Preview:
    """What the criterion would stop, whatever is stopped already."""
    view = replace(view, trust=view.trust.introducing(signer.certified))
    rows = matched.of(view, _draft(view, of, signer))
    affected = custody.reached(view, rows)
    itself = {(row.node_id, row.fact.name) for row in rows if _counts(view, row)}
    blocked = [item for item in affected if item.blocked]
    runs = deployments.load(view, Runs()).of({item.version.artifact_id for item in blocked})
    return Preview(
        of,
        tuple(a for a in blocked if (a.version.artifact_id, a.version.name.name) in itself),
        tuple(affected),
        effects.count(view, [item.version for item in blocked]),
        runs,
        _silent(view),
        tuple(_warnings(view, of, signer, rows)),
    )


def stop(
    registry: Registry, trust: TrustRoot, signer: Signer, of: Packaged, reason: str, now: datetime
) -> tuple[Digest, int]:
    """Put the criterion in force; the digest of its statement, and the ledger entry.

    Raises Refused, LedgerBroken, Unavailable.
    """
    return signing.stop_matching(registry, trust, signer, of, reason, now)


def _draft(view: Snapshot, of: Packaged, signer: Signer) -> CriterionRow:
    signed = (Dated(view.now, signer.certified.root),) if signer.certified else ()
    fact = Fact(_DRAFT, predicate.TYPE, signer.id, view.n, None, None, signed)
    return CriterionRow(_DRAFT.value, of, "", "", fact)


def _counts(view: Snapshot, row: StatusRow) -> bool:
    return quarantine_worth(view, row, None) is Assurance.ATTESTED


def _warnings(view: Snapshot, of: Packaged, signer: Signer, rows: list[StatusRow]) -> list[str]:
    names = _names(rows) or {None}
    if not all(view.trust.lets(signer, predicate.TYPE, one, view.now) for one in names):
        warning = (
            f"the trust root does not let {described(signer)} stop all that has {of.label}: "
            "of what he may not, this would be shown, and stop nothing"
        )
        return [warning]
    warnings = [] if rows else [f"no BOM lists {of.label} today; what is pushed later is met"]
    called = package_starts.things(view, of.wanted)
    if called:
        warnings.append(
            f"something was made from {called[0][1]} as others say, which is a claim and stops "
            f"nothing: `stemma trace {of.label}` shows it"
        )
    return warnings


def _names(rows: list[StatusRow]) -> set[str | None]:
    return {row.fact.name for row in rows}


def _silent(view: Snapshot) -> int:
    """How many models are described by no believed BOM."""
    models = {row.artifact_id for row in query.all_versions(view.connection, MODEL)}
    spoken = query.facts_of(view.connection, models, mlbom.TYPE)
    return sum(not any(_is_believed(view, one) for one in spoken.get(m, [])) for m in models)


def _is_believed(view: Snapshot, fact: Fact) -> bool:
    worth = view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)
    return worth is Assurance.ATTESTED
