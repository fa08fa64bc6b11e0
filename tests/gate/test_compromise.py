"""A signer upstream is compromised: exactly what rested on nobody else stops passing."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations import policy_file
from stemma_attestations.errors import StemmaError
from stemma_attestations.grants import Grant
from stemma_attestations.listed import Signer
from stemma_attestations.trust import TrustRoot
from stemma_attestations.verdict import Verdict
from stemma_cli import exits
from stemma_registry import gate
from tests.world import World

PEOPLE = ("curator", "trainer", "owner")
POLICY = policy_file.parse(
    b"format: urn:stemma:policy:v0.1\n"
    b"rules: [{names: ['**'], provenance: {commit: any}, ancestors: {}}]\n",
    "test",
)


def judged(world: World, ref: str) -> tuple[int, Verdict, dict[str, int]]:
    """The exit code, the verdict, and the coverage of what is upstream."""
    with world.view() as view:
        try:
            terms = gate.Terms(POLICY)
            code, verdict = 0, gate.verify_reference(world.registry, view, ref, None, terms)
        except StemmaError as error:
            code, verdict = exits.code_of(error), error.verdict  # type: ignore[attr-defined]
        return code, verdict, gate.coverage(world.registry, view, verdict)


def codes(world: World, refs: Sequence[str]) -> dict[str, int]:
    return {ref: judged(world, ref)[0] for ref in refs}


# How a signer stops being believed. `edges`: whether what he said about lineage still leads
# upward, as what *stops* does not lapse with a key's window.
Way = Callable[[World, Signer], Signer | None]


def _removed(world: World, signer: Signer) -> Signer | None:
    return None


def _narrowed(world: World, signer: Signer) -> Signer | None:
    return replace(signer, grants=(Grant(("*",), ("elsewhere/**",)),))


def _revoked(world: World, signer: Signer) -> Signer | None:
    return replace(signer, revoked=world.now - timedelta(days=1))


def _over(world: World, signer: Signer) -> Signer | None:
    return replace(signer, valid_until=world.now - timedelta(seconds=1))


WAYS: Mapping[str, tuple[Way, bool]] = {
    "removed": (_removed, False),
    "narrowed": (_narrowed, False),
    "revoked": (_revoked, False),
    "over": (_over, True),
}


def distrust(world: World, who: str, way: Way) -> TrustRoot:
    """The trust root in which somebody is believed no more."""
    changed = [way(world, s) if s.principal == who else s for s in world.trust.signers]
    return replace(world.trust, signers=tuple(s for s in changed if s is not None))


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    for name in ("curator", "trainer"):
        made.trust_also(name)
    return made


@pytest.fixture
def lineage(world: World) -> World:
    """data/raw (curator) -> data/clean (owner) -> models/a (trainer) -> models/child (owner).

    models/b rests on the owner alone; models/both was vouched for by trainer and owner.
    """
    world.push("data/raw:1", by="curator")
    world.push("data/clean:1", None, "filtered-from=data/raw:1")
    world.push("data/other:1")
    made = {"kind": "model"}
    world.push("models/a:1", None, "trained-on=data/clean:1", by="trainer", **made)
    world.push("models/child:1", None, "fine-tuned-from=models/a:1", **made)
    world.push("models/b:1", None, "trained-on=data/other:1", **made)
    for who in ("trainer", "owner"):
        world.push("models/both:1", None, "trained-on=data/other:1", by=who, **made)
    world.push("models/grand:1", None, "fine-tuned-from=models/both:1", **made)
    return world


MODELS = ("models/a:1", "models/child:1", "models/b:1", "models/both:1", "models/grand:1")
FIRM = {"models/b:1": 0, "models/both:1": 0, "models/grand:1": 0}


@pytest.mark.parametrize("way", WAYS)
def test_exactly_what_rested_on_the_trainer_alone(lineage: World, way: str) -> None:
    assert set(codes(lineage, MODELS).values()) == {0}
    before = judged(lineage, "models/child:1")[2]
    assert (before["attested"], sum(before.values())) == (3, 3)
    lineage.trust = distrust(lineage, "trainer", WAYS[way][0])
    assert codes(lineage, MODELS) == {"models/a:1": 13, "models/child:1": 10, **FIRM}
    _, verdict, after = judged(lineage, "models/child:1")
    # Behind what nobody vouches for, the walk goes on only where its edges still count.
    assert after["attested"] == (2 if WAYS[way][1] else 0)
    assert after["signed"] == 1
    reason = verdict.steps[7].reasons[0]
    assert (reason.code, reason.about) == ("ancestor-not-believed", "models/a:1")
    assert reason.key_id == lineage.signer("trainer").public.id
    (edge,) = reason.edges
    assert (edge.output_label, edge.relation, edge.input_label, edge.signer) == (
        *("models/child:1", "fine-tuned-from", "models/a:1", "owner"),
    )


@pytest.mark.parametrize("way", WAYS)
def test_whoever_made_the_data_takes_all_that_descends_from_it(lineage: World, way: str) -> None:
    lineage.trust = distrust(lineage, "curator", WAYS[way][0])
    assert codes(lineage, MODELS) == {"models/a:1": 10, "models/child:1": 10, **FIRM}
    assert judged(lineage, "data/raw:1")[0] == 13
    assert judged(lineage, "data/clean:1")[0] == 10
    coverage = judged(lineage, "models/child:1")[2]
    assert (coverage["attested"], coverage["signed"]) == (2, 1)
    # A second valid provenance of the same bytes, by somebody else, mends all of it.
    lineage.push("data/raw:1", by="trainer")
    assert set(codes(lineage, MODELS).values()) == {0}
    coverage = judged(lineage, "models/child:1")[2]
    assert (coverage["attested"], sum(coverage.values())) == (3, 3)


def test_what_he_stopped(lineage: World) -> None:
    """Stops do not lapse with a key's window; on the word of a stranger nothing stops."""
    lineage.quarantine("data/other:1", by="curator")
    assert codes(lineage, FIRM) == dict.fromkeys(FIRM, 11)
    whole = lineage.trust
    for way, (change, keeps) in WAYS.items():
        lineage.trust = distrust(lineage, "curator", change)
        assert set(codes(lineage, FIRM).values()) == {11 if keeps else 0}, way
        if not keeps:
            (suspect,) = judged(lineage, "models/b:1")[1].warnings
            assert "suspect" in suspect
            assert "data/other:1" in suspect
        lineage.trust = whole
    # Nor can who is over release what somebody else has stopped.
    lineage.quarantine("data/other:1", by="owner")
    lineage.trust = distrust(lineage, "curator", _over)
    assert codes(lineage, FIRM) == dict.fromkeys(FIRM, 11)


# --- against a model ------------------------------------------------------------------------


@dataclass
class Thing:
    """One artifact of a random history: who vouches for it, and what it was made from."""

    ref: str
    signers: set[str]
    inputs: tuple[int, ...]


def history(world: World, seed: int) -> list[Thing]:
    """Pushes at random; whoever pushes the same again says the same about it."""
    chance, made = random.Random(seed), list[Thing]()
    for number in range(9):
        inputs = tuple(chance.sample(range(number), min(number, chance.choice((0, 1, 1, 2)))))
        signers = set(chance.sample(PEOPLE, chance.choice((1, 1, 1, 2))))
        thing = Thing(f"things/t{number}:1", signers, inputs)
        edges = [f"filtered-from={made[i].ref}" for i in inputs]
        for who in sorted(signers):
            world.push(thing.ref, None, *edges, by=who)
        made.append(thing)
    return made


def expected(things: Sequence[Thing], gone: str, edges_stay: bool) -> dict[str, tuple[int, int]]:
    """Exit code, and how many ancestors are attested, by the rules in plain words."""
    found = {}
    firm = [bool(thing.signers - {gone}) for thing in things]
    for number, thing in enumerate(things):
        above, todo = set[int](), [number]
        while todo:
            here = todo.pop()
            if firm[here] or edges_stay:
                more = set(things[here].inputs) - above
                above |= more
                todo += more
        whole = all(firm[i] for i in above)
        code = 13 if not firm[number] else 0 if whole else 10
        found[thing.ref] = code, sum(firm[i] for i in above)
    return found


@pytest.mark.parametrize("seed", range(2))
def test_random_histories(world: World, seed: int) -> None:
    things = history(world, seed)
    whole, tried = world.trust, set[int]()
    for gone in PEOPLE:
        for way, edges_stay in (WAYS["removed"], WAYS["over"]):
            world.trust = distrust(world, gone, way)
            for ref, (code, attested) in expected(things, gone, edges_stay).items():
                got, _, coverage = judged(world, ref)
                assert (got, coverage["attested"]) == (code, attested), (ref, gone, way.__name__)
                tried.add(code)
            world.trust = whole
    assert tried == {0, 10, 13}
