"""`--max-age`: a verdict on a ledger that somebody withholds, or that nothing proves to be new."""

from __future__ import annotations

import shutil
import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.errors import NotVerified, Quarantined, Undecided
from stemma_attestations.policy import Policy
from stemma_attestations.policy_file import parse
from stemma_attestations.verdict import Outcome, Verdict
from stemma_registry import freshness, gate
from stemma_registry.blobs.local import LocalStore
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import Limits
from stemma_registry.gate import Terms
from stemma_registry.ledger.log import entry_key
from stemma_registry.registry import Registry, snapshot
from stemma_registry.status import pinning
from tests.postgres import SQLITE_ONLY
from tests.status.scene import FeedScene, utc

HOUR = timedelta(hours=1)


@pytest.fixture
def scene(tmp_path: Path) -> FeedScene:
    """A model in a registry on disk, and its feed."""
    store = tmp_path / "store"
    store.mkdir()
    made = FeedScene(tmp_path, LocalStore(store))
    made.world.push("models/m:1", kind="model")
    made.world.push("models/other:1", kind="model")
    made.publish()
    return made


def place(scene: FeedScene) -> Path:
    return scene.folder / "store"


def asked(scene: FeedScene, terms: Terms, store: Path | None = None) -> Verdict:
    """The verdict of a machine that sees the registry for the first time."""
    world = scene.world
    seen = LocalStore(store or place(scene))
    # Known by the place of the true one, as a store that somebody rewound is.
    fresh = Catalogue.open(scene.folder / f"seen-{world.count}.sqlite3", seen)
    world.count += 1
    registry = Registry(seen, fresh, world.home)
    with snapshot(registry, world.trust, utc()) as view:
        return gate.verify_reference(registry, view, "models/m:1", None, terms)


def pin(scene: FeedScene, store: Path | None = None) -> None:
    """The feed as the gate's home knows it: it is read where the true registry is."""
    location = LocalStore(store or place(scene)).location
    pinning.pin(scene.world.home, location, str(place(scene)), scene.root)


def refused(scene: FeedScene, terms: Terms, said: str, store: Path | None = None) -> None:
    with pytest.raises(Undecided) as caught:
        asked(scene, terms, store)
    verdict = caught.value.verdict
    assert verdict is not None
    (step,) = [s for s in verdict.steps if s.outcome is not Outcome.PASSED]
    assert step.number == 9
    assert said in step.details[0]


def policy(text: str) -> Policy:
    head = "format: urn:stemma:policy:v0.1\n"
    return parse((head + text + "rules: [{names: ['**']}]\n").encode(), "test")


def test_a_fresh_status_is_proved_and_said(scene: FeedScene) -> None:
    pin(scene)
    verdict = asked(scene, Terms(max_age=HOUR))
    assert verdict.age is not None
    assert timedelta() <= verdict.age < HOUR
    assert any("at most" in line for step in verdict.steps for line in step.details)
    assert asked(scene, Terms()).age is None


def test_without_a_feed_nothing_proves_it(scene: FeedScene) -> None:
    refused(scene, Terms(max_age=HOUR), "no feed of")
    assert asked(scene, Terms()).passed


def test_an_old_status_decides_nothing(scene: FeedScene) -> None:
    pin(scene)
    scene.publish(always=True, at=utc() - timedelta(minutes=5))
    refused(scene, Terms(max_age=timedelta(minutes=4)), "at most")
    assert asked(scene, Terms(max_age=timedelta(minutes=6))).passed


def test_the_policy_asks_too_and_the_smallest_age_holds(scene: FeedScene) -> None:
    pin(scene)
    scene.publish(always=True, at=utc() - timedelta(minutes=5))
    strict = policy("max_age: 4m\n")
    refused(scene, Terms(strict), "at most")
    refused(scene, Terms(strict, max_age=HOUR), "at most")
    refused(scene, Terms(policy("max_age: 1h\n"), max_age=timedelta(minutes=4)), "at most")
    assert asked(scene, Terms(policy("max_age: 1h\n"))).passed


def test_a_quarantine_that_is_withheld(scene: FeedScene) -> None:
    world, rewound = scene.world, scene.folder / "rewound"
    shutil.copytree(place(scene), rewound)
    pin(scene)
    pin(scene, rewound)
    world.quarantine("models/m:1")
    # The feed does not know it yet: nobody can tell the rewound store from the true one.
    assert asked(scene, Terms(max_age=HOUR), rewound).passed
    with pytest.raises(Quarantined):
        asked(scene, Terms(max_age=HOUR))
    scene.publish()
    refused(scene, Terms(max_age=HOUR), "withheld", rewound)
    assert asked(scene, Terms(), rewound).passed, "which is what --max-age is for"


def test_a_ledger_that_forked(scene: FeedScene) -> None:
    world, fork = scene.world, scene.folder / "fork"
    shutil.copytree(place(scene), fork)
    pin(scene, fork)
    world.quarantine("models/m:1")
    scene.publish()
    n = max(int(path.stem) for path in place(scene).glob("ledger/*/*/*.json"))
    other = FeedScene.__new__(FeedScene)
    other.folder, other.world = scene.folder, scene.world
    true = world.registry
    copied = LocalStore(fork)
    world.registry = Registry(
        copied, Catalogue.open(scene.folder / "fork.sqlite3", copied), world.home
    )
    world.push("models/third:1", kind="model")
    world.registry = true
    assert (fork / entry_key(n)).read_bytes() != (place(scene) / entry_key(n)).read_bytes()
    refused(scene, Terms(max_age=HOUR), "not the one that the feed names", fork)


class TwoFaced(LocalStore):
    """Shows a forked ledger until it has been read to its end, and the true one from then on."""

    def __init__(self, true: Path, fork: Path, end: int) -> None:
        super().__init__(fork)
        self.true, self.end, self.turned = LocalStore(true), entry_key(end), False

    def read(self, key: str) -> bytes:
        if self.turned and key.startswith("ledger/"):
            return self.true.read(key)
        self.turned = self.turned or key == self.end
        return super().read(key)


@pytest.mark.parametrize("further", [0, 2])
def test_a_store_with_two_faces(scene: FeedScene, further: int) -> None:
    """What counts is the ledger that was projected, not the one that is shown at the end."""
    world, fork = scene.world, scene.folder / "fork"
    shutil.copytree(place(scene), fork)
    pin(scene, fork)
    world.quarantine("models/m:1")
    scene.publish()
    true, copied = world.registry, LocalStore(fork)
    catalogue = Catalogue.open(scene.folder / "fork.sqlite3", copied)
    world.registry = Registry(copied, catalogue, world.home)
    for number in range(1 + further):
        world.push(f"models/benign:{number}", kind="model")
    world.registry = true
    with world.view() as view:
        n = view.n
    seen = TwoFaced(place(scene), fork, n + further)
    fresh = Catalogue.open(scene.folder / "seen.sqlite3", seen)
    registry = Registry(seen, fresh, world.home)
    with snapshot(registry, world.trust, utc()) as view:
        assert view.n == n + further
        seen.turned = True
        with pytest.raises(Undecided, match="is not the one"):
            gate.verify_reference(registry, view, "models/m:1", None, Terms(max_age=HOUR))


def test_a_ledger_that_went_on_behind_the_feed(
    scene: FeedScene, monkeypatch: pytest.MonkeyPatch
) -> None:
    pin(scene)
    for number in range(3):
        scene.world.push(f"models/later:{number}", kind="model")
    assert asked(scene, Terms(max_age=HOUR)).passed
    monkeypatch.setattr(freshness, "LIMITS", Limits(feed_behind=2))
    refused(scene, Terms(max_age=HOUR), "more than 2 before")


def test_breaking_the_glass(scene: FeedScene) -> None:
    lets, lets_not = policy("max_age: 1m\nstale_ok: true\n"), policy("max_age: 1m\n")
    refused(scene, Terms(lets), "nothing proves")
    refused(scene, Terms(lets_not, stale_ok="the feed is down"), "nothing proves")
    verdict = asked(scene, Terms(lets, stale_ok="the feed is down"))
    assert verdict.passed
    assert any("STALE" in line for line in verdict.warnings)
    assert any("the feed is down" in line for step in verdict.steps for line in step.details)
    # It lets pass what is old, and nothing that is known to be stopped.
    scene.world.quarantine("models/m:1")
    with pytest.raises(NotVerified):
        asked(scene, Terms(lets, stale_ok="the feed is down"))
    # Nor is it said where nobody needs it.
    scene.world.release("models/m:1")
    scene.publish()
    pin(scene)
    assert asked(scene, Terms(lets, stale_ok="to be sure")).warnings == ()


def test_broken_glass_lets_nothing_pass_that_is_contradicted(scene: FeedScene) -> None:
    """A ledger that ends too early is not an old one: somebody withholds what came after."""
    rewound = scene.folder / "rewound"
    shutil.copytree(place(scene), rewound)
    pin(scene, rewound)
    scene.world.quarantine("models/m:1")
    scene.publish()
    lets = policy("max_age: 1h\nstale_ok: true\n")
    refused(scene, Terms(lets, stale_ok="it is late"), "withheld", rewound)


@SQLITE_ONLY
@pytest.mark.parametrize(
    "damage",
    [
        "DELETE FROM status",
        "UPDATE status SET action = 'release'",
        "UPDATE statement SET signer = X'ab' WHERE id IN (SELECT statement_id FROM status)",
        "DELETE FROM subject WHERE statement_id IN (SELECT statement_id FROM status)",
    ],
)
def test_a_catalogue_that_lost_a_quarantine(scene: FeedScene, damage: str) -> None:
    """Bit rot, or a snapshot that left it out: the feed is asked a second time."""
    world = scene.world
    pin(scene)
    world.quarantine("models/m:1")
    scene.publish()
    with world.view() as view, pytest.raises(Quarantined):
        gate.verify_reference(world.registry, view, "models/m:1", None, Terms(max_age=HOUR))
    with sqlite3.connect(world.catalogue_path) as database:
        assert database.execute(damage).rowcount > 0
    with world.view() as view:
        assert gate.verify_reference(world.registry, view, "models/m:1", None, Terms()).passed
        for terms in (
            Terms(max_age=HOUR),
            Terms(policy("stale_ok: true\n"), None, None, HOUR, "x"),
        ):
            with pytest.raises(Undecided, match="the catalogue has lost it"):
                gate.verify_reference(world.registry, view, "models/m:1", None, terms)
    world.rebuild()
    with world.view() as view, pytest.raises(Quarantined):
        gate.verify_reference(world.registry, view, "models/m:1", None, Terms(max_age=HOUR))
    # What is released is asked of nobody, before the feed knows of it and after.
    world.release("models/m:1")
    for _ in range(2):
        with world.view() as view:
            terms = Terms(max_age=HOUR)
            assert gate.verify_reference(world.registry, view, "models/m:1", None, terms).passed
        scene.publish()


def test_several_names_cost_one_reading(scene: FeedScene, monkeypatch: pytest.MonkeyPatch) -> None:
    """By digest each believed name is asked for; the feed is fetched once for all of them."""
    from stemma_registry.status import reader

    scene.world.push("models/twin:1", {"data.txt": b"models/m:1"}, kind="model")
    scene.publish()
    pin(scene)
    with scene.world.view() as view:
        digest = str(gate.resolve(view, "models/m:1").digest)
        assert digest == str(gate.resolve(view, "models/twin:1").digest)
    fetched: list[object] = []
    fetch = reader.fetch
    monkeypatch.setattr(reader, "fetch", lambda *a, **k: fetched.append(a) or fetch(*a, **k))
    with scene.world.view() as view:
        registry = scene.world.registry
        assert gate.verify_reference(registry, view, digest, None, Terms(max_age=HOUR)).passed
    assert len(fetched) == 1
