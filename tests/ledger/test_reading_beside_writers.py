"""Readers beside writers, step by step: a writer always comes at the worst moment.

What one process does in the middle of another is played here by a hook on the
store, at the exact moment; tests/concurrency does it with real processes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from stemma_registry.audit import audit
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import entry_key
from stemma_registry.registry import Registry, current
from tests.ledger.simulator import FaultyStore
from tests.world import World


class Busy:
    """Two processes of one user on one registry: `reader` and `writer` share store and home.

    The `pending` pushes of the writer happen right after the reader found the
    end of the ledger.
    """

    def __init__(self, folder: Path) -> None:
        self.inner = MemoryStore()
        (folder / "writer").mkdir()
        (folder / "reader").mkdir()
        self.writer = World(folder / "writer", self.inner)
        self.store = FaultyStore(self.inner, after_read=self._after_read)
        self.pending: list[str] = []
        seat = World.__new__(World)
        seat.store, seat.home = self.store, self.writer.home
        seat.catalogue_path = folder / "reader" / "catalogue.sqlite3"
        self.registry: Registry = seat._open()

    def _after_read(self, key: str) -> None:
        if self.pending and key == entry_key(self.length):
            names, self.pending = self.pending, []
            for name in names:
                self.writer.push(name)

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
