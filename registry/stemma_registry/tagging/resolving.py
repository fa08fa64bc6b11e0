"""From the commit of a tag to the artifact: what is believed about NAME, and nothing invented."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from sqlalchemy import select

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.edges import is_claim
from stemma_attestations.errors import BadBundle, BadStatement
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import mlbom, provenance
from stemma_attestations.predicates.criterion import Retired
from stemma_attestations.predicates.provenance import Provenance
from stemma_attestations.statement import Statement
from stemma_attestations.trust import Assurance
from stemma_registry.blobs.contract import get_bytes
from stemma_registry.catalogue import acts, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact, VersionRow
from stemma_registry.catalogue.stages import StageRow
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.lineage import retired
from stemma_registry.reference import worth
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.stages import holding

BUILT_FROM = "built-from"
# The manifest that a commit holds under a name.
Held = Callable[[str, str], Digest | None]


@dataclass(frozen=True)
class Candidate:
    """An artifact that a commit leads to."""

    node: int
    digest: Digest


class Resolver:
    """Answers for many tags, by few queries."""

    def __init__(
        self, registry: Registry, view: Snapshot, commits: Iterable[str], held: Held
    ) -> None:
        self.registry, self.view, self._held = registry, view, held
        self._made = _made(view, commits)
        self._facts = cache(lambda node: query.facts_about(view.connection, node))
        self._rows = cache(self._versions)
        self.bound = cache(self._bound)
        criteria = acts.heard(view.connection, view.trust)
        self._retired = [row for row in criteria if isinstance(row.of, Retired)]

    def find(self, name: str, commit: str) -> Candidate:
        """The one artifact that NAME at a commit is. Raises Refused where none or several are."""
        digest = self._held(commit, name)
        if digest is not None:
            node = query.node_id(self.view.connection, digest)
            if node is not None and query.artifacts(self.view.connection, [node]):
                return Candidate(node, digest)
        found = self.built_from(name, commit)
        if len(found) > 1:
            named = self._named(name)
            found = [one for one in found if one.node in named] or found
        if len(found) > 1:
            raise Refused(f"{len(found)} artifacts were built from commit {commit[:12]}")
        if not found:
            here = f"commit {commit[:12]} holds no registered artifact as {name}"
            raise Refused(
                f"{here}, and none was built from it on a word that is believed (where it lies "
                "elsewhere, artifacts.yaml says so: `path`)"
            )
        return found[0]

    def built_from(self, name: str, commit: str) -> list[Candidate]:
        """The artifacts that were, on a word that is believed about NAME too."""
        nodes = {
            node: digest
            for node, digest, fact in self._made.get(commit, ())
            if self.counts(fact, name)
        }
        return [Candidate(node, digest) for node, digest in sorted(nodes.items())]

    def counts(self, fact: Fact, name: str) -> bool:
        """Whether a statement is believed about what it says, and about NAME too."""
        if fact.signer is None:
            return False
        trust, about = self.view.trust, (fact.signer, fact.predicate_type, name, fact.signed)
        said = trust.assurance(*about[:2], fact.name, name, fact.signed)
        return said is Assurance.ATTESTED and trust.supports(*about)

    def _bound(self, name: NameVersion) -> Candidate | None:
        """What NAME:VERSION means already: the first binding on a word that is believed."""
        for row in self._rows(name.name).get(name.version, ()):
            if worth(self.view, row) is Assurance.ATTESTED:
                found = query.digests(self.view.connection, [row.artifact_id])
                return Candidate(row.artifact_id, found[row.artifact_id])
        return None

    def _versions(self, name: str) -> dict[str, list[VersionRow]]:
        found: dict[str, list[VersionRow]] = {}
        for row in query.versions_named(self.view.connection, name):
            found.setdefault(row.name.version, []).append(row)
        return found

    def retired(self, name: NameVersion) -> str:
        """Why a name means nothing any more, if it does not."""
        stops = retired.stops(self.view, name, self._retired)
        return "; ".join(f"{stop.target} is {stop.reason} (by {stop.by})" for stop in stops)

    def version(self, name: str, commit: str) -> NameVersion:
        """The one version of NAME that is what a commit leads to. Raises Refused."""
        one = self.find(name, commit)
        rows = (row for each in self._rows(name).values() for row in each)
        found = {row.name for row in rows if row.artifact_id == one.node}
        found = {version for version in found if self.bound(version) == one}
        if len(found) != 1:
            have = f"{len(found)} versions" if found else "no version"
            raise Refused(f"{one.digest.short} is {have} of {name}: a tag {name}@vX.Y.Z says which")
        return found.pop()

    def holder(self, name: str, stage: str) -> StageRow | None:
        """What is at a stage."""
        return holding.holder(self.view, name, stage)

    def _named(self, name: str) -> set[int]:
        rows = (row for each in self._rows(name).values() for row in each)
        return {row.artifact_id for row in rows if worth(self.view, row) is Assurance.ATTESTED}

    def said(self, name: str, commit: str, one: Candidate) -> list[Statement]:
        """The believed provenance of an artifact, of that commit where any is; and its BOMs.

        Raises Refused where none says what kind of thing it is.
        """
        found = list(self._statements(one.node, name, provenance.TYPE))
        built = [(each, provenance.parse(each.predicate)) for each in found]
        built = [(each, view) for each, view in built if view.kind is not None]
        same = [(each, view) for each, view in built if _names(view, commit)] or built
        if not same:
            raise Refused(f"nobody who is believed about {name} says what {one.digest.short} is")
        boms = self._statements(one.node, name, mlbom.TYPE)
        return [*(each for each, _ in same), *boms]

    def _statements(self, node: int, name: str, kind: str) -> Iterator[Statement]:
        for fact in self._facts(node):
            if fact.predicate_type != kind or not self.counts(fact, name):
                continue
            raw = get_bytes(self.registry.store, fact.bundle, LIMITS.small_object_bytes)
            try:
                yield Bundle.parse(raw).statement()
            except (BadBundle, BadStatement):
                continue


def _names(view: Provenance, commit: str) -> bool:
    return any(one.digest.value == commit for one in view.inputs)


def _made(view: Snapshot, commits: Iterable[str]) -> dict[str, list[tuple[int, Digest, Fact]]]:
    """Commit -> what statements say was built from it: artifacts only."""
    ids: dict[int, str] = {}
    for batch in query.batches(commits):
        asked = select(t.node.c.id, t.node.c.value).where(
            t.is_one_of(t.node.c.value, batch), t.node.c.scheme == "gitCommit"
        )
        ids.update({row.id: row.value for row in view.connection.execute(asked)})
    rows = [
        row
        for row in query.edges_from(view.connection, ids)
        if row.relation == BUILT_FROM and not is_claim(row.mark, row.fact.predicate_type)
    ]
    artifacts = set(query.artifacts(view.connection, {row.output_id for row in rows}))
    digests = query.digests(view.connection, artifacts)
    found: dict[str, list[tuple[int, Digest, Fact]]] = {}
    for row in rows:
        if row.output_id in artifacts:
            made = row.output_id, digests[row.output_id], row.fact
            found.setdefault(ids[row.input_id], []).append(made)
    return found
