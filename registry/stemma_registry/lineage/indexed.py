"""What a criterion about records stops: what was found when it was signed, and what came later.

What was found is named by its digest, and stopped on the word of whoever signed the criterion
alone. A dataset that came later says itself whether it has such a record, in its record index:
whose signer has to be believed too. One that came later and does not say so on a believed word is
not stopped, and no verdict passes over it: it is suspect, with all that was made from it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

from stemma_attestations.predicates import criterion
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import acts, record_facts
from stemma_registry.catalogue.acts import CriterionRow
from stemma_registry.catalogue.rows import Fact, StatusRow
from stemma_registry.registry import Snapshot


def met(
    snapshot: Snapshot, row: CriterionRow, of: Recorded, nodes: Collection[int] | None
) -> Iterator[StatusRow]:
    """What one criterion meets (of these nodes, but for what it names), and what it may meet."""
    yield from acts.targets(snapshot.connection, row)
    subject = criterion.subject(of)
    has, without = record_facts.compared(snapshot.connection, subject, nodes)
    for node, facts in has.items():
        why = f"its record index says that it has {of.label}: {row.reason}"
        for said in facts:
            yield _row(row, node, why, said, said)
    open_ = [
        (node, fact)
        for node, fact in _named(snapshot, of.searched, nodes)
        if node not in has
        and _is_believed(snapshot, row.fact, fact.name)
        and not any(_is_believed(snapshot, said, fact.name) for said in without.get(node, ()))
    ]
    if not open_:
        return
    from stemma_registry.records.readers import ENDINGS  # lazily: few verdicts come here

    named = {node for node, _ in open_}
    silent = record_facts.with_files(snapshot.connection, named, ENDINGS)
    for node, fact in open_:
        if node in silent:
            why = f"nobody who is believed has looked in it for {of.label}: {row.reason}"
            yield _row(row, node, why, fact, fact._replace(signer=None))


def _named(snapshot: Snapshot, n: int, nodes: Collection[int] | None) -> Iterator[tuple[int, Fact]]:
    """The datasets that came after entry `n`, by names that are believed; by others without any."""
    arrived = record_facts.arrived(snapshot.connection, n, nodes)
    believed = [(node, fact) for node, fact in arrived if _is_believed(snapshot, fact, fact.name)]
    known = {node for node, _ in believed}
    yield from believed
    yield from ((node, fact) for node, fact in arrived if node not in known)


def _row(row: CriterionRow, node: int, why: str, about: Fact, said: Fact) -> StatusRow:
    return StatusRow(
        node,
        row.statement,
        predicate.MATCHING,
        why,
        row.issued,
        None,
        row.fact._replace(name=about.name, version=about.version),
        evidence=said,
        mark=criterion.RECORDS,
    )


def _is_believed(snapshot: Snapshot, said: Fact, name: str | None) -> bool:
    """Whether a statement is believed, about what it names and what has that name."""
    about, trust = said.name or name, snapshot.trust
    worth = trust.assurance(said.signer, said.predicate_type, about, name, said.signed)
    return worth is Assurance.ATTESTED
