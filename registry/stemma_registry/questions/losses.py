"""What only one signer's word holds up, in a window of time.

The same questions are asked twice: under the trust root, and under it without what the signer
said in the window (`stemma_attestations.windows.Without`). The verdicts are the gate's own, by
the whole recipe, but for the bytes, which do not change with anybody's trust and are not read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed, NotVerified, Undecided
from stemma_attestations.manifest import Entry
from stemma_attestations.names import NameVersion
from stemma_attestations.observed import Observed
from stemma_attestations.predicates import (
    admission,
    approval,
    dataset,
    deployment,
    lineage,
    mlbom,
    provenance,
    stage,
    status,
    test_result,
)
from stemma_attestations.times import Window
from stemma_attestations.trust import Assurance
from stemma_attestations.windows import Without
from stemma_registry import gate
from stemma_registry.catalogue import query
from stemma_registry.catalogue.rows import EdgeRow, Fact, VersionRow
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound
from stemma_registry.gate import TERMS, Subject, Terms
from stemma_registry.lineage import ancestry, erased
from stemma_registry.lineage.ancestry import Walk
from stemma_registry.lineage.status import worths
from stemma_registry.lineage.trace import ORIGIN, Direction, trace
from stemma_registry.questions import signer_starts
from stemma_registry.questions.signer_starts import Said
from stemma_registry.reference import best_version, labels, resolve, worth
from stemma_registry.registry import Registry, Snapshot

# What a statement of a type holds up, in a word. Names and edges are looked at by themselves.
_WORDS: Mapping[str, str] = {
    provenance.TYPE: "provenance",
    mlbom.TYPE: "bom",
    dataset.TYPE: "dataset",
    approval.TYPE: "approval",
    admission.TYPE: "admission",
    test_result.TYPE: "test result",
    status.TYPE: "status",
    stage.TYPE: "stage",
    deployment.TYPE: "deployment",
}


@dataclass(frozen=True)
class Judged:
    """What the gate says of something, and why not."""

    passed: bool
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True)
class Loss:
    """What something loses. `edges` are pairs of a relation and what it was made from.

    `name` is None for what has none, or where it is not the name that loses anything.
    """

    digest: Digest
    name: NameVersion | None
    label: str
    kind: str | None
    lost: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]
    before: Judged | None = None
    after: Judged | None = None

    @property
    def turns(self) -> bool:
        """Whether the gate said yes, and would say no."""
        return bool(self.before and self.after and self.before.passed and not self.after.passed)

    @property
    def rises(self) -> bool:
        """Whether the gate said no, and would say yes: a stop or its way is lost."""
        return bool(self.before and self.after and self.after.passed and not self.before.passed)


@dataclass(frozen=True)
class Losses:
    """Everything that loses something, the verdicts that turn first.

    `statements` is how many are in the window, `undated` how many of those have no proven time
    and may be of any.
    """

    entry: int
    statements: int
    undated: int
    found: tuple[Loss, ...]


def of(
    registry: Registry, view: Snapshot, text: str, window: Window, terms: Terms = TERMS
) -> Losses:
    """What would be lost if a signer were not believed in a window.

    Raises NotFound for a signer that nobody knows, Undecided for more than `LIMITS.judged`.
    """
    ids = signer_starts.signers(view, text)
    said = signer_starts.said(view, ids, window)
    without = replace(view, trust=Without.of(view.trust, ids, window))
    bundles = {one.fact.bundle: one.since for one in said}
    found = _Search(registry, view, without, terms).all(text, window, said) if said else ()
    undated = sum(since is None for since in bundles.values())
    return Losses(view.n, len(bundles), undated, tuple(found))


@dataclass
class _Search:
    registry: Registry
    view: Snapshot
    without: Snapshot
    terms: Terms

    def all(self, text: str, window: Window, said: list[Said]) -> list[Loss]:
        """Everything that was spoken about or came from that, and loses something."""
        connection = self.view.connection
        origin = signer_starts.origin(self.view, text, window, Direction.DOWN)
        nodes = trace(self.view, origin, Direction.DOWN).nodes.keys() - {ORIGIN}
        versions = query.versions_of(connection, nodes)
        artifacts = query.artifacts(connection, nodes)
        if sum(len(versions.get(node, [0])) for node in artifacts) > LIMITS.judged:
            raise Undecided(f"more than {LIMITS.judged} artifacts to judge; a shorter window?")
        shown, digests = labels(self.view, nodes), query.digests(connection, nodes)
        lost, edges = self._evidence(said), self._edges({one.node_id for one in said})
        found: list[Loss] = []
        for node in nodes:
            rows = versions.get(node, [])
            best = best_version(self.view, rows)
            for name in sorted({row.name for row in rows}) or (None,):
                words = lost.get((node, name.name if name else None), set()) | lost.get(
                    (node, None), set()
                )
                if name is not None and self._name_is_lost(name, rows):
                    words.add("name")
                loss = Loss(
                    digest=digests[node],
                    name=name,
                    label=str(name or shown[node]),
                    kind=best.kind if best else None,
                    lost=tuple(sorted(words | ({"edge"} if node in edges else set()))),
                    edges=tuple(edges.get(node, ())),
                )
                if node in artifacts:
                    asked = str(name or digests[node])
                    before, after = (self._judge(v, asked) for v in (self.view, self.without))
                    loss = replace(loss, before=before, after=after)
                if loss.lost or loss.turns or loss.rises:
                    found.append(loss)
        found.sort(key=lambda one: (not one.turns, not one.rises, one.label, one.digest))
        return found

    def _evidence(self, said: Iterable[Said]) -> dict[tuple[int, str | None], set[str]]:
        """Node and name -> of what types the last believed statement is lost."""
        asked: dict[str, set[int]] = {}
        for one in said:
            if one.fact.predicate_type != lineage.TYPE:
                asked.setdefault(one.fact.predicate_type, set()).add(one.node_id)
        found: dict[tuple[int, str | None], set[str]] = {}
        for kind, nodes in asked.items():
            word = _WORDS.get(kind, kind)
            for node, facts in query.facts_of(self.view.connection, nodes, kind).items():
                for name in {fact.name for fact in facts}:
                    about = [fact for fact in facts if fact.name == name]
                    if self._is_lost(partial(_vouched, about)):
                        found.setdefault((node, name), set()).add(word)
        return found

    def _edges(self, nodes: Iterable[int]) -> dict[int, list[tuple[str, str]]]:
        """Output -> the believed edges into it that nobody believed is left for."""
        grouped: dict[tuple[int, int, str], list[EdgeRow]] = {}
        for row in query.edges_into(self.view.connection, nodes):
            grouped.setdefault((row.output_id, row.input_id, row.relation), []).append(row)
        lost = [key for key, rows in grouped.items() if self._is_lost(partial(_carried, rows))]
        names = labels(self.view, {source for _, source, _ in lost})
        found: dict[int, list[tuple[str, str]]] = {}
        for output, source, relation in lost:
            found.setdefault(output, []).append((relation, names[source]))
        return {node: sorted(pairs) for node, pairs in found.items()}

    def _name_is_lost(self, name: NameVersion, rows: Iterable[VersionRow]) -> bool:
        mine = [row for row in rows if row.name == name]
        return self._is_lost(lambda v: any(worth(v, row) is Assurance.ATTESTED for row in mine))

    def _is_lost(self, holds: Callable[[Snapshot], bool]) -> bool:
        return holds(self.view) and not holds(self.without)

    def _judge(self, view: Snapshot, text: str) -> Judged:
        """The gate's verdict, the bytes taken for those of the manifest."""
        try:
            found = resolve(view, text)
            manifest = gate.load_manifest(self.registry, view, found)
            asked = found.name.name if found.name else None
            stones = erased.inside(view, manifest, asked)
            gone = {
                entry.path: stones[entry.sha256].missing
                for entry in manifest.entries
                if entry.sha256 in stones and self._is_gone(entry, stones[entry.sha256])
            }
            there = tuple(entry for entry in manifest.entries if entry.path not in gone)
            observed = Observed(there, tuple(sorted(gone.items())))
            resolution = (found.label, str(manifest.digest))
            subject = Subject(text, found, manifest, observed, resolution)
            gate.judge(self.registry, view, subject, self.terms)
        except NotVerified as refused:
            return Judged(False, tuple(str(refused).splitlines()))
        except (NotFound, Malformed) as error:
            return Judged(False, (str(error),))
        return Judged(True)

    def _is_gone(self, entry: Entry, stone: erased.Tombstone) -> bool:
        return stone.believed or self.registry.store.size(entry.sha256) is None


def _vouched(facts: Iterable[Fact], view: Snapshot) -> bool:
    return any(signer_starts.worth(view, fact) is Assurance.ATTESTED for fact in facts)


def _carried(rows: Sequence[EdgeRow], view: Snapshot) -> bool:
    return Assurance.ATTESTED in worths(view, rows)


def coverage(registry: Registry, view: Snapshot, text: str) -> dict[str, int]:
    """How what is upstream of a reference along any edge is vouched for.

    By the words of `ancestry.STANDINGS`. Raises NotFound, Undecided.
    """
    found = resolve(view, text)
    roots = registry.trusted_roots.present(view.trust.all_roots)
    start = (found.node, found.name.name if found.name else None)
    every = (Walk(Assurance.CLAIMED),)
    return ancestry.coverage(ancestry.ancestors(view, registry.store, roots, start, every))
