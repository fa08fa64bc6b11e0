"""What verdicts about one artifact depend on, read once, under however many names it is judged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Manifest
from stemma_attestations.policy import AncestorRule
from stemma_attestations.predicates import deployment
from stemma_attestations.rego import Evaluator
from stemma_attestations.request import (
    Ancestor,
    Evidence,
    FileLook,
    SourceWord,
    StatusView,
    TensorView,
)
from stemma_attestations.trust import Assurance
from stemma_registry import freshness, stored
from stemma_registry.catalogue import aliases, query
from stemma_registry.freshness import Freshness
from stemma_registry.lineage import ancestry
from stemma_registry.lineage.ancestry import Walk
from stemma_registry.lineage.remembered import Remembered
from stemma_registry.registry import Registry, Snapshot


@dataclass
class Gathered:
    """An artifact at a snapshot. What it reads, it reads when it is first asked for."""

    registry: Registry
    view: Snapshot
    node: int
    manifest: Manifest
    known: Freshness | None = None  # what is known already of how old the status is
    _fresh: dict[timedelta, Freshness] = field(default_factory=dict)

    @cached_property
    def roots(self) -> Mapping[Digest, bytes]:
        """The Sigstore trusted roots at hand of those that the trust root asks for."""
        return self.registry.trusted_roots.present(self.view.trust.all_roots)

    @cached_property
    def memory(self) -> Remembered:
        """What was verified of ancestors before, on this machine."""
        return Remembered.of(self.registry.home, self.view.trust, self.roots)

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of how the verdict came about."""
        reason = self.memory.distrusted
        return (f"signatures verified before are not relied on: {reason}",) if reason else ()

    @cached_property
    def evidence(self) -> Sequence[Evidence]:
        """The bundles about it. Raises Undecided where one is lost or damaged, or for too many."""
        facts = [
            fact
            for fact in query.facts_about(self.view.connection, self.node)
            # Where it runs says nothing about whether it may, and there may be thousands. A model
            # signature's subject is a root that two artifacts may share: it proves nothing here.
            if fact.predicate_type not in (deployment.TYPE, *aliases.TYPES)
        ]
        return stored.evidence_about(self.registry.store, self.view.trust, facts)

    @cached_property
    def files(self) -> tuple[FileLook, ...]:
        """What the format checks say of its blobs.

        Of the blobs also where a directory is judged: step 2 holds that against them.
        """
        from stemma_registry.formats import scan  # lazily: few policies ask

        report = scan.of_artifact(self.registry.store, self.manifest)
        return tuple(
            FileLook(
                file.path,
                (file.format, *file.contains),
                tuple((str(one.severity), f"{one.rule}: {one.text}") for one in file.findings),
            )
            for file in report.files
        )

    @cached_property
    def evaluator(self) -> Evaluator:
        """Who evaluates Rego; it keeps what it was answered."""
        from stemma_registry.rego import evaluator  # lazily: few policies ask

        return evaluator.Evaluator()

    def aged(self, status: StatusView, limit: timedelta) -> StatusView:
        """A status with how old it is, held against a limit; the feed is read once for each."""
        if self.known is not None:
            return self.known.of(status)
        if limit not in self._fresh:
            self._fresh[limit] = freshness.ask(self.registry, self.view, limit)
        return self._fresh[limit].of(status)

    def ancestors(self, name: str | None, asked: Iterable[AncestorRule]) -> list[Ancestor]:
        """Everything upstream that one of the rules asks about. Raises Undecided."""
        start, walks = (self.node, name), _walks(asked)
        store = self.registry.store
        return ancestry.ancestors(self.view, store, self.roots, start, walks, self.memory)

    def sources(self, upstream: Iterable[Ancestor]) -> dict[str, tuple[SourceWord, ...]]:
        """What is signed about the commits that it and what is upstream were built from."""
        from stemma_registry.commits import standing  # lazily: few policies ask

        said = (one.commits for ancestor in upstream for one in ancestor.provenance)
        asked = {commit for commits in said for commit in commits}
        asked.update(standing.built_from(self.evidence))
        return standing.behind(self.view, self.registry.store, self.roots, asked)

    def tensors(self, name: str | None) -> TensorView:
        """What is quarantined and shares tensors with it, undeclared."""
        from stemma_registry.tensors import guarding  # lazily: few policies ask

        state = (self.node, name)
        return guarding.quarantined_sharers(self.registry, self.view, state, self.manifest)


def _walks(asked: Iterable[AncestorRule]) -> list[Walk]:
    """One for each assurance, as far as any rule that asks for it goes."""
    depths: dict[str, list[int | None]] = {}
    for rule in asked:
        depths.setdefault(rule.assurance, []).append(rule.depth)
    return [
        Walk(Assurance(word), None if None in far else max(d for d in far if d is not None))
        for word, far in depths.items()
    ]
