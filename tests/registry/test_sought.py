"""Where criteria stand, the check that looks for few things says what the slow one says."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from sqlalchemy import Connection

from stemma_attestations.digest import Digest
from stemma_attestations.distrusting import Rule
from stemma_attestations.identity import IdentityPattern
from stemma_attestations.listed import Signer
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import criterion, mlbom, status
from stemma_attestations.predicates.criterion import (
    Criterion,
    Distrusted,
    Packaged,
    Recorded,
    Retired,
)
from stemma_attestations.releasing import Voice
from stemma_attestations.request import StatusView
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_attestations.trust import TrustRoot
from stemma_registry.catalogue import acts, bulk, climb, halts, query
from stemma_registry.catalogue.columns import CODES
from stemma_registry.catalogue.halts import Sought
from stemma_registry.config import LIMITS
from stemma_registry.ledger.entry import PUSH, STATUS
from stemma_registry.lineage import sought, support
from stemma_registry.lineage import status as standing
from stemma_registry.measures.matching import packages
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from tests.registry.drawn_records import Drawn
from tests.registry.test_scale import (
    RELATIONS,
    digest,
    say,
    stop,
    tell,
)
from tests.world import World


@pytest.fixture
def world(on_either: World) -> World:
    """On either database; ada may say anything, some about n1/** only."""
    on_either.trust_also("some", ["n1/**"])
    on_either.trust_also("ada")
    return on_either


SIGNERS = ("owner", "some", "stranger")
TELLERS = ("owner", "owner", "some", "stranger", "ada")
SIZE = 16
ASKED = ("pkg:pypi/evil", "pkg:pypi/evil@2", "pkg:pypi/none@1")


def name(node: int) -> NameVersion:
    return NameVersion(f"n{node % 3}/n{node}", "1")


def pushed(world: World) -> None:
    """A few artifacts with names, so that distrust may fell them."""
    world.push("n0/a:1", None, by="ada")
    world.push("n1/a:1", None, "derived-from=n0/a:1", by="some")
    world.push("n1/b:1", None, "derived-from=n1/a:1", by="owner")
    world.push("n0/b:1", None, by="stranger")


def listed(world: World, node: int, purl: str, by: str) -> None:
    """A BOM about a node."""
    lists(world, ResourceDescriptor(str(name(node)), digests=(digest(node),)), purl, by)


def lists(world: World, subject: ResourceDescriptor, purl: str, by: str) -> None:
    """A BOM about anything."""
    said = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "components": [{"type": "library", "name": "x", "purl": purl}],
    }
    tell(world, Statement.build([subject], mlbom.TYPE, said), by, PUSH)


def stopped(world: World, of: Criterion, by: str, nonce: str) -> Digest:
    """A criterion by anybody."""
    said = status.build_matching(of, "bad", "2026-01-01T00:00:00Z", nonce)
    subject = ResourceDescriptor(digests=(criterion.subject(of),))
    return tell(world, Statement.build([subject], status.TYPE, said), by, STATUS)


def lifted(world: World, act: Digest, by: str) -> None:
    """A release of it by anybody."""
    said = status.build_release("good", "2026-01-02T00:00:00Z", [act])
    subject = ResourceDescriptor(digests=(act,))
    tell(world, Statement.build([subject], status.TYPE, said), by, STATUS)


def history(world: World, dice: random.Random, acts: int) -> None:
    """Edges by anybody among nodes and artifacts; BOMs, criteria and releases by anybody.

    Then datasets and their indexes, too (see `drawn_records`).
    """
    for _ in range(3):
        edges = []
        for _ in range(8):
            output = dice.randrange(SIZE)
            edges.append((dice.randrange(output + 1), output, dice.choice(RELATIONS)))
        say(world, edges, dice.choice(SIGNERS))
    people = [world.signer(one).id for one in ("ada", "some")]
    kinds: Sequence[Criterion] = [
        *(packages(text) for text in ASKED),
        *(Retired(name(dice.randrange(SIZE)).name) for _ in range(2)),
        *(Distrusted(key=one) for one in people),
        Distrusted(principal="ada", names=("n0/**",)),
        Distrusted(principal="nobody"),
    ]
    others = random.Random(acts)
    for ref in ("n0/a:1", "n1/a:1", "n1/b:1", "n0/b:1"):  # whose file has that for its bytes
        subject = ResourceDescriptor(others.choice(("f", ref)), digests=(Digest.of(ref.encode()),))
        lists(world, subject, f"pkg:pypi/evil@{others.randrange(3)}", others.choice(SIGNERS))
    for number in range(acts):
        listed(world, dice.randrange(SIZE), f"pkg:pypi/evil@{number % 3}", dice.choice(SIGNERS))
        act = stopped(world, dice.choice(kinds), dice.choice(SIGNERS), str(number))
        for _ in range(dice.choice((0, 1, 1, 2))):
            lifted(world, act, dice.choice(SIGNERS))
    if dice.random() < 0.5:
        stop(world, [dice.randrange(SIZE)], dice.choice(SIGNERS))
    Drawn(world, dice, TELLERS, SIZE).take(acts)


def answers(view: Snapshot, nodes: Sequence[int]) -> dict[tuple[int, str], StatusView]:
    names = [None, name(0), NameVersion("n1/b", "1")]
    return {(node, str(one)): standing.view(view, node, one) for node in nodes for one in names}


def heard(connection: Connection, trust: TrustRoot) -> list[acts.CriterionRow]:
    return [one for one in acts.criteria(connection) if acts.is_heard(trust, one.fact)]


MORE = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(30) if seed != 12]


@pytest.mark.parametrize("seed", [12, *MORE])
def test_the_check_says_what_the_walk_says(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    pushed(world)
    history(world, random.Random(seed), 2 + seed % 4)
    says_the_same(world, monkeypatch)


ALSO = [pytest.param(seed, marks=pytest.mark.slow) for seed in range(20, 44) if seed != 29]


@pytest.mark.parametrize("seed", [29, *ALSO])
def test_the_check_says_what_the_walk_says_of_records(
    world: World, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alone: where much else is stopped, the slower walk is taken whatever is said of records."""
    Drawn(world, random.Random(seed), TELLERS, SIZE).take(3)
    says_the_same(world, monkeypatch)


def says_the_same(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever is asked about."""
    with world.view() as view:
        found = bulk.ask(view.connection, "SELECT id FROM node ORDER BY id")
        nodes = [row for (row,) in found]
        fast = answers(view, nodes)
        for one in ("any_above", "any_near"):
            monkeypatch.setattr(halts, one, lambda *_: True)
        monkeypatch.setattr(climb, "shape", lambda *_: None)
        monkeypatch.setattr(acts, "heard", heard)
        monkeypatch.setattr(support, "live", support.rules)
        assert fast == answers(view, nodes)


def slowly(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The nodes for which the slower walk is taken from now on."""
    asked, shape = list[int](), climb.shape

    def shaped(
        connection: Connection, node: int, limit: int, deep: Callable[[], bool]
    ) -> set[int] | None:
        asked.append(node)
        return shape(connection, node, limit, deep)

    monkeypatch.setattr(climb, "shape", shaped)
    return asked


OF = [
    packages("pkg:pypi/evil@1"),
    Distrusted(principal="ada"),
    Retired("n1/b"),
]


@pytest.mark.parametrize("of", OF, ids=["package", "signer", "name"])
def test_a_criterion_slows_those_it_may_stop(
    world: World, of: Criterion, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nobody else: not where a stranger signed it, nor where it was released."""
    pushed(world)
    say(world, [(0, 1, "trained-on"), (2, 3, "trained-on")])
    listed(world, 0, "pkg:pypi/evil@1", "owner")
    asked = slowly(monkeypatch)

    def codes() -> tuple[bool, bool, int]:
        """Whether the descendant, and whether the other, is stopped; how often it took long."""
        asked.clear()
        with world.view() as view:
            ids = [query.node_id(view.connection, digest(node)) for node in (1, 3)]
            below, other = resolve(view, "n1/b:1"), ids[1]
            hit = ids[0] if isinstance(of, Packaged) else below.node
            assert hit is not None
            assert other is not None
            stops = [
                bool(standing.view(view, node, named).stops)
                for node, named in ((hit, below.name), (other, name(3)))
            ]
            return stops[0], stops[1], len(asked)

    stopped(world, of, "stranger", "1")
    assert codes() == (False, False, 0)
    act = stopped(world, of, "owner", "2")
    assert codes() == (True, False, 0 if isinstance(of, Retired) else 1)
    lifted(world, act, "stranger")
    assert codes()[:2] == (True, False)
    lifted(world, act, "owner")
    assert codes() == (False, False, 0)


def test_what_came_after_the_earliest_search_is_looked_for(world: World) -> None:
    """Whichever was signed first; what was released, or is a stranger's, searched for nobody."""

    def records(searched: int, which: str) -> Recorded:
        return Recorded("1", None, 1, searched, (("public", Digest.of(which.encode())),))

    def since() -> int | None:
        with world.view() as view:
            return sought.of(view, acts.heard(view.connection, view.trust)).since

    assert since() is None
    stopped(world, records(0, "a"), "stranger", "1")
    assert since() is None
    late = stopped(world, records(50, "b"), "owner", "2")
    early = stopped(world, records(1, "c"), "owner", "3")
    stopped(world, records(90, "d"), "owner", "4")
    assert since() == 1
    bad = world.push("n0/data:1", {"a.jsonl": b"{}\n"}, kind="dataset").artifact

    def suspects() -> int:
        with world.view() as view:
            node = query.node_id(view.connection, bad)
            assert node is not None
            return len(standing.view(view, node, name(0)).suspects)

    assert suspects() == 1
    lifted(world, early, "owner")
    assert (since(), suspects()) == (50, 0)
    lifted(world, late, "owner")
    assert (since(), suspects()) == (90, 0)


def test_what_identities_signed_is_looked_for(world: World) -> None:
    """All questions there are, on either database."""
    pushed(world)
    key = world.signer("ada").id
    with world.view() as view:
        node, number = resolve(view, "n1/b:1").node, LIMITS.ancestors
        connection = view.connection
        for signers in ((), (key,), ("ab" * 32,)):
            for identities in (False, True):
                for environments in ((), (10**6,)):
                    one = Sought(signers, identities, environments)
                    found = halts.any_above(connection, node, number, one)
                    assert found == (key in signers)
        (one,) = {row for (row,) in bulk.ask(connection, "SELECT id FROM environment")}
        assert halts.any_above(connection, node, number, Sought(environments=(one,)))
        if connection.dialect.name == "sqlite":
            query, values = halts.question(connection, Sought((key,), True, (one,)))
            values |= {"first": node, "node": node, "budget": number}
            rows = bulk.ask(connection, f"EXPLAIN QUERY PLAN {query}", **values)
            plan = "\n".join(str(row[-1]) for row in rows)
            assert "MATERIALIZE" not in plan
            assert "SEARCH b USING PRIMARY KEY (node_id=?)" in plan
            assert "SEARCH p USING INTEGER PRIMARY KEY" in plan
            assert "SEARCH v USING INDEX ix_version_artifact_id" in plan
            assert "SEARCH s USING INTEGER PRIMARY KEY" in plan


def test_distrust_of_an_identity_makes_identities_looked_for(world: World) -> None:
    of = Distrusted(identity=("https://ci", "job"))
    voice = Voice(world.signer("owner").id)
    rule = Rule(digest(1), digest(2), voice, of, "stolen")
    pattern = IdentityPattern("https://ci", subject="job")
    listed_too = Signer("ci", (), identity=pattern, root=digest(3))
    with world.view() as view:
        for trust, expected in (
            (view.trust, Sought()),
            (replace(view.trust, signers=(*view.trust.signers, listed_too)), Sought((), True)),
        ):
            doubting = support.with_rule(replace(view, trust=trust), rule)
            assert sought.of(replace(view, trust=doubting), []) == expected


def test_what_is_shown_of_several_is_in_no_order_of_chance(world: World) -> None:
    """Neither a plan of the database's nor what was written first says which edge is the first."""
    relations = ("trained-on", "same-as", "fine-tuned-from", "derived-from", "built-from")
    say(world, [(0, 1, relation) for relation in relations])
    for number in (1, 2):
        world.push(f"n0/held:{number}", {path: path.encode() for path in ("b", "a", str(number))})
    with world.view() as view:
        connection = view.connection
        output = query.node_id(connection, digest(1))
        assert output is not None
        rows = query.edges_into(connection, [output])
        order = [CODES[row.relation] for row in rows]
        assert order == sorted(CODES[relation] for relation in relations)
        (sayings,) = climb.into(connection, [output]).values()
        assert [step.relation for step in sayings[0].edges] == [row.relation for row in rows]
        files = [query.node_id(connection, Digest.of(raw)) for raw in (b"a", b"b")]
        parts = query.containers(connection, [one for one in files if one is not None])
        assert parts == sorted(parts, key=lambda one: (one.blob_id, one.artifact_id, one.path))
        assert len(parts) == 4
