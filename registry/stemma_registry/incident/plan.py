"""The retrain plan: what has to be made again, each thing after what it is made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadBundle, BadStatement, Undecided
from stemma_attestations.guarding import guarded
from stemma_attestations.packages import SCHEME
from stemma_attestations.predicates import provenance
from stemma_attestations.relations import CONTAINS, SAME_AS
from stemma_attestations.trust import Assurance
from stemma_registry import stored
from stemma_registry.catalogue import query
from stemma_registry.catalogue.deployed import Wanted
from stemma_registry.catalogue.rows import Fact
from stemma_registry.errors import NotFound
from stemma_registry.incident.reach import Link, Reach, ordered, reach
from stemma_registry.incident.replacing import Replacement, quarantined_groups, replaced
from stemma_registry.incident.surviving import survivors
from stemma_registry.lineage import deployments, radius, status
from stemma_registry.lineage.deployments import Deployments
from stemma_registry.lineage.hops import signer_label
from stemma_registry.lineage.trace import Direction
from stemma_registry.questions import package_starts
from stemma_registry.reference import best_version, labels, resolve
from stemma_registry.registry import Registry, Snapshot
from stemma_registry.stages import holding

STEPS = 1_000  # that are looked at closely where nobody asks for another number


@dataclass(frozen=True)
class Thing:
    """A node, for people and machines. `because` is the last link of a shortest way to it."""

    node: int
    digest: Digest
    label: str
    kind: str | None
    because: Link | None = None
    near: str = ""  # the other end of that link


@dataclass(frozen=True)
class Material:
    """An input of a build. `step` is the number of the step that makes it again."""

    relation: str
    label: str
    digest: Digest
    bad: bool
    step: int | None


@dataclass(frozen=True)
class Recipe:
    """How something was made, as its provenance says."""

    build: str
    commit: str | None
    dirty: bool
    remote: str | None
    parameters: Mapping[str, object]
    materials: tuple[Material, ...]


@dataclass(frozen=True)
class Step:
    """Something to make again. `circle` numbers the steps that came from each other.

    `owner` signed its provenance, and `believed` is whether they may. `recipe` is None where
    no provenance can be read. `stopped` is what the gate says of quarantines now, None where it
    cannot; `clean` is what is left after the replacements, None where nothing is replaced.
    """

    number: int
    thing: Thing
    owner: str | None
    believed: bool
    recipe: Recipe | None
    stages: tuple[str, ...]
    deployed: Deployments
    stopped: bool | None
    after: tuple[int, ...]
    circle: int | None
    clean: bool | None
    still: str | None


@dataclass(frozen=True)
class Plan:
    """All that follows from what is bad, at one ledger entry.

    `more` steps were not looked at closely. `suspect` was reached on words nobody believes;
    `survives` needs nothing: it was measured with what is bad, or made from other inputs; with
    `cut` there may be more of it, behind `LIMITS.survivors`.
    """

    entry: int
    bad: tuple[Thing, ...]
    steps: tuple[Step, ...]
    more: int
    suspect: tuple[Thing, ...]
    survives: tuple[Thing, ...]
    replaced: tuple[Replacement, ...]
    reach: Reach
    cut: bool = False


def plan(
    registry: Registry,
    view: Snapshot,
    text: str,
    replace: Sequence[str] = (),
    limit: int = STEPS,
) -> Plan:
    """What to make again if a reference, or a package, is bad. Raises NotFound, Refused, Undecided.

    What was quarantined together with it is bad too: its files, say. `replace` are BAD=GOOD.
    """
    if text.startswith(SCHEME):
        met = _packaged(view, text)
        return of_nodes(registry, view, met, replace, limit, first=min(met))
    found = resolve(view, text)
    groups = quarantined_groups(view)
    bad = {found.node}.union(*(g for g in groups.values() if found.node in g))
    return of_nodes(registry, view, bad, replace, limit, first=found.node)


def of_nodes(
    registry: Registry,
    view: Snapshot,
    bad: Iterable[int],
    replace: Sequence[str] = (),
    limit: int = STEPS,
    first: int | None = None,
) -> Plan:
    """The same for nodes."""
    found = reach(view, bad)
    names = _Names(view, found)
    rank = {
        node: f"{names.depth[node]:09} {names.label(node)} {names.digests[node]}"
        for node in found.affected
    }
    groups = [[n for n in group if names.is_step(n)] for group in ordered(found, rank)]
    groups = [group for group in groups if group]
    swaps, dirty = replaced(view, found, replace)
    made = _Making(registry, view, found, names, groups, dirty if replace else None)
    listed = sorted(found.starts, key=lambda node: (node != first, names.label(node)))
    steps = made.steps(limit)
    kept, cut = survivors(view, found, [node for group in groups for node in group])
    names.learn({end for link in kept.values() for end in (link.input, link.output)})
    return Plan(
        entry=view.n,
        bad=tuple(names.thing(node) for node in listed),
        steps=steps,
        more=sum(map(len, groups)) - len(steps),
        suspect=names.things(found.suspect),
        survives=names.things(kept),
        replaced=swaps,
        reach=found,
        cut=cut,
    )


def _packaged(view: Snapshot, text: str) -> set[int]:
    """What has a package, as a believed BOM of it says."""
    edges = package_starts.origin(view, text, Direction.DOWN).first
    met = {edge.output for edge in edges if edge.assurance is Assurance.ATTESTED}
    if not met:
        raise NotFound(f"no BOM that is believed lists {text}")
    return met


class _Names:
    """What the nodes of a reach are called."""

    def __init__(self, view: Snapshot, found: Reach) -> None:
        self.view, self.found = view, found
        nodes = {*found.starts, *found.affected, *found.suspect, *found.beside}
        nodes |= {link.input for link in found.links}
        self.digests: dict[int, Digest] = {}
        self.labels: dict[int, str] = {}
        self.kinds: dict[int, str | None] = {}
        self.names: dict[int, str | None] = {}
        self.learn(nodes)
        self.artifacts = query.artifacts(view.connection, nodes)
        self.depth: dict[int, int] = {}
        for node, link in found.affected.items():  # nearest first
            self.depth[node] = self.depth.get(link.input, 0) + 1

    def learn(self, nodes: set[int]) -> None:
        """Look up more nodes."""
        connection = self.view.connection
        self.digests |= query.digests(connection, nodes)
        self.labels |= labels(self.view, nodes)
        versions = query.versions_of(connection, nodes)
        for node in nodes:
            best = best_version(self.view, versions.get(node, []))
            self.kinds[node] = best.kind if best else None
            self.names[node] = best.name.name if best else None

    def label(self, node: int) -> str:
        return self.labels[node]

    def is_step(self, node: int) -> bool:
        """Whether it is made: not merely a file, or another name, of something that is."""
        known_as = (CONTAINS, SAME_AS)
        return node in self.artifacts or self.found.affected[node].relation not in known_as

    def thing(self, node: int, because: Link | None = None) -> Thing:
        near = self.label(because.input) if because else ""
        return Thing(node, self.digests[node], self.label(node), self.kinds[node], because, near)

    def things(self, last: Mapping[int, Link]) -> tuple[Thing, ...]:
        found = [self.thing(node, link) for node, link in last.items()]
        return tuple(sorted(found, key=lambda one: (one.label, one.digest)))


class _Making:
    """Looks closely at the steps, in order."""

    def __init__(
        self,
        registry: Registry,
        view: Snapshot,
        found: Reach,
        names: _Names,
        groups: Sequence[Sequence[int]],
        dirty: Reach | None,
    ) -> None:
        self.registry, self.view, self.found = registry, view, found
        self.names, self.groups, self.dirty = names, groups, dirty
        every = [node for group in groups for node in group]
        self.number = {node: i for i, node in enumerate(every, 1)}
        self.parents: dict[int, set[int]] = {}
        for link in found.links:
            if link.carries and link.believed and link.output in self.number:
                for near in _made_of(found, names, link.input):
                    if near in self.number and near != link.output:
                        self.parents.setdefault(link.output, set()).add(self.number[near])

    def steps(self, limit: int) -> tuple[Step, ...]:
        shown = [node for group in self.groups for node in group][:limit]
        facts = query.facts_of(self.view.connection, shown, provenance.TYPE)
        stages: dict[int, list[str]] = {}
        for past in holding.histories(self.view).values():
            if past.holder is not None:
                stages.setdefault(past.holder.artifact_id, []).append(past.holder.where)
        runs = deployments.load(self.view, Wanted()).of(shown).by_node()
        names = self.names.names
        stops = status.load(self.view, status.stopping(self.view))
        stopped = radius.stops(self.view, {(node, names[node]) for node in shown}, stops)
        circle = self._circles()
        return tuple(
            self._step(
                node,
                _best(self.view, facts.get(node, [])),
                tuple(stages.get(node, ())),
                runs.get(node, Deployments()),
                None if self.view.doubt is not None else (node, names[node]) in stopped,
                circle.get(node),
            )
            for node in shown
        )

    def _circles(self) -> dict[int, int]:
        found: dict[int, int] = {}
        for number, group in enumerate((g for g in self.groups if len(g) > 1), 1):
            found |= dict.fromkeys(group, number)
        return found

    def _step(
        self,
        node: int,
        fact: Fact | None,
        stages: tuple[str, ...],
        runs: Deployments,
        stopped: bool | None,
        circle: int | None,
    ) -> Step:
        dirty, still = self.dirty, None
        if dirty is not None and node in dirty.origin:
            start = dirty.origin[node]
            self.names.learn({start} - self.names.labels.keys())
            still = self.names.label(start)
        return Step(
            number=self.number[node],
            thing=self.names.thing(node, self.found.affected[node]),
            owner=signer_label(self.view, fact.signer) if fact else None,
            believed=fact is not None and _worth(self.view, fact) is Assurance.ATTESTED,
            recipe=self._recipe(fact) if fact else None,
            stages=stages,
            deployed=runs,
            stopped=stopped,
            after=tuple(sorted(self.parents.get(node, ()))),
            circle=circle,
            clean=None if dirty is None else still is None,
            still=still,
        )

    def _recipe(self, fact: Fact) -> Recipe | None:
        try:
            raw = stored.evidence(self.registry.store, fact.bundle).raw
            predicate = Bundle.parse(raw).statement().predicate
            said = guarded(partial(provenance.parse, predicate), BadStatement)
        except (BadBundle, BadStatement, Undecided):
            return None  # lost or unreadable: somebody has to ask its owner
        source = said.source
        return Recipe(
            build=said.build or said.build_type,
            commit=source.commit if source else None,
            dirty=bool(source and source.dirty),
            remote=source.remote if source else None,
            parameters=said.parameters,
            materials=tuple(map(self._material, said.inputs)),
        )

    def _material(self, item: provenance.Input) -> Material:
        node = query.node_id(self.view.connection, item.digest)
        if node is not None and node not in self.names.labels:
            self.names.learn({node})
        label = item.name or (item.digest.short if node is None else self.names.label(node))
        number = None if node is None else self.number.get(node)
        return Material(item.relation, label, item.digest, node in self.found.starts, number)


def _made_of(found: Reach, names: _Names, node: int) -> Iterable[int]:
    """The node, or what the file is a part of that it is."""
    link = found.affected.get(node)
    if link is None or names.is_step(node):
        return (node,)
    return (link.input,)


def _worth(view: Snapshot, fact: Fact) -> Assurance:
    return view.trust.assurance(fact.signer, fact.predicate_type, fact.name, None, fact.signed)


def _best(view: Snapshot, facts: Sequence[Fact]) -> Fact | None:
    """The most believed, the newest of those."""
    rank = list(Assurance)
    return min(facts, key=lambda f: (rank.index(_worth(view, f)), -f.n), default=None)
