"""How much of what is stored can be found by its contents: a count, and no fault.

Counted is what anybody said, whoever is believed: this is asked without a trust root.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection

from stemma_registry.catalogue import query, record_facts, tensors


@dataclass(frozen=True)
class Coverage:
    """How many datasets and models have a name, and how many of those nobody looked into."""

    datasets: int
    no_records: int
    models: int
    no_tensors: int

    def __str__(self) -> str:
        found = []
        if self.no_records:
            found.append(
                f"{self.no_records} of {_count(self.datasets, 'dataset')} without a record index "
                "(`stemma index --missing`)"
            )
        if self.no_tensors:
            found.append(
                f"{self.no_tensors} of {_count(self.models, 'model')} without tensor digests"
            )
        whole = f"all of {_count(self.datasets, 'dataset')} and {_count(self.models, 'model')}"
        return "; ".join(found) or whole


def coverage(connection: Connection) -> Coverage:
    """What the catalogue knows of record indexes and of tensor digests."""
    datasets, models = (
        {row.artifact_id for row in query.all_versions(connection, kind)}
        for kind in ("dataset", "model")
    )
    return Coverage(
        len(datasets),
        len(datasets - record_facts.nodes(connection)),
        len(models),
        len(models - tensors.artifacts(connection)),
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
