"""Criteria in force: found by their digests, listed, and what a release of one takes."""

from __future__ import annotations

from dataclasses import dataclass

from stemma_attestations import releasing
from stemma_attestations.packages import SCHEME, Wanted
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Packaged, Recorded, Retired
from stemma_attestations.releasing import Voice
from stemma_attestations.statement import ResourceDescriptor
from stemma_attestations.times import Dated
from stemma_attestations.trust import TrustRoot, described
from stemma_registry.catalogue import acts, statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.errors import NotFound, Refused
from stemma_registry.registry import Snapshot
from stemma_registry.signing import Signer

MIN_PREFIX = 12
RECORDS = "record:"
BY_ANOTHER = "{} has released it already: somebody else has to, too"


@dataclass(frozen=True)
class Standing:
    """A criterion that was not released altogether, and whether its signer is believed at all."""

    row: CriterionRow
    by: str
    believed: bool


def standing(view: Snapshot) -> list[Standing]:
    """All of them, in ledger order."""
    released, found = statuses.releases(view.connection), []
    for row in acts.criteria(view.connection):
        voice = Voice(row.fact.signer, row.fact.signed)
        lifts = [Voice(one.signer, one.signed) for one in released.get(row.statement, ())]
        if not lifts or not releasing.covers_wholly(view.trust, lifts, voice, view.now):
            by = view.trust.label(voice.signer) if voice.signer else "nobody"
            found.append(Standing(row, by, _is_heard(view.trust, voice)))
    return found


def named(view: Snapshot, text: str, signer: Signer) -> CriterionRow | None:
    """The one whose statement's digest `text` begins, or that is about that package.

    None where it is none of these. Raises NotFound where the signer could lift nothing of it,
    Refused where it is several.
    """
    prefix = text.removeprefix("sha256:")
    if text.startswith((SCHEME, RECORDS)):
        rows = [_about(view, text)]
    elif not text.startswith("sha256:") or len(prefix) < MIN_PREFIX:
        return None
    else:
        rows = [row for row in acts.criteria(view.connection) if row.statement.startswith(prefix)]
    if not rows:
        return None
    if len({row.statement for row in rows}) > 1:
        raise Refused(f"{text} is the beginning of more than one digest; write more of it")
    voices, trust = _releases(view, rows[0]), view.trust.introducing(signer.certified)
    if releasing.is_spent(trust, _own(view, signer), voices, view.now):
        if missing(view, rows[0], signer):
            raise NotFound(BY_ANOTHER.format(described(signer)))
        raise NotFound(f"{text} is released already")
    return rows[0]


def _about(view: Snapshot, text: str) -> CriterionRow:
    """The only one about a package, as it is written; records are told apart by digests alone."""
    every = {one.row.statement: one.row for one in standing(view)}.values()
    if text.startswith(SCHEME):
        wanted = Wanted.parse(text)
        found = [row for row in every if isinstance(row.of, Packaged) and row.of.wanted == wanted]
        if len(found) == 1:
            return found[0]
    else:
        found = [row for row in every if isinstance(row.of, Recorded)]
    if not found:
        raise NotFound(f"no quarantine of {text} stands (`stemma log` says what was stopped)")
    listed = " ".join(row.digest.short for row in found)
    raise Refused(f"{text}: name the quarantine by its digest; release one of: {listed}")


def naming(view: Snapshot, node: int | None) -> list[str]:
    """The digests (hex) of the criteria that were not released and name a node besides."""
    return [
        one.row.statement
        for one in standing(view)
        if any(target.node_id == node for target in acts.targets(view.connection, one.row))
    ]


def descriptor(row: CriterionRow) -> ResourceDescriptor:
    """A criterion as the subject of a statement."""
    return ResourceDescriptor(digests=(criterion.subject(row.of),))


def refusal(view: Snapshot, row: CriterionRow, signer: Signer) -> str | None:
    """What of it the signer may not release; None where he may release something."""
    trust, of = view.trust.introducing(signer.certified), row.of
    if isinstance(of, Retired):
        may = trust.lets(signer, predicate.TYPE, of.name, view.now)
        return None if may else of.label
    own = _own(view, signer)
    return None if trust.patterns(signer.id, predicate.TYPE, view.now, own.signed) else of.label


def missing(view: Snapshot, row: CriterionRow, signer: Signer) -> int:
    """How many more principals have to release it, when this one has."""
    trust, of = view.trust.introducing(signer.certified), row.of
    needed = releasing.most_needed(trust)
    if isinstance(of, Retired):
        needed = trust.needed(predicate.TYPE, of.name)
    voices = [*_releases(view, row), _own(view, signer)]
    return max(0, needed - releasing.principals(trust, voices))


def _releases(view: Snapshot, row: CriterionRow) -> list[Voice]:
    found = statuses.releases(view.connection).get(row.statement, ())
    return [Voice(one.signer, one.signed) for one in found]


def _own(view: Snapshot, signer: Signer) -> Voice:
    who = signer.certified
    return Voice(signer.id, (Dated(view.now, who.root),) if who else ())


def _is_heard(trust: TrustRoot, voice: Voice) -> bool:
    signer = voice.signer
    return signer is not None and bool(trust.patterns(signer, predicate.TYPE, None, voice.signed))
