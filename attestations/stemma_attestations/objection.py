"""Why a signature that the trust root lets speak is not heard after all: somebody distrusts it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from stemma_attestations.certified import Certified
from stemma_attestations.digest import Digest
from stemma_attestations.times import Times


@dataclass(frozen=True)
class Objection:
    """One distrust: the digests of its statement and bundle, who signed it, and the words."""

    statement: Digest
    bundle: Digest
    signer: str
    signed: Times
    reason: str
    text: str


@dataclass(frozen=True)
class Spoken:
    """A signature as one entry of a trust root sees it; `since` is when it provably existed."""

    signer: str
    principal: str
    certified: Certified | None
    since: datetime | None


class Doubts(Protocol):
    """The distrust that is in force."""

    def against(self, spoken: Spoken, name: str | None) -> Objection | None:
        """What speaks against a statement about `name` (None: about no name)."""
        ...

    def anywhere(self, spoken: Spoken) -> bool:
        """Whether anything may speak against it, whatever it is about."""
        ...


class Undoubted:
    """Nobody distrusts anybody."""

    def against(self, spoken: Spoken, name: str | None) -> Objection | None:
        """Nothing."""
        return None

    def anywhere(self, spoken: Spoken) -> bool:
        """No."""
        return False
