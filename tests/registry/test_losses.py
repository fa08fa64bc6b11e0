"""What only a signer's word holds up: exactly what the gate turns from yes to no without it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.statement import Statement
from stemma_attestations.times import Window
from stemma_attestations.trust import TrustRoot
from stemma_attestations.windows import Without
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Home
from stemma_registry.questions import losses
from stemma_registry.questions.losses import Loss, Losses
from stemma_registry.registry import Registry
from stemma_registry.signing import KeySigner
from stemma_registry.trust.roots import TrustedRoots
from tests import postgres
from tests.sigstore.stack import LocalSigstore
from tests.world import World

HOUR = timedelta(hours=1)


@dataclass(frozen=True)
class Stamped(KeySigner):
    """A key whose signatures bear a timestamp of a time that is chosen, or none."""

    stack: LocalSigstore | None = None
    time: datetime | None = None

    def sign(self, statement: Statement) -> Bundle:
        """Sign, and have it dated."""
        bundle = super().sign(statement)
        if self.stack is None or self.time is None:
            return bundle
        stamp = self.stack.tsa.stamp(bundle.envelope.signatures[0].sig, self.time)
        return bundle.dated([stamp], [])


class Dated(World):
    """A world with a time stamping authority that its trust root believes."""

    def __init__(self, folder: Path, stack: LocalSigstore) -> None:
        self.stack = stack
        raw = stack.trusted_root()
        roots = Home(folder / "home").roots
        roots.mkdir(parents=True)
        self.root = Digest.of(raw)
        (roots / f"{self.root.value}.json").write_bytes(raw)
        super().__init__(folder)
        self.start = self.now.replace(microsecond=0) - 10 * HOUR

    def _open(self) -> Registry:
        catalogue = Catalogue.open(self.place(), self.store, TrustedRoots(self.home.roots))
        postgres.OPENED.append(catalogue)
        return Registry(self.store, catalogue, self.home)

    def trust_also(self, *arguments: object, **options: object) -> None:
        """The same, with the authority."""
        super().trust_also(*arguments, **options)  # type: ignore[arg-type]
        self.trust = replace(self.trust, time=(self.root,))

    def at(self, who: str, hours: float | None) -> str:
        """The signer, who signs at so many hours from the start from now on."""
        plain = self.signer(who)
        when = None if hours is None else self.start + hours * HOUR
        same = {name: getattr(plain, name) for name in KeySigner.__dataclass_fields__}
        self.signers[who] = Stamped(**same, stack=self.stack, time=when)
        return who

    def window(self, first: float | None, last: float | None) -> Window:
        """From so many hours to so many."""
        return Window(*(None if h is None else self.start + h * HOUR for h in (first, last)))

    def lost(self, who: str, window: Window) -> Losses:
        """The question."""
        with self.view() as view:
            return losses.of(self.registry, view, f"signer:{who}", window)


@pytest.fixture
def world(tmp_path: Path, sigstore: LocalSigstore) -> Iterator[Dated]:
    """ada and bob may say anything."""
    made = Dated(tmp_path, sigstore)
    for who in ("ada", "bob"):
        made.trust_also(who)
    yield made
    made.registry.close()


def of(found: Losses, name: str) -> Loss | None:
    return next((one for one in found.found if one.label == name), None)


def test_what_was_signed_in_the_window_and_what_has_no_time(world: Dated) -> None:
    for name, hours in (("before", 1.0), ("inside", 3.0), ("after", 6.0), ("undated", None)):
        world.push(f"m/{name}:1", kind="model", by=world.at("ada", hours))
    found = world.lost("ada", world.window(2, 4))
    assert {one.label for one in found.found if one.turns} == {"m/inside:1", "m/undated:1"}
    assert found.undated > 0
    lost = of(found, "m/inside:1")
    assert lost is not None
    assert {"provenance", "name", "edge", "bom"} <= set(lost.lost)
    assert "not heard" in " ".join(lost.after.reasons if lost.after else ())
    for window, inside in ((world.window(3, 4), True), (world.window(2, 3), False)):
        assert (of(world.lost("ada", window), "m/inside:1") is not None) == inside


def test_another_word_still_holds_it_up(world: Dated) -> None:
    world.push("m/a:1", {"w": b"w"}, kind="model", by=world.at("ada", 3))
    world.push("m/a:1", {"w": b"w"}, kind="model", by=world.at("bob", 3), parameters={"x": "1"})
    assert of(world.lost("ada", Window()), "m/a:1") is None
    world.push("m/b:1", {"w": b"b"}, kind="model", by=world.at("ada", 3))
    world.push("m/b:1", {"w": b"b"}, kind="model", by=world.at("ada", 8), parameters={"x": "1"})
    assert of(world.lost("ada", world.window(2, 4)), "m/b:1") is None
    assert of(world.lost("ada", world.window(2, 9)), "m/b:1") is not None


def test_a_quarantine_that_only_he_signed_is_pointed_out(world: Dated) -> None:
    world.push("m/a:1", kind="model")
    world.at("ada", 3)
    world.quarantine("m/a:1", by="ada")
    found = of(world.lost("ada", Window()), "m/a:1")
    assert found is not None
    assert found.rises
    assert "status" in found.lost


def turned(world: Dated, names: list[str], without: TrustRoot) -> set[str]:
    """What `stemma verify` says yes of, and no under the other trust root."""
    before = {name for name in names if world.code(name) == 0}
    kept, world.trust = world.trust, without
    after = {name for name in names if world.code(name) == 0}
    world.trust = kept
    return before - after


@pytest.mark.parametrize("seed", range(2))
def test_exactly_what_the_gate_turns(world: Dated, seed: int) -> None:
    """Random histories; against a key that is revoked since, and against bounded windows."""
    dice, names = random.Random(seed), list[str]()
    for i in range(7):
        who = world.at(dice.choice(("ada", "ada", "bob", "owner")), dice.choice((1, 3, 5, None)))
        parents = dice.sample(names, min(len(names), dice.randrange(3)))
        name = f"m/{i}:1"
        world.push(name, None, *(f"derived-from={one}" for one in parents), kind="model", by=who)
        names.append(name)
        if dice.random() < 0.4:
            again = world.at(dice.choice(("ada", "bob", "eve")), dice.choice((2, 4, None)))
            world.push(dice.choice(names), None, kind="model", by=again, parameters={"i": str(i)})
    stop = world.quarantine(names[0], by=world.at("ada", dice.choice((1, 3))))
    if dice.random() < 0.5:
        world.release(stop, by=world.at("bob", 5))
    since = world.start + 3 * HOUR
    revoked = replace(
        world.trust,
        signers=tuple(
            replace(one, revoked=since) if one.principal == "ada" else one
            for one in world.trust.signers
        ),
    )
    found = world.lost("ada", Window(since, None))
    assert {one.label for one in found.found if one.turns} == turned(world, names, revoked)
    bounded = world.window(2, 4)
    ids = frozenset({world.signer("ada").id})
    found = world.lost("ada", bounded)
    without = Without.of(world.trust, ids, bounded)
    assert {one.label for one in found.found if one.turns} == turned(world, names, without)


def test_a_stranger_holds_up_nothing(world: Dated) -> None:
    world.push("m/a:1", {"w": b"w"}, kind="model", by=world.at("ada", 3))
    world.push("m/a:1", {"w": b"w"}, kind="model", by=world.at("eve", 3), parameters={"x": "1"})
    found = world.lost(world.signer("eve").id, Window())
    assert found.statements > 0
    assert found.found == ()
