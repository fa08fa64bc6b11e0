"""What a criterion of custody stops by what it has in it: a package of some version, records.

A criterion counts where its signer may stop, and what says that an artifact has it in it (its
BOM) where that signer may describe the artifact: the same two grants that a quarantine and an
edge need. So neither word alone can stop anything, and what is pushed later is met by the same
question. A criterion by somebody who may stop nothing at all is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from stemma_attestations import releasing
from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Packaged, Recorded
from stemma_attestations.releasing import Voice
from stemma_registry.catalogue import acts, made, packages, statuses
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.rows import Fact, StatusRow
from stemma_registry.lineage import indexed
from stemma_registry.registry import Snapshot


def everywhere(snapshot: Snapshot) -> list[StatusRow]:
    """All that the criteria in force meet, as if each were quarantined by its criterion."""
    return _of_all(snapshot, None)


def among(snapshot: Snapshot, nodes: Collection[int]) -> list[StatusRow]:
    """The same, of these nodes."""
    return _of_all(snapshot, nodes)


def above(
    snapshot: Snapshot, heard: Iterable[CriterionRow], nodes: Collection[int] | None
) -> list[StatusRow]:
    """What those of `heard` (see `acts`) meet of these nodes and of their files.

    Of all there is, where None.
    """
    if nodes is not None:
        nodes = made.spoken_of(snapshot.connection, nodes).union(nodes)
    return _rows(snapshot, _meeting(heard), nodes)


def has_any(snapshot: Snapshot) -> bool:
    """Whether somebody who may stop something stops, or stopped, what has a package."""
    return any(isinstance(row.of, Packaged) for row in _heard(snapshot))


def of(snapshot: Snapshot, row: CriterionRow) -> list[StatusRow]:
    """What one criterion meets, whether it was released or not."""
    return list(_met(snapshot, row, None)) if isinstance(row.of, Packaged | Recorded) else []


def _of_all(snapshot: Snapshot, nodes: Collection[int] | None) -> list[StatusRow]:
    return _rows(snapshot, _heard(snapshot), nodes)


def _heard(snapshot: Snapshot) -> list[CriterionRow]:
    """The criteria of those who may stop something."""
    return _meeting(acts.heard(snapshot.connection, snapshot.trust))


def _meeting(rows: Iterable[CriterionRow]) -> list[CriterionRow]:
    return [row for row in rows if isinstance(row.of, Packaged | Recorded)]


def _rows(
    snapshot: Snapshot, wanted: Sequence[CriterionRow], nodes: Collection[int] | None
) -> list[StatusRow]:
    found = list[StatusRow]()
    released = statuses.releases_of(snapshot.connection, [row.statement for row in wanted])
    for row in wanted:
        lifting = _Lifting(snapshot, Voice(row.fact.signer, row.fact.signed))
        lifting.releases = released.get(row.statement, [])
        for met in _met(snapshot, row, nodes):
            lifts = lifting.of(met.fact.name)
            if lifts is not None:
                found.append(replace(met, lifts=lifts))
    return found


def _met(
    snapshot: Snapshot, row: CriterionRow, nodes: Collection[int] | None
) -> Iterator[StatusRow]:
    if isinstance(row.of, Recorded):
        yield from indexed.met(snapshot, row, row.of, nodes)
        return
    assert isinstance(row.of, Packaged)  # noqa: S101 - for the type checker
    asked = row.of.wanted
    known = packages.versions(snapshot.connection, asked.name)
    wanted = {number: one for number, one in known.items() if asked.fits(one.version)}
    if not wanted:
        return
    for listed in packages.listing(snapshot.connection, wanted, nodes):
        said = listed.fact
        yield StatusRow(
            listed.node_id,
            row.statement,
            predicate.MATCHING,
            f"its BOM lists {listed.package}, and {row.of.label} is stopped: {row.reason}",
            row.issued,
            None,
            row.fact._replace(name=said.name, version=said.version),
            evidence=said,
            mark=criterion.PACKAGE,
        )


@dataclass
class _Lifting:
    """Releases of one criterion, asked about names again and again."""

    snapshot: Snapshot
    by: Voice
    releases: list[Fact] = field(default_factory=list)
    known: dict[str | None, tuple[Fact, ...] | None] = field(default_factory=dict)

    def of(self, name: str | None) -> tuple[Fact, ...] | None:
        """The releases that are believed about a name; None where they lift it altogether."""
        if not self.releases:
            return ()
        if name not in self.known:
            trust, now = self.snapshot.trust, self.snapshot.now
            voices = [(one, Voice(one.signer, one.signed)) for one in self.releases]
            lifts = [
                (one, voice)
                for one, voice in voices
                if releasing.lifts(trust, voice, name, None, now)
            ]
            said = [voice for _, voice in lifts]
            whole = releasing.lifts_wholly(trust, said, self.by, name, now)
            self.known[name] = None if whole else tuple(one for one, _ in lifts)
        return self.known[name]
