"""Who evaluates a policy's Rego for the gate; makes a self-test before it is relied on."""

from __future__ import annotations

from dataclasses import dataclass, field

from stemma_attestations.errors import BadPolicy
from stemma_attestations.policy import Policy, RegoRule
from stemma_attestations.policy_rego import named
from stemma_attestations.rego import Decision
from stemma_attestations.verdict import Outcome
from stemma_registry.rego import local, opa


@dataclass
class Evaluator:
    """Asks the local engine, or the OPA that a rule names, once for each document.

    An OPA is tested before its first answer counts; the local engine tests itself each time.
    """

    _tested: dict[str, str | None] = field(default_factory=dict)
    _decided: dict[tuple[RegoRule, bytes], Decision] = field(default_factory=dict)

    def __call__(self, rule: RegoRule, document: bytes) -> Decision:
        """The decision; it raises nothing that it thought of."""
        asked = (rule, document)
        if asked not in self._decided:
            self._decided[asked] = self._decide(rule, document)
        return self._decided[asked]

    def _decide(self, rule: RegoRule, document: bytes) -> Decision:
        if rule.opa is None:
            return local.decide(rule, document)
        if rule.opa not in self._tested:
            self._tested[rule.opa] = opa.prove(rule)
        reason = self._tested[rule.opa]
        if reason is not None:
            return Decision(Outcome.UNDECIDED, (f"{named(rule)}: {reason}",))
        return opa.decide(rule, document)


def check(policy: Policy) -> None:
    """Read every module of a policy. Raises BadPolicy with its line, Unavailable."""
    for rule in dict.fromkeys(one.rego for one in policy.rules if one.rego is not None):
        wrong = local.mistake(rule)
        if wrong is not None:
            raise BadPolicy(f"{policy.name}: {named(rule)}: {wrong}")
