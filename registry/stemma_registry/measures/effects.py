"""What a measure would stop, counted: by kind, by stage, by owner."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stemma_registry.catalogue.rows import VersionRow
from stemma_registry.lineage.hops import signer_label
from stemma_registry.registry import Snapshot
from stemma_registry.stages import holding

NOWHERE = "no stage"


@dataclass(frozen=True)
class Counts:
    """Names by what they are, where they are, and who says that he made them; most first.

    A name at two stages is counted at both.
    """

    kinds: Mapping[str, int]
    stages: Mapping[str, int]
    owners: Mapping[str, int]


def count(view: Snapshot, versions: Iterable[VersionRow]) -> Counts:
    """Count names that would be stopped, each once."""
    rows = list({str(row.name): row for row in versions}.values())
    held: dict[int, set[str]] = {}
    for (_, stage), past in holding.histories(view, None).items() if rows else ():
        if past.holder is not None:
            held.setdefault(past.holder.artifact_id, set()).add(stage)
    return Counts(
        _counted(row.kind for row in rows),
        _counted(one for row in rows for one in held.get(row.artifact_id, {NOWHERE})),
        _counted(signer_label(view, row.fact.signer) for row in rows),
    )


def _counted(words: Iterable[str]) -> dict[str, int]:
    found = Counter(words)
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))
