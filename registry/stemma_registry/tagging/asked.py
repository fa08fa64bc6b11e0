"""What a sync of tags is asked, and what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stemma_attestations.policy import Policy
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.tagging.keeping import Keeper
from stemma_registry.tagging.planning import Plan, Result
from stemma_registry.tagging.reading import Listed


@dataclass(frozen=True)
class Asked:
    """What is synced: the tags of an open repository, under the name that it has in records.

    `policy` is what a stage is held to.
    """

    repository: Repository
    name: str
    tags: Listed
    keeper: Keeper
    policy: Policy


@dataclass
class Synced:
    """What came of it. `entries` are the ledger's, in their order."""

    plan: Plan
    entries: list[int] = field(default_factory=list)


def counts(results: Sequence[Result]) -> dict[str, int]:
    """How many came to what."""
    found: dict[str, int] = {}
    for one in results:
        found[one.outcome] = found.get(one.outcome, 0) + 1
    return found
