"""What a pickle's opcodes make, as symbols; and how following one pickle went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from stemma_registry.formats.opcodes import UNKNOWN


@dataclass(frozen=True)
class Global:
    """A name that is imported."""

    module: str
    name: str

    @property
    def key(self) -> tuple[str, str]:
        """As in the lists of names."""
        return self.module, self.name


@dataclass(frozen=True)
class Made:
    """What a call makes, or a literal of a kind."""

    of: Global | str
    arguments: tuple[Any, ...] = ()


@dataclass
class Mapping:
    """A dictionary, as far as it is kept."""

    items: dict[str, Any] = field(default_factory=dict)


@dataclass
class Run:
    """How one pickle went: `end` is behind its STOP, or where it stopped."""

    found: dict[tuple[str, str], int] = field(default_factory=dict)
    imports: int = 0
    plausible: bool = False  # an import of identifiers
    acts: bool = False  # something is called or changed after that
    wrapped: bool = False  # arrays of joblib lie between the opcodes
    stopped: bool = False
    protocol: int = 0
    error: str = ""
    end: int = 0
    value: Any = UNKNOWN
    storages: dict[str, tuple[str, int]] = field(default_factory=dict)
