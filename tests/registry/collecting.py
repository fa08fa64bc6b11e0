"""What the tests of collecting share: a clock, a store with hooks, and short verbs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.care.collect import Collector, Done, Plan, collect, plan
from stemma_registry.catalogue.collection import (
    leaving,
)
from stemma_registry.ledger.entry import (
    Event,
    LedgerEntry,
)
from stemma_registry.ledger.log import Head, append, entries_after
from stemma_registry.registry import Registry
from tests.world import World

NOW, NEVER = timedelta(), timedelta(days=7)


class Killed(BaseException):
    """The process ends here."""


class Clock:
    """A clock that moves when somebody waits, or when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.waited = 0.0

    def elapsed(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.waited += seconds


class Hooked(MemoryStore):
    """Calls `before_create` once before an entry is created, `on_delete` before each deletion."""

    def __init__(self) -> None:
        super().__init__()
        self.before_create: Callable[[], object] | None = None
        self.on_delete: Callable[[Digest], object] | None = None

    def create(self, key: str, data: bytes) -> None:
        if self.before_create is not None:
            hook, self.before_create = self.before_create, None
            hook()
        super().create(key, data)

    def delete(self, digest: Digest) -> None:
        if self.on_delete is not None:
            self.on_delete(digest)
        super().delete(digest)


def collector(world: World, registry: Registry | None = None) -> Collector:
    """The owner, a day later: entries carry the time of this machine."""
    later = world.now + timedelta(days=1)
    return Collector(registry or world.registry, world.trust, world.signer("owner"), later)


def gc(world: World, grace: timedelta = NOW, registry: Registry | None = None) -> Done:
    """Collect."""
    return collect(collector(world, registry), grace)


def planned(world: World, grace: timedelta = NOW) -> Plan:
    """What would be collected."""
    with collector(world).view() as view:
        return plan(world.store, view, grace)


def surplus(world: World, data: bytes = b"left behind") -> Digest:
    return put_bytes(world.store, data)


def state_of(world: World, blob: Digest) -> str | None:
    with world.view() as view:
        row = leaving(view.connection, [blob]).get(blob)
    return row.state if row else None


def entries(world: World) -> list[LedgerEntry]:
    return list(entries_after(world.store, Head()))


def events(world: World) -> list[str]:
    return [event.type for entry in entries(world) for event in entry.events]


def say(world: World, *said: Event) -> None:
    """Append whatever a writer that follows no protocol would."""
    head = world.registry.catalogue.catch_up()
    append(world.store, head, lambda: said, world.registry.catalogue.catch_up)


def is_whole(world: World) -> bool:
    return audit(world.store, world.home, world.trust, read_data=True).whole
