"""Readers beside writers, step by step: a writer always comes at the worst moment.

What one process does in the middle of another is played here by a hook on the
store, at the exact moment; tests/concurrency does it with real processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_attestations.errors import Quarantined
from stemma_registry import gate
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.errors import LedgerBroken, NameTaken
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import entry_key
from stemma_registry.registry import Registry, current, snapshot
from tests.ledger.simulator import FaultyStore
from tests.world import World


class Busy:
    """Two processes of one user on one registry: `reader` and `writer` share store and home.

    The `pending` pushes of the writer happen right after the reader found the
    end of the ledger, and so do the next `rebuilds` of the reader's catalogue,
    each of which has come as far as entry `rebuilt_to`.
    """

    def __init__(self, folder: Path) -> None:
        self.catalogue_path = folder / "reader" / "catalogue.sqlite3"
        self.inner = MemoryStore()
        (folder / "writer").mkdir()
        (folder / "reader").mkdir()
        self.writer = World(folder / "writer", self.inner)
        self.store = FaultyStore(self.inner, after_read=self._after_read)
        self.pending: list[str] = []
        self.rebuilds, self.rebuilt_to = 0, -1
        seat = World.__new__(World)
        seat.store, seat.home = self.store, self.writer.home
        seat.catalogue_path = self.catalogue_path
        self.registry: Registry = seat._open()

    def _after_read(self, key: str) -> None:
        if self.pending and key == entry_key(self.length):
            names, self.pending = self.pending, []
            for name in names:
                self.writer.push(name)
        if self.rebuilds and key == entry_key(self.length):
            self.rebuilds -= 1
            self._rebuild(self.rebuilt_to)

    def _rebuild(self, last: int) -> None:
        """Another process rebuilds the reader's catalogue, and has come to entry `last`."""
        so_far = MemoryStore()
        so_far.blob_bytes = self.inner.blob_bytes
        so_far.objects = {entry_key(n): self.inner.objects[entry_key(n)] for n in range(last + 1)}
        catalogue = Catalogue.at(self.catalogue_path, so_far)
        catalogue.empty()
        catalogue.catch_up()
        catalogue.close()

    @property
    def length(self) -> int:
        """How many entries there are."""
        n = 0
        while entry_key(n) in self.inner.objects:
            n += 1
        return n


@pytest.fixture
def busy(tmp_path: Path) -> Busy:
    return Busy(tmp_path)


@pytest.mark.parametrize("pushes", [1, 2, 3])
def test_a_push_while_a_reader_catches_up_is_no_rewind(busy: Busy, pushes: int) -> None:
    busy.writer.push("data/first:1")
    busy.pending = [f"data/meanwhile{i}:1" for i in range(pushes)]
    head = current(busy.registry, busy.writer.trust)
    assert not busy.pending, "the writer came in between"
    assert head.n >= 1
    assert current(busy.registry, busy.writer.trust).n == 1 + pushes


@pytest.mark.parametrize("pushes", [1, 2, 3])
def test_pushes_while_an_audit_runs_are_no_findings(busy: Busy, pushes: int) -> None:
    busy.writer.push("data/first:1")
    busy.pending = [f"data/meanwhile{i}:1" for i in range(pushes)]
    report = audit(busy.store, busy.writer.home, busy.writer.trust, read_data=True)
    assert not busy.pending, "the writer came in between"
    assert report.findings == []


def test_what_a_home_has_seen_never_goes_down(busy: Busy) -> None:
    """A reader that stands at entry 1 finishes after one that has seen entry 3."""
    busy.writer.push("data/first:1")
    busy.pending = ["data/second:1", "data/third:1"]
    assert current(busy.registry, busy.writer.trust).n == 1
    for n in (2, 3):  # the store goes back to what the reader's own catalogue has seen
        del busy.inner.objects[entry_key(n)]
    del busy.inner.objects[CHECKPOINT]  # only the home is left to know better
    with pytest.raises(LedgerBroken, match="entry 3 was seen before: it was rewound"):
        current(busy.registry, busy.writer.trust)


@pytest.mark.parametrize("last", [-1, 0, 1])
def test_a_rebuild_between_catching_up_and_asking_hides_no_quarantine(
    busy: Busy, last: int
) -> None:
    """The reader has caught up; before it asks, somebody empties the catalogue under it."""
    world = busy.writer
    world.push("data/bad:1")  # entry 1; the quarantine is entry 2
    world.quarantine("data/bad:1")
    current(busy.registry, world.trust)
    busy.rebuilds, busy.rebuilt_to = 1, last
    with (
        pytest.raises(Quarantined),
        snapshot(busy.registry, world.trust, world.now) as view,
    ):
        gate.verify_reference(busy.registry, view, "data/bad:1")
    assert busy.rebuilds == 0, "the rebuild came in between"


def test_a_rebuild_between_catching_up_and_deciding_frees_no_name(busy: Busy) -> None:
    world = busy.writer
    world.push("data/taken:1", {"a": b"first"})
    current(busy.registry, world.trust)
    busy.rebuilds, busy.rebuilt_to = 6, 0  # again and again, while the push looks and decides
    world.registry = busy.registry
    with pytest.raises(NameTaken):
        world.push("data/taken:1", {"a": b"second"})
    assert busy.rebuilds < 6, "a rebuild came in between"
    assert busy.length == 2
