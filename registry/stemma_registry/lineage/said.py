"""What a signed statement about an ancestor comes to, without what depends on the question.

Who signed it, what proves when, about what, and what it leaves open: facts that follow from
the bundle's bytes, a trust root's keys and the Sigstore trusted roots at hand. Whether the
signer may say so, and whether that is in force now, is asked of a trust root every time.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property, partial
from typing import Any

from stemma_attestations.accepted import Signed, verified
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest, digests_match
from stemma_attestations.errors import BadStatement
from stemma_attestations.guarding import guarded
from stemma_attestations.predicates import admission, provenance
from stemma_attestations.predicates.admission import Admission
from stemma_attestations.request import Evidence
from stemma_attestations.requirements import gaps
from stemma_attestations.statement import Statement
from stemma_attestations.times import Dated, Times
from stemma_attestations.trust import TrustRoot


@dataclass(frozen=True)
class Subject:
    """What a statement is about: bytes, and what it calls them."""

    name: str | None
    digests: tuple[Digest, ...]


@dataclass(frozen=True)
class Said:
    """A statement whose signature verified, in a bundle of `size` bytes.

    `gaps` is what provenance leaves open, `commits` what it was built from, `admission` what an
    admission says; `unreadable`
    is why its predicate says nothing.
    """

    size: int
    signer: str
    certified: Certified | None
    signed: Times
    predicate_type: str
    subjects: tuple[Subject, ...]
    gaps: tuple[str, ...] = ()
    admission: Admission | None = None
    unreadable: str | None = None
    commits: tuple[str, ...] = ()

    def names_of(self, digest: Digest) -> tuple[str | None, ...]:
        """What it calls the bytes of `digest`, for each subject that they are."""
        found = self._by_digest.get(digest, ())
        return tuple(one.name for one in found if digests_match(one.digests, [digest]))

    @cached_property
    def _by_digest(self) -> dict[Digest, list[Subject]]:
        # One admission may be of thousands of the ancestors that are asked about.
        table: dict[Digest, list[Subject]] = {}
        for one in self.subjects:
            for digest in dict.fromkeys(one.digests):
                table.setdefault(digest, []).append(one)
        return table

    def encode(self) -> bytes:
        """For `decode`. Only of what can be read."""
        document: dict[str, Any] = {
            "size": self.size,
            "signer": self.signer,
            "type": self.predicate_type,
            "about": [[one.name, list(map(str, one.digests))] for one in self.subjects],
        }
        if self.certified is not None:
            document["certified"] = base64.b64encode(self.certified.encode()).decode()
        if self.signed:
            document["signed"] = [[one.time.isoformat(), str(one.root)] for one in self.signed]
        if self.gaps:
            document["gaps"] = list(self.gaps)
        if self.commits:
            document["commits"] = list(self.commits)
        if self.admission is not None:
            view = self.admission
            until = None if view.until is None else view.until.isoformat()
            document["admission"] = [view.reason, view.issued.isoformat(), until]
        return json.dumps(document, ensure_ascii=True).encode("ascii")

    @classmethod
    def decode(cls, raw: bytes) -> Said:
        """The inverse of `encode`. Raises whatever, for what is anything else."""
        document = json.loads(raw)
        identity, let_in = document.get("certified"), document.get("admission")
        return cls(
            size=document["size"],
            signer=document["signer"],
            certified=None if identity is None else Certified.parse(base64.b64decode(identity)),
            signed=tuple(
                Dated(_time(time), Digest.parse(root)) for time, root in document.get("signed", ())
            ),
            predicate_type=document["type"],
            subjects=tuple(
                Subject(name, tuple(map(Digest.parse, digests)))
                for name, digests in document["about"]
            ),
            gaps=tuple(document.get("gaps", ())),
            commits=tuple(document.get("commits", ())),
            admission=None
            if let_in is None
            else Admission(let_in[0], _time(let_in[1]), let_in[2] and _time(let_in[2])),
        )


def verify(evidence: Evidence, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Said:
    """Verify a bundle, whoever made it. Raises SignatureRefused, BadBundle, BadKey, Undecided."""
    return _of(verified(evidence, trust, roots), len(evidence.raw))


def _of(item: Signed, size: int) -> Said:
    statement = item.statement
    open_ends: tuple[str, ...] = ()
    commits: tuple[str, ...] = ()
    let_in, unreadable = None, None
    try:
        if statement.predicate_type == admission.TYPE:
            let_in = guarded(partial(admission.parse, statement.predicate), BadStatement)
        elif statement.predicate_type == provenance.TYPE:
            open_ends, commits = left_open(statement), built_from(statement)
    except BadStatement as error:
        unreadable = str(error)
    return Said(
        size=size,
        signer=item.signer,
        certified=item.certified,
        signed=tuple(item.signed),
        predicate_type=statement.predicate_type,
        subjects=tuple(Subject(one.name, one.digests) for one in statement.subjects),
        gaps=open_ends,
        commits=commits,
        admission=let_in,
        unreadable=unreadable,
    )


def left_open(statement: Statement) -> tuple[str, ...]:
    """What a statement of provenance leaves open. Raises BadStatement."""
    view = guarded(partial(provenance.parse, statement.predicate), BadStatement)
    return tuple(gaps(view, commit=True))


def built_from(statement: Statement) -> tuple[str, ...]:
    """The commits that a statement of provenance names. Raises BadStatement."""
    return guarded(partial(provenance.parse, statement.predicate), BadStatement).commits


def _time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
