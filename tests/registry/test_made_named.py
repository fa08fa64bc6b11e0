"""Who may speak about an artifact is believed about a file of it, which he gives no name."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import provenance
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import Assurance
from stemma_registry import describe
from stemma_registry.catalogue import halts, past, query
from stemma_registry.config import LIMITS
from stemma_registry.incident.reach import reach
from stemma_registry.lineage import descent
from stemma_registry.lineage import status as standing
from stemma_registry.lineage.paths import between
from stemma_registry.lineage.trace import Direction, Only, trace
from stemma_registry.lineage.upward import Between
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from stemma_registry.trust.change import compare
from tests.registry.test_edges import built_from, digest_of
from tests.registry.test_made import FILES, counts, reaches, told
from tests.registry.test_scale import digest, is_walked_the_same, lift, stop, tell
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On either database; `models` may speak about models, `data` about data."""
    for who in ("models", "data"):
        on_either.trust_also(who, [f"{who}/**"])
    return on_either


def raw(world: World) -> Digest:
    world.push("data/raw:1")
    return digest_of(world, "data/raw:1")


def nameless(world: World, ref: str) -> tuple[int, int]:
    """How many stops and suspects there are where nobody asks about a name."""
    with world.view() as view:
        seen = standing.view(view, resolve(view, ref).node, None)
    return len(seen.stops), len(seen.suspects)


def test_it_counts_for_the_names_that_he_may_speak_about(world: World) -> None:
    bad = raw(world)
    for ref in ("models/m:1", "prod/m:1"):  # the same bytes
        world.push(ref, FILES, kind="model")
    world.push("data/d:1", {"model.bin": b"weights", "d": b"d"})
    refs = "models/m:1", "prod/m:1", "data/d:1"
    told(world, [b"weights"], bad, by="models")
    before = world.preview("data/raw:1")
    world.quarantine("data/raw:1")
    assert counts(world, *refs) == [(1, 0), (0, 1), (0, 1)]
    assert [world.code(ref) for ref in refs] == [11, 0, 0]
    assert {str(one.version.name): (one.blocked, one.suspect) for one in before.affected} == {
        "data/raw:1": (True, False),
        "models/m:1": (True, False),
        "prod/m:1": (False, True),
        "data/d:1": (False, True),
    }
    with world.view() as view:
        marks = {str(one.version.name): one.marks for one in describe.listing(view)}
    assert [marks[ref] for ref in refs] == [("quarantined",), (), ()]
    told(world, [b"weights"], bad, by="data")
    assert counts(world, *refs) == [(1, 0), (0, 1), (1, 0)]
    # Where no name is asked about, he could speak about these bytes by some name.
    assert [nameless(world, ref) for ref in refs] == [(1, 0)] * 3
    ((found,), _) = reaches(world, "models/m:1")
    assert found.path[1].startswith("  derived-from data/raw:1 (attested by models, sha256:")


def test_a_name_that_he_gives_is_the_one_he_speaks_about(world: World) -> None:
    """One that he may not speak about takes nothing back, and says nothing."""
    bad = raw(world)
    world.push("models/m:1", FILES, kind="model")
    world.quarantine("data/raw:1")
    said = built_from({"digest": {"sha256": bad.value}})
    for name, found in (("data/m:1", (0, 1)), ("models/other:1", (1, 0))):
        about = ResourceDescriptor(name, digests=(Digest.of(b"weights"),))
        tell(world, Statement.build([about], provenance.TYPE, said), "models")
        assert counts(world, "models/m:1") == [found]


def test_further_up_it_is_as_of_other_edges(world: World) -> None:
    """By the name that the edge below gives what it leads to; by any, where it gives none."""
    bad = raw(world)
    world.push("models/base:1", FILES, kind="model")
    base = digest_of(world, "models/base:1")
    for ref, called in (
        ("prod/a:1", "models/base:1"),
        ("prod/b:1", "data/base:1"),
        ("prod/c:1", None),
    ):
        world.push(ref, {"w": ref.encode()}, kind="model")
        about = ResourceDescriptor(ref, digests=(digest_of(world, ref),))
        said = built_from(
            {"digest": {"sha256": base.value}, **({"name": called} if called else {})}
        )
        tell(world, Statement.build([about], provenance.TYPE, said), "owner")
    told(world, [b"weights"], bad, by="models")
    world.quarantine("data/raw:1")
    assert counts(world, "prod/a:1", "prod/b:1", "prod/c:1") == [(1, 0), (0, 1), (1, 0)]


def test_nobody_is_believed_about_what_he_says_nothing_of(world: World) -> None:
    """Nor who may sign other things about that name, nor about an artifact without a name."""
    world.trust_also("tests", ["models/**"], ["https://in-toto.io/attestation/test-result/v0.1"])
    bad = raw(world)
    world.push("models/m:1", FILES, kind="model")
    for by in ("stranger", "tests", "data"):
        told(world, [b"weights"], bad, by=by)
    about = ResourceDescriptor("out.bin", digests=(digest_of(world, "models/m:1"),))
    said = built_from({"digest": {"sha256": bad.value}})
    tell(world, Statement.build([about], provenance.TYPE, said), "models")
    called = built_from({"uri": "pkg:pypi/x@1", "digest": {}})
    about = ResourceDescriptor("model.bin", digests=(Digest.of(b"weights"),))
    tell(world, Statement.build([about], provenance.TYPE, called), "models")
    world.quarantine("data/raw:1")
    assert counts(world, "models/m:1") == [(0, 1)]
    with world.view() as view:
        words = trace(view, resolve(view, "models/m:1").node, Direction.UP).edges
    worth = {(one.input, str(word.assurance), word.signer) for one in words for word in one.words}
    assert {(value, who) for _, value, who in worth if who in ("models", "data")} == {
        ("attested", "data"),  # of some name
        ("signed", "models"),  # of the artifact itself
        ("claimed", "models"),  # a name may mean other bytes tomorrow
    }


def test_what_another_trust_root_would_change(world: World) -> None:
    """It is told of each name that the file's artifacts have."""
    bad = raw(world)
    for ref in ("models/m:1", "prod/m:1"):
        world.push(ref, FILES, kind="model")
    told(world, [b"weights"], bad, by="models")
    before = world.trust
    without = replace(before, signers=tuple(s for s in before.signers if s.principal != "models"))
    with world.view() as view:
        (found,) = compare(view, before, without, 10).signers.values()
        assert compare(view, before, before, 10).signers == {}
    (edge,) = [one for one in found.listed if one.what == "edges"]
    assert (edge.about, edge.before, edge.after) == (
        "models/m:1 derived-from data/raw:1",
        "attested",
        "signed",
    )
    assert found.lost["edges"] == 1


# --- drawn histories --------------------------------------------------------------------------

MAY = {"owner": "", "some": "n1/", "more": "n2/"}  # about which names
RAW = [digest(number) for number in range(4)]
BLOBS = [f"file {number}".encode() for number in range(6)]


@dataclass(frozen=True)
class Told:
    """An edge, by whom, and what he calls its ends."""

    by: str
    output: Digest
    name: str | None
    source: Digest
    called: str | None


@dataclass
class History:
    """Artifacts with their names and files, edges among all of them, and what is stopped."""

    world: World
    dice: random.Random
    names: dict[str, Digest] = field(default_factory=dict)
    files: dict[Digest, list[Digest]] = field(default_factory=dict)
    edges: list[Told] = field(default_factory=list)

    def draw(self, steps: int) -> History:
        """Push, and say things."""
        waiting = [f"n{number % 3}/a{number}:1" for number in range(5)]
        for _ in range(steps):
            if waiting and self.dice.random() < 0.6:
                self.push(waiting.pop())
            self.say()
        return self

    def push(self, ref: str) -> None:
        again = [one for one in self.files.values() if self.dice.random() < 0.2]
        held = again[0] if again else [Digest.of(one) for one in self.dice.sample(BLOBS, 2)]
        known = {Digest.of(one): one for one in BLOBS}
        files = {str(n): known[one] for n, one in enumerate(held)}
        self.world.push(ref, files, kind="model")
        self.names[ref.partition(":")[0]] = made = digest_of(self.world, ref)
        self.files[made] = held

    def say(self) -> None:
        dice = self.dice
        blobs = [Digest.of(one) for one in BLOBS]
        names = [*self.names, "n1/else", "n2/else"]
        about = dice.choice([*blobs, *blobs, *self.files, *RAW])
        source = dice.choice([*RAW, *RAW, *self.files, *blobs])
        said = [None, None, None, dice.choice(names)]
        told = Told(
            dice.choice(("owner", "some", "some", "more", "stranger")),
            about,
            dice.choice(said),
            source,
            dice.choice(said),
        )
        material: dict[str, object] = {"digest": {"sha256": source.value}}
        if told.called:
            material["name"] = f"{told.called}:1"
        subject = ResourceDescriptor(f"{told.name}:1" if told.name else "out.bin", digests=(about,))
        statement = Statement.build([subject], provenance.TYPE, built_from(material))
        tell(self.world, statement, told.by)
        self.edges.append(told)

    def reached(self, start: Digest, asked: str | None) -> set[Digest]:
        """What is above along believed edges: written down once more, as the documents say it."""
        met, rest = set[tuple[Digest, str | None]](), [(start, asked)]
        while rest:
            state = rest.pop()
            if state not in met:
                met.add(state)
                rest += self._above(*state)
        return {one for one, _ in met}

    def _above(self, node: Digest, asked: str | None) -> Iterator[tuple[Digest, str | None]]:
        held = self.files.get(node, [])
        for one in self.edges:
            own = one.output == node and _counts(one.by, one.name, asked)
            unnamed = one.name is None
            of_file = one.output in held and _counts(one.by, one.name or asked, asked, unnamed)
            if own or of_file:
                yield one.source, one.called


def _counts(by: str, name: str | None, asked: str | None, of_file: bool = False) -> bool:
    if by in ("owner", "stranger"):
        return by == "owner"
    if name is None:
        return of_file
    return all(one.startswith(MAY[by]) for one in (name, asked or name))


Verdicts = dict[tuple[Digest, str | None], bool]


@pytest.mark.parametrize("seed", range(3))
def test_every_way_of_asking_says_the_same(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    world.trust_also("some", ["n1/**"])
    world.trust_also("more", ["n2/**"])
    drawn, seen = History(world, random.Random(seed)).draw(14), dict[int, Verdicts]()
    for number, bad in enumerate(RAW):
        expected = {
            (node, asked): bad in drawn.reached(node, asked)
            for node in drawn.files
            for asked in (*drawn.names, None)
        }
        previewed = (
            world.preview(str(bad)) if any(one.source == bad for one in drawn.edges) else None
        )
        act = stop(world, [number])
        with world.view() as view:
            seen[view.n] = _verdicts(view, expected)
            assert seen[view.n] == expected
            with monkeypatch.context() as slow:
                slow.setattr(halts, "any_above", lambda *_: True)
                slow.setattr(Between, "of", lambda connection, *_: Between(connection))
                assert _verdicts(view, expected) == expected
            _is_shown(view, bad, {node for (node, _), stopped in expected.items() if stopped})
            listed = {one.version.name.name: one.quarantined for one in describe.listing(view)}
        by_name = {name: expected[node, name] for name, node in drawn.names.items()}
        assert listed == by_name
        if previewed is not None:
            blocked = {one.version.name.name for one in previewed.affected if one.blocked}
            assert blocked == {name for name, stopped in by_name.items() if stopped}
        lift(world, act, [number])
    with world.view() as view:
        for n, expected in seen.items():
            with past.looking_back(view.connection, n):
                assert _verdicts(view, expected) == expected
    limits = replace(LIMITS, sidecar_nodes=0, sidecar_worth=0, sidecar_share=10.0)
    monkeypatch.setattr(descent, "LIMITS", limits)
    with world.view() as view:
        is_walked_the_same(view, tmp_path / "sidecar")


def _node(view: Snapshot, one: Digest) -> int:
    node = query.node_id(view.connection, one)
    assert node is not None
    return node


def _verdicts(view: Snapshot, asked: Verdicts) -> Verdicts:
    return {
        (one, name): bool(
            standing.view(view, _node(view, one), NameVersion(name, "1") if name else None).stops
        )
        for one, name in asked
    }


def _is_shown(view: Snapshot, bad: Digest, stopped: set[Digest]) -> None:
    """Whatever is stopped under some name, on words that are worth as much."""
    only = Only(assurance=Assurance.ATTESTED)
    nodes = {_node(view, one) for one in stopped}
    if nodes:
        start = _node(view, bad)
        assert nodes <= trace(view, start, Direction.DOWN, only=only).nodes.keys()
        assert nodes <= reach(view, [start]).affected.keys()
        for node in nodes:
            assert start in trace(view, node, Direction.UP, only=only).nodes
            assert between(view, start, node, only)[1]
