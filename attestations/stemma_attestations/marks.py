"""How an edge was said (see `edges`)."""

from __future__ import annotations

from enum import StrEnum


class Mark(StrEnum):
    """How an edge was said, best first."""

    EXACT = "exact"
    CARTESIAN = "cartesian"
    NAMED = "name-based"
