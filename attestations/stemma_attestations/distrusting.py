"""Which distrust is in force, for which names, and what it speaks against.

Distrust of a signer in a window takes away what lets something pass: the signer's
provenance, approvals, releases and waivers of that time count as if nobody had signed
them. What stops something goes on stopping. So more distrust never lets more through.

A rule holds for the names that its own signer may speak about as custody, and for no
other. A release lifts it where nobody distrusts the release: of rules and releases that
speak against each other, those releases count that no remaining rule speaks against,
then those that are clear once that rule is gone, and so on. That has one answer, whatever
the order, and two that lift each other both stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from stemma_attestations import releasing
from stemma_attestations.digest import Digest
from stemma_attestations.objection import Objection, Spoken, Undoubted
from stemma_attestations.predicates import status
from stemma_attestations.predicates.criterion import Distrusted
from stemma_attestations.releasing import Voice
from stemma_attestations.trust import TrustRoot

NOBODY = Undoubted()  # is distrusted


@dataclass(frozen=True)
class Rule:
    """One signed distrust, whoever signed it, and the releases that name it.

    `statement` is the digest of the statement, `bundle` of the envelope it came in.
    """

    statement: Digest
    bundle: Digest
    voice: Voice
    of: Distrusted
    reason: str
    releases: tuple[Voice, ...] = ()

    def meets(self, spoken: Spoken) -> bool:
        """Whether it is about that signature, by signer and time."""
        of, who = self.of, spoken.certified
        if of.key is not None and of.key != spoken.signer:
            return False
        if of.principal is not None and of.principal != spoken.principal:
            return False
        known = (who.identity.issuer, who.identity.subject) if who is not None else None
        if of.identity is not None and of.identity != known:
            return False
        return of.holds(spoken.since)


@dataclass
class InForce:
    """The distrust of a trust root at one time (see `objection.Doubts`).

    `trust` is without it: who may distrust and release is asked of that.
    """

    trust: TrustRoot
    rules: Sequence[Rule]
    now: datetime
    _held: dict[str | None, tuple[Rule, ...]] = field(default_factory=dict)

    def against(self, spoken: Spoken, name: str | None) -> Objection | None:
        """What speaks against a statement about `name`."""
        if not any(rule.meets(spoken) for rule in self.rules):
            return None
        if name not in self._held:
            self._held[name] = self._in_force(name)
        rules = self._held[name]
        return next((_objection(self.trust, r) for r in rules if r.meets(spoken)), None)

    def anywhere(self, spoken: Spoken) -> bool:
        """Whether any rule is about it that may speak against something still."""
        return any(rule.meets(spoken) for rule in self.live)

    @cached_property
    def live(self) -> tuple[Rule, ...]:
        """The rules of signers who may speak of any name, but for those released altogether."""
        left = tuple(rule for rule in self.rules if self._is_heard(rule))
        while True:
            doubted = self.trust.doubting(_Each(self.trust, left))
            kept = tuple(
                rule
                for rule in left
                if not releasing.covers_wholly(doubted, rule.releases, rule.voice, self.now)
            )
            if len(kept) == len(left):
                return kept
            left = kept

    def _is_heard(self, rule: Rule) -> bool:
        signer, signed = rule.voice.signer, rule.voice.signed
        return signer is not None and bool(self.trust.patterns(signer, status.TYPE, None, signed))

    def _in_force(self, name: str | None) -> tuple[Rule, ...]:
        left = tuple(rule for rule in self.rules if self._may(rule, name))
        while True:
            doubted = self.trust.doubting(_Each(self.trust, left))
            kept = tuple(
                rule
                for rule in left
                if not releasing.lifted(doubted, rule.releases, name, None, self.now)
            )
            if len(kept) == len(left):
                return kept
            left = kept

    def _may(self, rule: Rule, name: str | None) -> bool:
        who = rule.voice
        return (
            who.signer is not None
            and rule.of.is_about(name)
            and self.trust.has_authorised(who.signer, status.TYPE, name, who.signed)
        )


@dataclass(frozen=True)
class _Each:
    """All of these rules, whatever is asked about."""

    trust: TrustRoot
    rules: Sequence[Rule]

    def against(self, spoken: Spoken, name: str | None) -> Objection | None:
        return next((_objection(self.trust, r) for r in self.rules if r.meets(spoken)), None)

    def anywhere(self, spoken: Spoken) -> bool:
        return any(rule.meets(spoken) for rule in self.rules)


def overlay(trust: TrustRoot, rules: Sequence[Rule], now: datetime) -> TrustRoot:
    """A trust root with the distrust of `rules` in force."""
    return trust.doubting(InForce(trust, tuple(rules), now)) if rules else trust


def _objection(trust: TrustRoot, rule: Rule) -> Objection:
    signer = rule.voice.signer or ""
    text = f"{rule.of.window}, by {trust.label(signer)}: {rule.reason} ({rule.statement.short})"
    return Objection(
        rule.statement, rule.bundle, signer, tuple(rule.voice.signed), rule.reason, text
    )
