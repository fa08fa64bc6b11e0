"""What is at a stage: the last statement that counts, under a trust root.

Computed at question time. A statement counts where its signer is one whom the trust root
lets say it about the name, and where it follows what was there: see docs/formats/stage.md.
So a stranger neither promotes nor blocks, and a statement that lost a race, or was signed
and never appended, moves nothing when somebody appends it later.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from stemma_attestations.predicates import stage as predicate
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import stages
from stemma_registry.catalogue.stages import StageRow
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class History:
    """Everything that was said about one stage of a name, in ledger order.

    `counted` are those that count; `left` are what one can go back to: of these the newest,
    which is last, is what is there.
    """

    said: tuple[StageRow, ...]
    counted: tuple[StageRow, ...]
    left: tuple[StageRow, ...]

    @property
    def holder(self) -> StageRow | None:
        """What is there."""
        return self.left[-1] if self.left else None

    @property
    def earlier(self) -> list[StageRow]:
        """What was there before and was not left behind by a rollback, newest first, each once."""
        found = {(row.name, row.digest): row for row in self.left}
        if self.holder is not None:
            del found[self.holder.name, self.holder.digest]
        return sorted(found.values(), key=self.left.index, reverse=True)


def histories(view: Snapshot, name: str | None = None) -> dict[tuple[str, str], History]:
    """(NAME, stage) -> its history, in the order of names and stages."""
    rows: dict[tuple[str, str], list[StageRow]] = {}
    for row in stages.said(view.connection, name):
        rows.setdefault((row.name.name, row.stage), []).append(row)
    return {key: _history(view, rows[key]) for key in sorted(rows)}


def history(view: Snapshot, name: str, stage: str) -> History:
    """What was said about NAME#STAGE."""
    return histories(view, name).get((name, stage), History((), (), ()))


def holder(view: Snapshot, name: str, stage: str) -> StageRow | None:
    """What is at NAME#STAGE."""
    return history(view, name, stage).holder


def worth(view: Snapshot, row: StageRow) -> Assurance:
    """The assurance of a statement about a stage."""
    fact = row.fact
    return view.trust.assurance(fact.signer, predicate.TYPE, row.name.name, None, fact.signed)


def _history(view: Snapshot, rows: Sequence[StageRow]) -> History:
    counted = _counted(view, rows)
    return History(tuple(rows), tuple(counted), tuple(_left(counted)))


def _counted(view: Snapshot, rows: Iterable[StageRow]) -> list[StageRow]:
    """Those that are believed and follow what was there."""
    found: list[StageRow] = []
    known: set[str] = set()  # the statements of `found`
    first: dict[str, int] = {}  # of any statement: the place where it was said first
    last = -1  # the place of the newest of `found`
    for place, row in enumerate(rows):
        first.setdefault(row.statement, place)
        if worth(view, row) is not Assurance.ATTESTED:
            continue
        if row.previous is None:
            follows = not found
        elif row.previous in known:
            follows = found[-1].statement == row.previous
        else:
            # It supersedes what does not count here (its signer was revoked since, say):
            # so it follows what counts, if nothing that does came in between.
            follows = first.get(row.previous, -1) > last
        if follows:
            found.append(row)
            known.add(row.statement)
            last = place
    return found


def _left(counted: Iterable[StageRow]) -> list[StageRow]:
    """What is left when every rollback takes off what was put on after its target."""
    left: list[StageRow] = []
    for row in counted:
        if row.action == predicate.ROLLBACK:
            below = [i for i, other in enumerate(left[:-1]) if _same(other, row)]
            del left[below[-1] if below else len(left) :]
        left.append(row)
    return left


def _same(one: StageRow, other: StageRow) -> bool:
    return (one.name, one.digest) == (other.name, other.digest)
