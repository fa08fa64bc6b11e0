"""How new the status of a dossier is: the feed that came along, and the one that is asked."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Quarantined, Undecided
from stemma_attestations.policy import Policy
from stemma_attestations.predicates import mlbom, slsa
from stemma_attestations.predicates.dossier import Role
from stemma_attestations.predicates.link import TYPE as LINK
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.config import Home
from stemma_registry.dossier import container, standing
from stemma_registry.foreign.attach import Given, attach
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import append
from stemma_registry.measures import matching, waiving
from stemma_registry.measures.waiving import Wish
from stemma_registry.policy_source import SHIPPED
from stemma_registry.status import pinning
from stemma_registry.status.documents import FOLDER
from tests.dossier.scene import DossierScene, parse
from tests.dossier.test_verdicts import HEAD, policy
from tests.registry.test_edges import digest_of
from tests.registry.test_edges import link as in_toto
from tests.registry.test_made import told
from tests.registry.test_scale import tell
from tests.status.scene import FeedScene, utc
from tests.world import World

QUARTER = timedelta(minutes=15)
RULE = b"- {names: ['**']}\n"


class Fed:
    """A scene with a feed that a machine reads from a folder of static files."""

    def __init__(self, folder: Path) -> None:
        self.feed = FeedScene(folder)
        self.scene = DossierScene(folder, self.feed.world)
        self.mirror = folder / "mirror"
        self.feed.publish()
        self.copy()
        for home in (self.scene.world.home, self.scene.gate):
            self.pin(home)

    def pin(self, home: Home, where: Path | None = None) -> pinning.Pin:
        place = str(where or self.mirror)
        return pinning.pin(home, self.feed.store.location, place, self.feed.root)

    def copy(self) -> None:
        """The mirror as the store is now."""
        shutil.rmtree(self.mirror, ignore_errors=True)
        for key in self.feed.store.keys(FOLDER):
            path = self.mirror / key.removeprefix(FOLDER)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.feed.store.read(key))

    def verify(self, path: Path, age: timedelta | None = QUARTER, **options: object) -> int:
        options.setdefault("now", utc())
        return self.scene.code(path, max_age=age, **options)  # type: ignore[arg-type]


@pytest.fixture
def fed(tmp_path: Path) -> Fed:
    return Fed(tmp_path)


def test_it_comes_along_and_is_asked(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    content = parse(path.read_bytes())
    assert len(content.said.of(Role.FEED)) == 1
    assert content.said.age is not None
    verdict = fed.scene.verify(path, max_age=QUARTER, now=utc())
    assert verdict.age is not None
    assert verdict.age < QUARTER
    assert fed.verify(path, None) == 0


def test_a_quarantine_of_afterwards_stops(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    fed.scene.world.quarantine("acme/data:1")
    fed.feed.publish()
    assert fed.verify(path) == 0  # nobody has brought the files here yet
    fed.copy()
    with pytest.raises(Quarantined, match="bad"):
        fed.scene.verify(path, max_age=QUARTER, now=utc())
    # Who has seen it once stays stopped, also where nobody asks, or the feed is gone.
    assert fed.verify(path, None) == 11
    shutil.rmtree(fed.mirror)
    assert fed.verify(path) == 11
    fed.scene.world.release("acme/data:1")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 0
    assert fed.verify(path, None) == 0


@pytest.mark.parametrize("by", ["owner", "some"])
@pytest.mark.parametrize("file", [b"weights", b"acme/data:1"], ids=["its own", "of its data"])
def test_a_quarantine_of_what_a_file_came_from_stops(fed: Fed, file: bytes, by: str) -> None:
    """The statement is about the file only: it is in the dossier all the same."""
    world = fed.scene.world
    world.trust_also("some", ["acme/data", "acme/model"])
    told(world, [file], digest_of(world, "acme/other:1"), by=by)
    fed.feed.publish()
    fed.copy()
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    world.quarantine("acme/other:1")
    fed.feed.publish()
    fed.copy()
    with pytest.raises(Quarantined, match="acme/other:1 is quarantined"):
        fed.scene.verify(path, max_age=QUARTER, now=utc())


def _linked(world: World, product: bytes, by: str) -> None:
    link = in_toto(world, {"d": b"acme/other:1"}, {"w.bin": product}, by)
    given = Given([("train.link", link)], [world.signer(by).public])
    attach(world.registry, world.trust, world.signer("owner"), "acme/model:1", given, world.now)


def _linked_before_its_key(world: World, product: bytes, by: str) -> None:
    """Whoever brought the link first did not bring the key."""
    link = in_toto(world, {"d": b"acme/other:1"}, {"w.bin": product}, by)
    put_bytes(world.store, link)
    for keys in ((), world.signer(by).keys):
        event = Event(PUSH, (), (Digest.of(link),), tuple(put_bytes(world.store, k) for k in keys))
        head = world.registry.catalogue.catch_up()
        append(world.store, head, lambda event=event: [event], world.registry.catalogue.catch_up)


def _old(world: World, output: bytes, by: str, kind: str, predicate: object) -> None:
    about = ResourceDescriptor("out", digests=(Digest.of(output),))
    tell(world, Statement.build([about], kind, predicate), by)


def _built_of_old(world: World, product: bytes, by: str) -> None:
    other = {"uri": "x", "digest": {"sha256": Digest.of(b"acme/other:1").value}}
    _old(
        world,
        product,
        by,
        slsa.TYPE_V02,
        {"builder": {"id": "x"}, "buildType": "x", "materials": [other]},
    )


def _described(world: World, product: bytes, by: str) -> None:
    other = {"uri": "x", "digest": {"sha256": Digest.of(b"acme/other:1").value}}
    _old(world, product, by, LINK, {"name": "train", "materials": [other]})


@pytest.mark.parametrize("file", [b"weights", b"acme/data:1"], ids=["its own", "of its data"])
@pytest.mark.parametrize("say", [_linked, _linked_before_its_key, _built_of_old, _described])
def test_every_statement_that_says_an_edge_comes_along(
    fed: Fed, say: Callable[[World, bytes, str], None], file: bytes
) -> None:
    """Also of other tools: a link of in-toto has no subjects, by which it could be found."""
    world = fed.scene.world
    world.trust_also("some", ["acme/*"])
    say(world, file, "some")
    world.push("acme/last:1")  # the last entry comes along whatever is in it
    fed.feed.publish()
    fed.copy()
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    world.quarantine("acme/other:1")
    assert world.code("acme/model:1") == 11
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 11


@pytest.mark.parametrize("file", [b"weights", b"acme/data:1"], ids=["its own", "of its data"])
def test_a_bom_of_a_file_comes_along(fed: Fed, file: bytes) -> None:
    world = fed.scene.world
    components = [{"type": "library", "name": "evil", "purl": "pkg:pypi/evil@1"}]
    bom = {"bomFormat": "CycloneDX", "specVersion": "1.6", "components": components}
    _old(world, file, "owner", mlbom.TYPE, bom)
    world.push("acme/last:1")
    fed.feed.publish()
    fed.copy()
    path = fed.scene.make(at=utc())
    assert fed.verify(path) == 0
    of, signer = matching.packages("pkg:pypi/evil"), world.signer("owner")
    matching.stop(world.registry, world.trust, signer, of, "bad", world.now)
    assert world.code("acme/model:1") == 11
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 11


def test_a_waiver_of_afterwards_lets_it_pass(fed: Fed) -> None:
    path, world = fed.scene.make(at=utc()), fed.scene.world
    digest = world.quarantine("acme/data:1")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 11
    wish = Wish("acme/model:1", digest, world.now + timedelta(days=7), "it is not in it")
    waiving.waive(world.registry, world.trust, world.signer("owner"), wish, world.now)
    fed.feed.publish()
    fed.copy()
    verdict = fed.scene.verify(path, max_age=QUARTER, now=utc())
    assert any("WAIVED" in line for line in verdict.warnings)
    assert fed.verify(path, now=utc() + timedelta(days=8), age=timedelta(days=9)) != 0


def test_the_policy_of_the_publisher_is_beside_it(fed: Fed) -> None:
    home = fed.feed.world.home
    home.path.mkdir(exist_ok=True)
    home.configuration.write_text("policy: starter\n")
    fed.feed.publish()
    (key,) = [key for key in fed.feed.store.keys(FOLDER) if key.endswith(".policy.yaml")]
    assert fed.feed.store.read(key) == SHIPPED["starter"]
    fed.copy()
    assert fed.verify(fed.scene.make(at=utc())) == 0


def test_a_quarantine_of_another_thing_does_not(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    fed.scene.world.quarantine("acme/other:1")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 0


def test_without_the_files_what_came_along_counts_as_long_as_it_is_new(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    shutil.rmtree(fed.mirror)
    assert fed.verify(path) == 0
    assert fed.verify(path, timedelta(hours=2), now=utc() + timedelta(minutes=20)) == 14
    with pytest.raises(Undecided, match="timestamp"):
        fed.scene.verify(path, max_age=timedelta(0), now=utc() + timedelta(seconds=2))


def test_what_came_along_does_not_go_behind_what_was_seen(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    fed.scene.world.push("acme/new:1")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 0
    shutil.rmtree(fed.mirror)
    assert fed.verify(path) == 14


def test_a_machine_without_a_pin_cannot_tell(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    nowhere = Home(fed.scene.folder / "nowhere")
    assert fed.verify(path, home=nowhere) == 14
    assert fed.verify(path, None, home=nowhere) == 0


def test_a_feed_that_ended_or_is_withheld(fed: Fed) -> None:
    shutil.rmtree(fed.scene.world.home.feeds)  # the maker knows of no feed
    path = fed.scene.make(at=utc())
    assert parse(path.read_bytes()).said.of(Role.FEED) == []
    assert fed.verify(path) == 0
    shutil.rmtree(fed.mirror)
    assert fed.verify(path) == 14
    fed.mirror.mkdir()
    assert fed.verify(path) == 14


def test_a_feed_that_is_harmed(fed: Fed) -> None:
    shutil.rmtree(fed.scene.world.home.feeds)
    path = fed.scene.make(at=utc())
    for junk in (b"{}", b""):
        (fed.mirror / "timestamp.json").write_bytes(junk)
        assert fed.verify(path) == 14
    fed.copy()
    next(fed.mirror.glob("*.snapshot.json")).unlink()
    assert fed.verify(path) == 14


def test_a_feed_of_another_root(fed: Fed, tmp_path: Path) -> None:
    path = fed.scene.make(at=utc())
    (tmp_path / "other").mkdir()
    other = FeedScene(tmp_path / "other")
    pinning.pin(fed.scene.gate, fed.feed.store.location, str(fed.mirror), other.root)
    assert fed.verify(path) == 14


def test_a_policy_asks_and_glass_may_be_broken(fed: Fed) -> None:
    shutil.rmtree(fed.scene.world.home.feeds)
    asks: Policy = policy(HEAD.replace(b"rules:", b"max_age: 15m\nstale_ok: true\nrules:") + RULE)
    path = fed.scene.make(at=utc())
    assert fed.verify(path, None, policy=asks) == 0
    shutil.rmtree(fed.mirror)
    assert fed.verify(path, None, policy=asks) == 14
    assert fed.verify(path, None, policy=asks, stale_ok="the mirror burns") == 0
    assert fed.verify(path, stale_ok="not allowed here") == 14


def test_a_ledger_that_is_another_speaks_against_it(fed: Fed) -> None:
    """The feed names the very entry that the dossier was made at, with another digest."""
    path = fed.scene.make(at=utc())
    content = container.read(path)
    wrong = replace(content, said=replace(content.said, entry=content.artifact))
    status = fed.feed.fetch("third")
    assert standing.contradiction(content, status) is None
    assert standing.contradiction(wrong, status) is not None


def test_what_was_remembered_and_cannot_be_read(fed: Fed) -> None:
    path = fed.scene.make(at=utc())
    fed.scene.world.quarantine("acme/other:1")
    fed.feed.publish()
    fed.copy()
    assert fed.verify(path) == 0
    pin = pinning.pinned(fed.scene.gate, fed.feed.store.location)
    (pin.folder / "seen-custody.json").write_bytes(b"{")
    with pytest.raises(Undecided):
        fed.scene.verify(path, now=utc())
