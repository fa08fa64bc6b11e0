"""What goes into a dossier: everything that a walk up from the artifact can meet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadKey, Undecided
from stemma_attestations.keys import PublicKey
from stemma_attestations.predicates import (
    admission,
    git_signature,
    lineage,
    mlbom,
    provenance,
    verdict,
)
from stemma_attestations.predicates import status as status_predicate
from stemma_attestations.predicates.dossier import Member, Role
from stemma_attestations.request import Evidence
from stemma_registry import stored
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import evidence, halts, made, query, record_facts, statuses
from stemma_registry.catalogue.acts import UNKNOWN
from stemma_registry.catalogue.rows import Fact, StatusRow
from stemma_registry.commits import standing
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged, Refused
from stemma_registry.ledger.entry import Event, LedgerEntry
from stemma_registry.registry import Snapshot

# What the recipe reads about what is above, and BOMs: a package may be stopped tomorrow.
_UPSTREAM = (provenance.TYPE, lineage.TYPE, admission.TYPE, mlbom.TYPE)
_ACTS = (
    status_predicate.QUARANTINE,
    status_predicate.MATCHING,
    status_predicate.ERASE,
    UNKNOWN,
)
_EVERYWHERE = (status_predicate.MATCHING, UNKNOWN)  # whatever they are about


@dataclass
class Gathering:
    """Members by their bytes; whatever comes twice is in there once, as what it came first."""

    store: Store
    roots: Mapping[Digest, bytes]  # Sigstore's, by which signed Git objects are read
    blobs: dict[Digest, bytes] = field(default_factory=dict)
    roles: dict[Digest, Role] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)  # of the ledger entries that carry it
    objects: dict[Digest, bytes] = field(default_factory=dict)  # signed Git objects, maybe
    _read: dict[Digest, Evidence] = field(default_factory=dict)
    _size: int = 0

    def add(self, role: Role, raw: bytes) -> Digest:
        """One more. Raises Refused where the dossier becomes too large."""
        digest = Digest.of(raw)
        if digest not in self.roles:
            self._size += len(raw)
            if self._size > LIMITS.dossier_bytes:
                raise Refused(
                    f"the evidence has more than {LIMITS.dossier_bytes} bytes; "
                    "the limit is a named one"
                )
            self.roles[digest], self.blobs[digest] = role, raw
        return digest

    @property
    def members(self) -> list[Member]:
        """All of them, in their order."""
        found = [Member(role, one, len(self.blobs[one])) for one, role in self.roles.items()]
        return sorted(found, key=lambda member: member.order)

    def ancestry(self, view: Snapshot, node: int, sources: bool = False) -> None:
        """Manifests and statements of a node and of everything above it, and what stops them.

        With `sources` also what is signed about commits.
        Raises Refused for too much of it, Undecided for what is lost.
        """
        nodes = halts.upstream(view.connection, node, LIMITS.dossier_nodes + 1)
        if len(nodes) > LIMITS.dossier_nodes:
            raise Refused(f"more than {LIMITS.dossier_nodes} ancestors; the limit is a named one")
        digests = query.digests(view.connection, nodes)
        for row in query.artifacts(view.connection, nodes).values():
            self._manifest(digests[row.id])
            self.numbers.add(row.n)
        self._statements(view, query.facts_about(view.connection, node))
        # What is said of a file of one leads on from there, too.
        files = made.spoken_of(view.connection, nodes)
        for kind in _UPSTREAM:
            about = query.facts_of(view.connection, (nodes | files) - {node}, kind)
            for one in sorted(about):
                self._statements(view, about[one])
        # Not all of them are about what they lead to, or of a type that is looked for.
        said = evidence.into(view.connection, nodes | files)
        for one in sorted(said):
            self._statements(view, said[one])
        every = [fact for facts in said.values() for fact in facts]
        late = evidence.keys_after(view.connection, every)
        self.numbers |= {n for bundle, n in late.items() if bundle in self.roles}
        with_records = record_facts.comparing(view.connection, nodes - {node})
        for one in sorted(with_records):
            self._statements(view, with_records[one])
        if sources:
            self._sources(view, digests)
        acts = self._acts(view, nodes)
        self._statements(view, [row.fact for row in acts])
        released = statuses.releases(view.connection)
        lifting = dict.fromkeys(row.statement for row in acts)
        self._statements(view, [fact for one in lifting for fact in released.get(one, [])])

    def _sources(self, view: Snapshot, digests: Mapping[int, Digest]) -> None:
        """What a verdict would read about the commits among these nodes."""
        behind = {node: one.value for node, one in digests.items() if one.algorithm == "gitCommit"}
        for kind in (git_signature.TYPE, verdict.TYPE):
            about = query.facts_of(view.connection, behind, kind)
            for one in sorted(about):
                self._statements(view, about[one])
        self.objects = standing.signed_objects(view, self.store, self.roots, behind)

    def signed_objects(self, entries: Iterable[LedgerEntry]) -> None:
        """Add the signed Git objects that these entries hold: anybody may list any bytes."""
        held = {one for entry in entries for event in entry.events for one in event.bundles}
        for digest in sorted(held & set(self.objects)):
            self.add(Role.STATEMENT, self.objects[digest])

    def keys_of(self, entries: Iterable[LedgerEntry]) -> None:
        """The keys that the ledger keeps beside the statements."""
        for entry in entries:
            for event in entry.events:
                if any(self.roles.get(bundle) is Role.STATEMENT for bundle in event.bundles):
                    self._keys(event)

    def _manifest(self, digest: Digest) -> None:
        try:
            self.add(Role.MANIFEST, get_bytes(self.store, digest, LIMITS.manifest_bytes))
        except (BlobMissing, Damaged) as error:
            raise Undecided(f"the manifest of an ancestor is lost or damaged: {error}") from error

    def _statements(self, view: Snapshot, facts: list[Fact]) -> None:
        """Those that a verdict would hear, each with its key."""
        heard = stored.heard(view.trust, facts, self._evidence)
        for digest, item in heard:
            self.add(Role.STATEMENT, item.raw)
            if item.key is not None:
                self.add(Role.KEY, item.key)
            self.numbers |= {fact.n for fact in facts if fact.bundle == digest}

    def _evidence(self, bundle: Digest) -> tuple[int, Evidence]:
        if bundle not in self._read:
            self._read[bundle] = stored.evidence(self.store, bundle)
        return len(self._read[bundle].raw), self._read[bundle]

    def _acts(self, view: Snapshot, nodes: set[int]) -> list[StatusRow]:
        """Acts of custody about one of the nodes or a file of one, criteria, and the unknown."""
        rows = [row for act in _ACTS for row in statuses.statuses(view.connection, act)]
        outside = {row.node_id for row in rows} - nodes
        parts = query.containers(view.connection, outside)
        inside = {part.blob_id for part in parts if part.artifact_id in nodes}
        near = nodes | inside
        return [row for row in rows if row.node_id in near or row.action in _EVERYWHERE]

    def _keys(self, event: Event) -> None:
        for digest in event.keys:
            if digest in self.roles:
                continue
            try:
                raw = get_bytes(self.store, digest, LIMITS.key_bytes)
                PublicKey.parse(raw)
            except (BlobMissing, Damaged, BadKey):
                continue  # what it would verify has no signer here either
            self.add(Role.KEY, raw)
