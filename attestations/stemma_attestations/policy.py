"""What the gate requires, beyond what no policy can waive.

Whole bytes, a believed signature and no quarantine are always required.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Policy:
    """The built-in requirements; each field is one that may be asked for."""

    name: str = "builtin:v0.1"
    provenance: bool = True
    # A build that ran code has a Git commit, and the checkout was clean.
    # `import` brings bytes in and runs nothing.
    commit: bool = True
    builds_without_commit: frozenset[str] = frozenset({"import"})
    bom: bool = True


BUILTIN = Policy()
