"""Whoever changes stages, and where."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from stemma_attestations.trust import TrustRoot
from stemma_registry.blobs.streams import Progress
from stemma_registry.registry import Registry

if TYPE_CHECKING:
    from stemma_registry.signing import Signer


@dataclass(frozen=True)
class Desk:
    """Where and by whom a stage is changed, and under which trust root."""

    registry: Registry
    trust: TrustRoot
    signer: Signer
    now: datetime
    progress: Progress | None = None
