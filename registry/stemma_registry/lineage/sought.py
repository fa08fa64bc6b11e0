"""What criteria make a walk upward look for, so that most walks end at once where some stand.

Whoever is believed by nobody, and what was surely released, is left out before the walk. What
is left may be more than what stops something, and never less: where the walk meets it, whose
words those are is asked as for a quarantine (see `lineage.status`).
"""

from __future__ import annotations

from collections.abc import Iterable

from stemma_attestations import releasing
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates.criterion import Packaged, Recorded
from stemma_attestations.releasing import Voice
from stemma_registry.catalogue import packages, record_facts, statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.halts import Sought
from stemma_registry.lineage import support
from stemma_registry.registry import Snapshot


def of(snapshot: Snapshot, heard: Iterable[CriterionRow]) -> Sought:
    """What may be stopped by distrust, or by one of these criteria (as `acts.heard` has them)."""
    signers, identities = _doubted(snapshot)
    standing = _standing(snapshot, heard)
    later = [one.searched for one in standing if isinstance(one, Recorded)]
    return Sought(signers, identities, _packed(snapshot, standing), min(later, default=None))


def _doubted(snapshot: Snapshot) -> tuple[tuple[str, ...], bool]:
    """The ids of keys that some distrust is about; and whether some may be about an identity."""
    keys, identities = set[str](), False
    for rule in support.live(snapshot.trust):
        if rule.of.key is not None:
            keys.add(rule.of.key)
            continue
        for entry in snapshot.trust.signers:
            if rule.of.principal not in (None, entry.principal):
                continue
            if entry.key is None:
                identities = True
            elif rule.of.identity is None:
                keys.add(entry.key.id)
    return tuple(sorted(keys)), identities


def _standing(snapshot: Snapshot, heard: Iterable[CriterionRow]) -> list[Packaged | Recorded]:
    """Those about what is in something that were not surely released."""
    wanted = {row.statement: row.of for row in heard if isinstance(row.of, Packaged | Recorded)}
    for stopped, facts in statuses.releases_of(snapshot.connection, wanted).items():
        voices = [Voice(one.signer, one.signed) for one in facts]
        if releasing.lifts_everything(snapshot.trust, voices, snapshot.now):
            del wanted[stopped]
    return list(wanted.values())


def _packed(snapshot: Snapshot, standing: Iterable[Packaged | Recorded]) -> tuple[int, ...]:
    """The sets of packages that have one which is stopped; of an index, what it has of that."""
    found = set[int]()
    for of in standing:
        if isinstance(of, Recorded):
            found |= record_facts.having(snapshot.connection, criterion.subject(of))
            continue
        known = packages.versions(snapshot.connection, of.wanted.name)
        found |= {number for number, one in known.items() if of.wanted.fits(one.version)}
    return tuple(packages.environments(snapshot.connection, found)) if found else ()
