"""What needs a blob: asked of the ledger again, for the few blobs that something is wrong with."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import provenance
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound, StoreError
from stemma_registry.ledger.entry import TRUST, Event, LedgerEntry
from stemma_registry.ledger.survey import survey


@dataclass
class Uses:
    """Who needs a blob: the first of `count`, for people."""

    first: list[str] = field(default_factory=list)
    count: int = 0

    def add(self, use: str) -> None:
        """One more."""
        self.count += 1
        if len(self.first) < LIMITS.dependents:
            self.first.append(use)

    @property
    def listed(self) -> tuple[str, ...]:
        """The first of them."""
        return tuple(self.first)


def uses_of(store: Store, last: int, blobs: set[Digest]) -> dict[Digest, Uses]:
    """Everything up to ledger entry `last` that needs one of the blobs. Raises Unavailable."""
    found: dict[Digest, Uses] = {}
    if not blobs:
        return found
    _, entries = survey(store, last, lambda entry: list(uses_in(store, entry, blobs)))
    for _, uses in entries:
        for digest, use in uses:
            found.setdefault(digest, Uses()).add(use)
    return found


def uses_in(
    store: Store, entry: LedgerEntry, blobs: Collection[Digest]
) -> Iterator[tuple[Digest, str]]:
    """What an entry needs the blobs for, each with words for people."""
    for event in entry.events:
        inside = [(a, _contained(store, a, blobs)) for a in event.artifacts]
        direct = set(event.digests).intersection(blobs)
        if not direct and not any(items for _, items in inside):
            continue
        names, where = _names(store, event), f"ledger entry {entry.n}"
        labels = {a: names.get(a) or f"artifact {a.short}" for a in event.artifacts}
        about = ", ".join(sorted(set(labels.values()))) or where
        for artifact, items in inside:
            for digest, path in items:
                yield digest, f"{path} of {labels[artifact]} ({where})"
            if artifact in direct:
                yield artifact, f"{labels[artifact]}, whose files it lists ({where})"
        for digest in sorted(direct.intersection(event.bundles)):
            yield digest, f"a signed statement about {about} ({where})"
        if event.type == TRUST:
            yield from ((digest, f"the trust root of {where}") for digest in sorted(direct))
            continue
        for digest in sorted(direct.intersection(event.keys)):
            yield digest, f"the signatures of the statements about {about} ({where})"


def _contained(
    store: Store, artifact: Digest, blobs: Collection[Digest]
) -> list[tuple[Digest, str]]:
    try:
        manifest = Manifest.parse(get_bytes(store, artifact, LIMITS.manifest_bytes))
    except (NotFound, StoreError, Malformed):
        return []
    return [(item.sha256, item.path) for item in manifest.entries if item.sha256 in blobs]


def _names(store: Store, event: Event) -> dict[Digest, str]:
    """The NAME:VERSION that a statement of the event gives to an artifact, whoever signed it."""
    names: dict[Digest, str] = {}
    for digest in event.bundles:
        try:
            raw = get_bytes(store, digest, LIMITS.small_object_bytes)
            statement = Bundle.parse(raw).statement()
        except (NotFound, StoreError, Malformed):
            continue
        if statement.predicate_type != provenance.TYPE:
            continue
        for subject in statement.subjects:
            name, artifact = subject_name(subject.name), subject.digest("sha256")
            if name is not None and artifact is not None:
                names[artifact] = str(name)
    return names
