"""The datasets that may have records, with all that is said about those."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.manifest import Manifest
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import query, record_facts
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.records.answers import Unsearched
from stemma_registry.reference import labels
from stemma_registry.reference import worth as binding_worth
from stemma_registry.registry import Registry, Snapshot

SHOWN = 5  # reasons why a dataset is not searched whole


@dataclass(frozen=True)
class Subject:
    """A dataset that may have records, and what is said about those.

    `believed` are the names under which it is believed to be; None: it has none.
    """

    node: int
    digest: Digest
    label: str
    names: tuple[str, ...]
    believed: frozenset[str | None]
    manifest: Manifest
    facts: Sequence[Fact]


def because(subject: Subject, reasons: Sequence[str]) -> Unsearched:
    """Why parts of a dataset are not searched."""
    more = f"; and {len(reasons) - SHOWN} more reasons" if len(reasons) > SHOWN else ""
    return Unsearched(subject.label, subject.digest, "; ".join(reasons[:SHOWN]) + more)


def subjects(
    registry: Registry, view: Snapshot, after: int | None = None
) -> Iterator[Subject | Unsearched]:
    """Every dataset, by label; Unsearched where it cannot be read. Raises Unavailable.

    `after`: only those that came after that entry of the ledger, or were indexed after it.
    """
    known = record_facts.by_node(view.connection, after)
    if after is None:
        datasets = {row.artifact_id for row in query.all_versions(view.connection, "dataset")}
    else:
        datasets = {node for node, _ in record_facts.arrived(view.connection, after, None)}
    shown = labels(view, datasets | known.keys())
    digests = query.digests(view.connection, shown)
    for node in sorted(shown, key=lambda node: (shown[node], digests[node])):
        try:
            raw = get_bytes(registry.store, digests[node], LIMITS.manifest_bytes)
            manifest = Manifest.parse(raw)
        except (BlobMissing, Damaged, Malformed) as error:
            if node in datasets:
                yield Unsearched(shown[node], digests[node], str(error))
            continue
        rows = query.versions_of(view.connection, [node]).get(node, [])
        names = tuple(sorted({str(row.name) for row in rows}))
        believed: frozenset[str | None] = frozenset(
            row.name.name for row in rows if binding_worth(view, row) is Assurance.ATTESTED
        )
        facts = known.get(node, [])
        some = believed or frozenset({None})
        yield Subject(node, digests[node], shown[node], names, some, manifest, facts)
