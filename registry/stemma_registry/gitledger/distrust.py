"""Distrust that an exported ledger itself holds, weighed as the gate weighs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from stemma_attestations import distrusting
from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.distrusting import Rule
from stemma_attestations.errors import BadStatement
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import status
from stemma_attestations.predicates.criterion import Distrusted
from stemma_attestations.releasing import Voice
from stemma_attestations.statement import Statement
from stemma_attestations.times import Times
from stemma_attestations.trust import TrustRoot
from stemma_registry.config import LIMITS


@dataclass(frozen=True)
class Heard:
    """A statement whose signature verifies: who signed it, and what proves when."""

    bundle: Digest
    statement: Statement
    signer: str
    certified: Certified | None
    signed: Times

    def names(self, trust: TrustRoot) -> list[str | None]:
        """What it is about and its signer may say it about, distrusted or not."""
        found = [subject_name(subject.name) for subject in self.statement.subjects]
        said = self.signer, self.statement.predicate_type
        about = dict.fromkeys(name.name if name else None for name in found)
        trust = trust.introducing(self.certified)
        return [name for name in about if trust.has_authorised(*said, name, self.signed)]


@dataclass
class Distrust:
    """What is taken in of the whole ledger, before anything is asked.

    What strangers sign is left out, as it is by the gate: they could write any amount of it.
    """

    trust: TrustRoot
    now: datetime
    rules: list[tuple[Heard, Distrusted, str]] = field(default_factory=list)
    releases: dict[Digest, list[Voice]] = field(default_factory=dict)
    known: dict[str, Certified] = field(default_factory=dict)
    criteria: int = 0

    def take_in(self, one: Heard) -> None:
        """A statement, in the ledger's order."""
        if one.statement.predicate_type != status.TYPE:
            return
        trust = self.trust.introducing(one.certified)
        if not trust.patterns(one.signer, status.TYPE, None, one.signed):
            return
        try:
            said = status.parse(one.statement.predicate)
        except BadStatement:
            return
        if one.certified is not None:
            self.known[one.signer] = one.certified
        self.criteria += said.criterion is not None
        if isinstance(said.criterion, Distrusted) and not self.too_many:
            self.rules.append((one, said.criterion, said.reason))
        for digest in said.releases:
            self.releases.setdefault(digest, []).append(Voice(one.signer, one.signed))

    @property
    def too_many(self) -> bool:
        """Whether there is more of it than is weighed: the gate weighs none then."""
        return self.criteria > LIMITS.criteria

    def against(self, one: Heard) -> str | None:
        """Why a statement that lets something pass counts for nothing, though its signer is listed.

        What stops something goes on stopping, whoever is distrusted.
        """
        if _stops(one.statement):
            return None
        trust = self._overlaid.introducing(one.certified)
        names, kind = one.names(trust), one.statement.predicate_type
        if not names or any(trust.supports(one.signer, kind, n, one.signed) for n in names):
            return None
        objections = (trust.objection(one.signer, name, one.signed) for name in names)
        text = next((found.text for found in objections if found is not None), None)
        return text and f"{kind} by {trust.label(one.signer)}, who is distrusted: {text}"

    @cached_property
    def _overlaid(self) -> TrustRoot:
        rules: Sequence[Rule] = [
            Rule(
                one.statement.digest,
                one.bundle,
                Voice(one.signer, one.signed),
                of,
                reason,
                tuple(self.releases.get(one.statement.digest, ())),
            )
            for one, of, reason in self.rules
        ]
        return distrusting.overlay(self.trust.knowing(self.known.get), rules, self.now)


def _stops(statement: Statement) -> bool:
    if statement.predicate_type != status.TYPE:
        return False
    try:
        return status.parse(statement.predicate).action != status.RELEASE
    except BadStatement:
        return True
