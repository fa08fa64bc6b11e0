"""What stands behind commits, for a verdict: read from the store and verified each time.

Signed objects are found by statements that say where their bytes are. Those of importers whom
the trust root lists are read first, so that strangers can hide nothing by saying a lot.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from stemma_attestations import sources
from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.predicates import git_signature, provenance
from stemma_attestations.predicates import verdict as vsa
from stemma_attestations.predicates.git_signature import GitObject
from stemma_attestations.request import Evidence, SourceWord
from stemma_registry import stored
from stemma_registry.blobs.contract import Store, get_bytes
from stemma_registry.catalogue import commits as known_commits
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.errors import BlobMissing, Damaged
from stemma_registry.registry import Snapshot


def built_from(evidence: Iterable[Evidence]) -> Iterator[str]:
    """The commits that provenance names, believed or not."""
    for item in evidence:
        with contextlib.suppress(BadBundle, BadStatement):  # the recipe says what is wrong with it
            statement = Bundle.parse(item.raw).statement()
            if statement.predicate_type == provenance.TYPE:
                yield from provenance.parse(statement.predicate).commits


def behind(
    view: Snapshot, store: Store, roots: Mapping[Digest, bytes], asked: Iterable[str]
) -> dict[str, tuple[SourceWord, ...]]:
    """What is signed about each of the commits, by whoever the trust root lists or not.

    Raises Undecided where a statement is lost, or for too many of listed signers.
    """
    nodes = known_commits.among(view.connection, asked)
    signed = query.facts_of(view.connection, nodes.values(), git_signature.TYPE)
    summed = query.facts_of(view.connection, nodes.values(), vsa.TYPE)
    look = _Look(view, store, roots)
    return {
        commit: (
            *look.objects(commit, signed.get(node, [])),
            *look.summaries(commit, summed.get(node, [])),
        )
        for commit, node in nodes.items()
    }


def signed_objects(
    view: Snapshot, store: Store, roots: Mapping[Digest, bytes], nodes: Mapping[int, str]
) -> dict[Digest, bytes]:
    """The raw objects that a verdict would count for these commits, by their digests."""
    signed = query.facts_of(view.connection, nodes, git_signature.TYPE)
    look = _Look(view, store, roots)
    return {
        one.blob: raw
        for node, facts in signed.items()
        for one, raw, _ in look.verified(nodes[node], facts)
    }


@dataclass
class _Look:
    view: Snapshot
    store: Store
    roots: Mapping[Digest, bytes]
    listings: dict[Digest, dict[str, list[GitObject]]] = field(default_factory=dict)
    sizes: dict[Digest, int] = field(default_factory=dict)

    def objects(self, commit: str, facts: Sequence[Fact]) -> list[SourceWord]:
        """What signed objects say of a commit."""
        return list(dict.fromkeys(word for _, _, word in self.verified(commit, facts)))

    def verified(
        self, commit: str, facts: Sequence[Fact]
    ) -> Iterator[tuple[GitObject, bytes, SourceWord]]:
        """The objects about a commit that somebody signed who can be known, with their bytes."""
        for one in self._listed(commit, facts):
            with contextlib.suppress(*sources.REFUSALS, BlobMissing, Damaged):
                raw = get_bytes(self.store, one.blob, LIMITS.git_signed_bytes)
                yield (
                    one,
                    raw,
                    sources.of_object(commit, one.kind, raw, self.view.trust, self.roots),
                )

    def _listed(self, commit: str, facts: Sequence[Fact]) -> Iterator[GitObject]:
        """The objects that statements list for a commit: each once, strangers' fewer."""
        trust = self.view.trust
        listed = {f.bundle for f in facts if f.signer is not None and any(trust.entries(f.signer))}
        done: set[GitObject] = set()
        rooms = {True: LIMITS.git_objects, False: LIMITS.git_strangers}
        for bundle, objects in stored.heard(trust, facts, self._listing):
            for one in objects.get(commit, ()):
                if one not in done and rooms[bundle in listed] > 0:
                    rooms[bundle in listed] -= 1
                    done.add(one)
                    yield one

    def _listing(self, bundle: Digest) -> tuple[int, dict[str, list[GitObject]]]:
        """Size of a statement, and the objects that it lists, by commit."""
        if bundle not in self.listings:
            raw = stored.evidence(self.store, bundle).raw
            table: dict[str, list[GitObject]] = {}
            with contextlib.suppress(BadBundle, BadStatement):  # then it lists nothing
                for one in git_signature.parse(Bundle.parse(raw).statement().predicate):
                    table.setdefault(one.commit.value, []).append(one)
            self.listings[bundle], self.sizes[bundle] = table, len(raw)
        return self.sizes[bundle], self.listings[bundle]

    def summaries(self, commit: str, facts: Sequence[Fact]) -> list[SourceWord]:
        """What summaries of the source track say of a commit."""
        found = []
        for item in stored.evidence_about(self.store, self.view.trust, facts):
            with contextlib.suppress(*sources.REFUSALS):
                said = sources.of_bundle(commit, item, self.view.trust, self.roots)
                found.append(said)
        return found
