"""Several artifacts that are served together: judged at one snapshot, and yes only to all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer, NotVerified, Undecided
from stemma_attestations.lock import Lock, Member
from stemma_attestations.verdict import SEVERITY, Verdict
from stemma_registry.blobs.streams import Progress
from stemma_registry.catalogue import query
from stemma_registry.errors import Damaged, LedgerBroken, NotFound, StoreError
from stemma_registry.gate import Terms
from stemma_registry.lineage import companions
from stemma_registry.lineage.companions import Fit, Piece
from stemma_registry.reference import best_version, looks_like_reference, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.serving.asking import Approved, Question, approved, judge


@dataclass(frozen=True)
class Part:
    """How one artifact of a set was judged: a verdict, or why there is none, or a no with both."""

    word: str
    question: Question
    verdict: Verdict | None
    failure: NotVerified | None = None


@dataclass(frozen=True)
class SetVerdict:
    """The verdicts of a set, at one ledger entry under one trust root, and whether it fits."""

    parts: tuple[Part, ...]
    fit: Fit
    entry: int
    trust_root: Digest

    @property
    def failure(self) -> NotVerified | None:
        """The most severe no; an Undecided only where nothing definitely failed."""
        found = [part.failure for part in self.parts if part.failure is not None]
        if self.fit.wrong:
            found.append(NotVerified(f"the set does not fit together: {self.fit.wrong[0]}"))
        for kind in (*SEVERITY, Undecided):
            for one in found:
                if severity(one) is kind:
                    return one
        return None

    def require(self) -> SetVerdict:
        """Itself if it is a yes to all, else raise the most severe no."""
        failure = self.failure
        if failure is not None:
            raise failure
        return self


def severity(failure: NotVerified) -> type[NotVerified]:
    """What a failure counts as: one of SEVERITY, or Undecided."""
    for kind in (*SEVERITY[:-1], Undecided):
        if isinstance(failure, kind):
            return kind
    return NotVerified


def questions(
    view: Snapshot, lock: Lock, terms: Terms, held: Mapping[str, str]
) -> dict[str, Question]:
    """What is to be judged for each member: what is held to it, else what its name names.

    `held` is word -> a directory or a reference. Raises NotFound, and Malformed.
    """
    return {
        member.word: _question(view, member, terms, held.get(member.word))
        for member in lock.members
    }


def _question(view: Snapshot, member: Member, terms: Terms, text: str | None) -> Question:
    held = replace(terms, locked=member)
    if text is None:
        return Question(str(member.name), terms=held)
    if not looks_like_reference(text):
        if not Path(text).is_dir():
            raise NotFound(f"{text} is neither a reference nor a directory")
        return Question(text, member.name, held)
    # The same bytes may have other names; the rules that hold are those of the locked one.
    same = resolve(view, text).digest == member.artifact
    return Question(str(member.name) if same else text, terms=held)


def judge_set(
    registry: Registry,
    view: Snapshot,
    asked: Mapping[str, Question],
    progress: Progress | None = None,
) -> SetVerdict:
    """Judge every one, whatever becomes of the others, and then whether they fit together."""
    parts = tuple(
        _part(registry, view, word, question, progress) for word, question in asked.items()
    )
    pieces = [found for part in parts if (found := _piece(view, part)) is not None]
    return SetVerdict(parts, companions.fit(view, pieces), view.n, view.trust.digest)


def approve_set(
    registry: Registry, view: Snapshot, asked: Mapping[str, Question], progress: Progress | None
) -> list[Approved]:
    """A yes to every one, in their order, and to the set. Raises the most severe no."""
    verdict = judge_set(registry, view, asked, progress).require()
    return [
        approved(registry, part.question, part.verdict)
        for part in verdict.parts
        if part.verdict is not None
    ]


def _part(
    registry: Registry, view: Snapshot, word: str, question: Question, progress: Progress | None
) -> Part:
    try:
        return Part(word, question, judge(registry, view, question, progress))
    except NotVerified as error:
        return Part(word, question, error.verdict, error)
    except NotFound as error:
        return Part(word, question, None, NotVerified(str(error)))
    except Damaged as error:
        return Part(word, question, None, BytesDiffer(str(error)))
    except (StoreError, LedgerBroken) as error:
        return Part(word, question, None, Undecided(str(error)))


def _piece(view: Snapshot, part: Part) -> Piece | None:
    """What it is in the lineage; nothing where nobody knows it, which is a no already."""
    verdict = part.verdict
    if verdict is None or verdict.artifact is None or verdict.name is None:
        return None
    node = query.node_id(view.connection, verdict.artifact)
    if node is None:
        return None
    rows = query.versions_of(view.connection, [node]).get(node, [])
    best = best_version(view, [row for row in rows if row.name == verdict.name])
    return Piece(part.word, node, verdict.name, best.kind) if best is not None else None
