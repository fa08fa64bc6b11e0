"""A trust root that does not believe a signer in a window of time.

For the question what would be left if somebody's key had been in other hands for a while.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime

from stemma_attestations.listed import Signer
from stemma_attestations.times import Times, Window
from stemma_attestations.trust import TrustRoot


@dataclass(frozen=True)
class Without(TrustRoot):
    """A trust root, as if nobody believed what `signers` (their ids) said in a window."""

    unheard: frozenset[str] = frozenset()
    window: Window = field(default_factory=Window)

    @classmethod
    def of(cls, trust: TrustRoot, signers: frozenset[str], window: Window) -> Without:
        """The same trust root without them."""
        same = {each.name: getattr(trust, each.name) for each in fields(TrustRoot)}
        return cls(**same, unheard=signers, window=window)

    def _heard(self, signer_id: str, times: Times) -> Iterator[tuple[Signer, datetime | None]]:
        for entry, since in super()._heard(signer_id, times):
            if signer_id not in self.unheard or not self.window.holds(since):
                yield entry, since

    def refusal(self, signer_id: str, predicate_type: str, subject: str, signed: Times) -> str:
        """Why a signer is not believed about `subject`, for people."""
        if signer_id in self.unheard:
            return f"{self.label(signer_id)} is not heard in that window"
        return super().refusal(signer_id, predicate_type, subject, signed)
