"""Tombstones: which bytes were erased on purpose, when, by whom and why.

A tombstone is a signed status statement. It explains a loss; it proves nothing
about the store, where a half-done erasure may have left the bytes. Only one
that is believed explains anything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stemma_attestations import dating
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BytesDiffer, Malformed, SignatureRefused
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import subject_name
from stemma_attestations.predicates import status as predicate
from stemma_attestations.trust import Assurance, TrustRoot
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import query, statuses
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.ledger.entry import ERASE, Event
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.status import quarantine_worth
from stemma_registry.registry import Snapshot


@dataclass(frozen=True)
class Tombstone:
    """What is said about an erased blob. `believed` is whether its signer may say so."""

    blob: Digest
    issued: str
    by: str
    reason: str
    bundle: Digest
    believed: bool

    @property
    def text(self) -> str:
        """For people."""
        if self.believed:
            return f"erased on {self.issued[:10]} by {self.by}: {self.reason}"
        return f"an untrusted signer ({self.by}) claims that it was erased"

    @property
    def missing(self) -> str:
        """What to say of the blob where its bytes cannot be had."""
        return self.text if self.believed else f"missing; {self.text}"


def tombstones(view: Snapshot, asked: str | None = None) -> dict[Digest, Tombstone]:
    """Every blob of which an erasure is stated, by the best word for it.

    With a NAME asked about, only a signer trusted for that name too is believed.
    """
    rows = statuses.statuses(view.connection, predicate.ERASE)
    digests = query.digests(view.connection, [row.node_id for row in rows])
    found: dict[Digest, Tombstone] = {}
    for row in rows:
        blob = digests[row.node_id]
        believed = quarantine_worth(view, row, asked) is Assurance.ATTESTED
        if blob in found and (found[blob].believed or not believed):
            continue
        by = signer_label(view, row.fact.signer)
        found[blob] = Tombstone(blob, row.issued, by, row.reason, row.fact.bundle, believed)
    return found


def by_node(view: Snapshot) -> dict[int, list[str]]:
    """What to say of each node that was erased, or has a file that was, on a believed word."""
    found: dict[int, list[str]] = {}
    for blob, stone in tombstones(view).items():
        node = query.node_id(view.connection, blob)
        if node is None or not stone.believed:
            continue
        found.setdefault(node, []).append(stone.text)
        for part in query.containers(view.connection, [node]):
            found.setdefault(part.artifact_id, []).append(f"{part.path}: {stone.text}")
    return found


def inside(view: Snapshot, manifest: Manifest, asked: str | None) -> dict[Digest, Tombstone]:
    """The tombstones of an artifact's files."""
    wanted = {entry.sha256 for entry in manifest.entries}
    found = tombstones(view, asked)
    return {blob: stone for blob, stone in found.items() if blob in wanted}


def refuse_push(view: Snapshot, manifest: Manifest, asked: str) -> None:
    """Raise Refused where a file was erased: its bytes may not come back."""
    stones = inside(view, manifest, asked)
    for entry in manifest.entries:
        stone = stones.get(entry.sha256)
        if stone is not None and stone.believed:
            raise Refused(f"{entry.path} may not be pushed again: {stone.text}")


def refuse_pull(store: Store, view: Snapshot, manifest: Manifest, asked: str | None) -> None:
    """Raise BytesDiffer where a file was erased and cannot be handed out."""
    stones = inside(view, manifest, asked)
    for entry in manifest.entries:
        stone = stones.get(entry.sha256)
        if stone is not None and (stone.believed or store.size(entry.sha256) is None):
            raise BytesDiffer(f"{entry.path}: {stone.missing}")


def stated(
    store: Store, event: Event, trust: TrustRoot, roots: Mapping[Digest, bytes]
) -> Iterable[Tombstone]:
    """The tombstones of one ledger event, without the catalogue: for `audit`.

    `roots` are the Sigstore trusted roots that the trust root believes about time.
    """
    if event.type != ERASE:
        return
    for digest in event.bundles:
        try:
            bundle = Bundle.parse(get_bytes(store, digest, LIMITS.small_object_bytes))
            key = trust.key(bundle.hint)
            statement = bundle.verify(key) if key else bundle.statement()
            said = predicate.parse(statement.predicate)
        except (BlobMissing, Damaged, Malformed, SignatureRefused):
            continue  # reported with the blobs; it explains nothing
        if statement.predicate_type != predicate.TYPE or said.action != predicate.ERASE:
            continue
        times = dating.under_roots(bundle, key.id, trust.time, roots) if key else ()
        by = (trust.principal(key.id) if key else None) or f"key {bundle.hint[:12]}"
        for subject in statement.subjects:
            blob, name = subject.digest("sha256"), subject_name(subject.name)
            about = name.name if name else None
            if blob is None or blob not in event.blobs:
                continue
            believed = key is not None and trust.has_authorised(
                key.id, predicate.TYPE, about, times
            )
            yield Tombstone(blob, said.issued, by, said.reason, digest, believed)
