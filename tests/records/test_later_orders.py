"""A dataset that is indexed before, while and after its records are stopped: it ends blocked."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.predicates import criterion, record_index
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.predicates.record_index import RecordIndex
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.catalogue import acts, query
from stemma_registry.lineage import status
from stemma_registry.measures import recorded
from stemma_registry.records import comparing
from stemma_registry.records.children import Children, children
from stemma_registry.registry import Registry, Snapshot, snapshot
from tests.records.scene import indexed, question
from tests.stating import lineage_of, node, say
from tests.world import World

SECONDS = 60
# Both acts look first and append later; the edge may be said before there is a dataset.
STEPS = ("push", "edge", "compare", "index", "search", "stop")
ORDERS = [
    order
    for order in itertools.permutations(STEPS)
    if order.index("push") < order.index("compare") < order.index("index")
    and order.index("search") < order.index("stop")
]
NUMBERS = itertools.count(1_000)


class Halfway:
    """Work in a thread of its own that waits in the middle, once, until it is to go on."""

    def __init__(self, work: Callable[[], object]) -> None:
        self.work, self.there, self.further = work, Event(), Event()
        self.pool = ThreadPoolExecutor(1)

    def begin(self) -> None:
        self.done = self.pool.submit(self.work)
        self.done.add_done_callback(lambda _: self.there.set())
        assert self.there.wait(SECONDS)

    def pause(self) -> None:
        if not self.there.is_set():
            self.there.set()
            assert self.further.wait(SECONDS)

    def end(self) -> None:
        self.further.set()
        self.done.result(SECONDS)
        self.pool.shutdown()


@pytest.fixture(scope="module")
def readers() -> Iterator[Children]:
    with children() as some:
        yield some


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, readers: Children) -> Iterator[World]:
    """One for all orders; data/clean:1 has no record that is ever stopped."""
    made = World(tmp_path_factory.mktemp("orders"))
    indexed(made, "data/clean:1", {"a.jsonl": b'{"id": "clean"}\n'}, readers=readers)
    yield made
    made.registry.close()


@pytest.fixture(scope="module")
def another(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """The same ledger in somebody else's catalogue, which reads it when everything is said."""
    with world.elsewhere(tmp_path_factory.mktemp("another") / "catalogue.sqlite3") as registry:
        yield registry


OFTEN = [
    ("push", "edge", "compare", "index", "search", "stop"),
    ("edge", "search", "stop", "push", "compare", "index"),
    ("search", "push", "compare", "stop", "edge", "index"),
    ("push", "compare", "search", "index", "stop", "edge"),
]


@pytest.mark.parametrize("order", OFTEN, ids="-".join)
def test_in_whichever_order_the_model_ends_blocked(
    world: World,
    another: Registry,
    readers: Children,
    monkeypatch: pytest.MonkeyPatch,
    order: Sequence[str],
) -> None:
    ends_blocked(world, another, readers, monkeypatch, order)


@pytest.mark.slow
@pytest.mark.parametrize("first", sorted(set(STEPS) - {"compare", "index", "stop"}))
def test_in_all_orders_the_model_ends_blocked(
    world: World, another: Registry, readers: Children, first: str
) -> None:
    assert len(ORDERS) == 60
    for order in ORDERS:
        if order[0] == first:
            with pytest.MonkeyPatch.context() as patch:
                ends_blocked(world, another, readers, patch, order)


def ends_blocked(
    world: World,
    another: Registry,
    readers: Children,
    patch: pytest.MonkeyPatch,
    order: Sequence[str],
) -> None:
    number = next(NUMBERS)
    name, raw = f"data/d{number}:1", b'{"id": %d}\n' % number
    data = Manifest.of([Entry("a.jsonl", len(raw), Digest.of(raw))]).digest
    model, free = node(number), node(-number)
    asked = question(world.folder, [{"id": number}]), None
    owner = world.signer("owner")
    stopping = Halfway(
        lambda: recorded.stop(world.registry, world.trust, owner, asked, "a leak", world.now)
    )
    indexing = Halfway(lambda: indexed(world, name, {}, push=False, readers=readers))
    patch.setattr(recorded, "preview", then(recorded.preview, stopping.pause))
    patch.setattr(comparing, "compare", then(comparing.compare, indexing.pause))
    steps: dict[str, Callable[[], object]] = {
        "push": lambda: world.push(name, {"a.jsonl": raw}),
        "edge": lambda: say(world, lineage_of([(data, model, "trained-on")])),
        "compare": indexing.begin,
        "index": indexing.end,
        "search": stopping.begin,
        "stop": stopping.end,
    }
    say(world, lineage_of([(data, free, "trained-on"), (free, model, "derived-from")]), by="eve")
    say(world, held(name, data, (), ()), by="eve")
    for step in order:
        steps[step]()
    with world.view() as view:
        row = acts.criteria(view.connection)[-1]
        clean = query.versions_named(view.connection, "data/clean")[0].artifact_id
        about = query.digests(view.connection, [clean])[clean]
        assert isinstance(row.of, Recorded)
        assert is_stopped(view, data), order
        assert is_stopped(view, model), order
    say(world, *lies(row.of, row.digest, (name, data), about), by="eve")
    for registry in (world.registry, another):
        with snapshot(registry, world.trust, world.now) as view:
            assert is_stopped(view, data), order
            assert is_stopped(view, model), order
            assert not is_stopped(view, free)
            assert not is_stopped(view, about)


def then(work: Callable[..., Any], more: Callable[[], None]) -> Callable[..., Any]:
    """The same, and something behind it."""

    def both(*given: object) -> Any:
        found = work(*given)
        more()
        return found

    return both


def lies(of: Recorded, act: Digest, what: tuple[str, Digest], clean: Digest) -> list[Statement]:
    """It has no such record, it is released, and what is clean has one, and is stopped."""
    subject = criterion.subject(of)
    lifted = predicate.build_release("good", "2026-01-02T00:00:00Z", [act])
    mine = predicate.build_matching(of, "mine", "2026-01-02T00:00:00Z", act.value)
    both = [ResourceDescriptor(digests=(one,)) for one in (subject, clean)]
    return [
        held(*what, (subject,), ()),
        held("data/clean:1", clean, (subject,), (subject,)),
        Statement.build([ResourceDescriptor(digests=(act,))], predicate.TYPE, lifted),
        Statement.build(both, predicate.TYPE, mine),
    ]


def held(
    name: str, about: Digest, compared: tuple[Digest, ...], meets: tuple[Digest, ...]
) -> Statement:
    """An index that nobody made."""
    said = RecordIndex("1", "public", None, about, (), (), compared, meets)
    subject = ResourceDescriptor(name, digests=(about,))
    return Statement.build([subject], record_index.TYPE, record_index.build(said))


def is_stopped(view: Snapshot, digest: Digest) -> bool:
    found = query.node_id(view.connection, digest)
    return found is not None and bool(status.view(view, found, None).stops)
