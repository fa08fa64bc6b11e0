"""The catalogue's facts, verified anew: every bundle is read again from the store.

A second catalogue is projected from the ledger, with the keys that it names and the
trusted roots of this machine, and the first must say the same. So what is compared is
everything that an answer is made from, by the very rules that wrote it.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy import func, select

from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.contract import Store
from stemma_registry.blobs.streams import Progress
from stemma_registry.care.audit import CATALOGUE, Finding
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.again import noted
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.catalogue.compare import differences
from stemma_registry.config import LIMITS
from stemma_registry.errors import Rotten, Unavailable
from stemma_registry.ledger.survey import last_number
from stemma_registry.registry import Registry, Snapshot, snapshot
from stemma_registry.trust.change import Change, compare


@dataclass
class Verified:
    """What was verified again. `differences` counts all, `listed` holds the first of them.

    `unsigned` are statements that no key or trusted root of this machine verifies.
    `change` is None where no other trust root was asked about.
    """

    statements: int = 0
    unsigned: int = 0
    entry: int = -1
    differences: int = 0
    listed: list[tuple[str, str]] = field(default_factory=list)
    change: Change | None = None

    def note(self, subject: str, detail: str, limit: int) -> None:
        """One more difference, of the blob (or part of the catalogue) that it is about."""
        self.differences += 1
        if len(self.listed) < limit:
            self.listed.append((subject, detail))

    @property
    def findings(self) -> list[Finding]:
        """The same as findings of an audit: any is one, however few are listed."""
        found = [Finding(CATALOGUE, subject, detail) for subject, detail in self.listed]
        more = self.differences - len(found)
        if self.differences:
            text = f"{more} more of its rows differ: " if found and more else ""
            text = f"{self.differences} of its rows differ: " if not found else text
            found.append(
                Finding(CATALOGUE, "the catalogue", f"{text}mend it with `stemma rebuild`")
            )
        return found


@dataclass(frozen=True)
class Question:
    """Under which trust root, when, what is asked about `other`, and how much is listed."""

    trust: TrustRoot
    now: datetime
    other: TrustRoot | None = None
    limit: int = LIMITS.listed


def verify(
    registry: Registry, store: Store, question: Question, progress: Progress | None = None
) -> Verified:
    """Verify every statement again from `store`, and compare it with the catalogue.

    Raises LedgerBroken where a bundle cannot be read, Unavailable.
    """
    if progress is not None:
        progress.expect(last_number(store) + 1)
    with _workshop(registry) as folder:
        fresh = Catalogue.open(folder / "fresh.sqlite3", store, registry.catalogue.roots)
        with contextlib.closing(fresh):
            fresh.hurry()
            fresh.catch_up(progress)
            for _ in range(LIMITS.snapshot_tries):
                with snapshot(registry, question.trust, question.now) as view:
                    fresh.catch_up(progress)
                    found = _compared(view, fresh, question)
                if found is not None:
                    return found
    raise Unavailable("the registry is written to again and again; try again")


@contextlib.contextmanager
def _workshop(registry: Registry) -> Iterator[Path]:
    """A folder for the second catalogue: on the disk of the first, where that can be written."""
    beside = registry.catalogue.path.parent
    where = str(beside) if os.access(beside, os.W_OK) else None
    try:
        folder = tempfile.TemporaryDirectory(prefix="audit-", dir=where)
    except OSError as error:
        raise Unavailable(f"no room to verify signatures in: {error.strerror}") from error
    with folder:
        yield Path(folder.name)


def _compared(view: Snapshot, fresh: Catalogue, question: Question) -> Verified | None:
    """Both catalogues held against each other, where they are of the same entry; else None."""
    with fresh.reading() as there:
        if fresh.projected(there).n != view.n or noted(there) != noted(view.connection):
            return None  # written to meanwhile, or a trusted root came or went
        every, signed = select(func.count()).select_from(t.statement), t.statement.c.signer
        found = Verified(entry=view.n)
        found.statements = there.execute(every).scalar() or 0
        found.unsigned = there.execute(every.where(signed.is_(None))).scalar() or 0
        try:
            for difference in differences(view.connection, there):
                found.note(f"sha256:{difference.blob}", str(difference), question.limit)
        except (TypeError, ValueError, AttributeError, Rotten) as error:
            text = f"it holds what no version of stemma writes ({error})"
            found.note("the catalogue", text, question.limit)
        if question.other is not None:
            # By the facts that were just proved, not by those that may be damaged.
            proved = replace(view, connection=there)
            found.change = compare(proved, question.trust, question.other, question.limit)
        return found
