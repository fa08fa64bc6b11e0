"""A scene for the model of collecting: actors over one store, stepped one call at a time.

The actors run the real code, each in a thread of its own with a catalogue of
its own. Every call of the store waits until the schedule lets it through, so
that exactly one actor runs at a time. After every entry and every deletion, the
store looks whether each blob that an entry refers to is there.
"""

from __future__ import annotations

import math
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Manifest
from stemma_attestations.names import NameVersion
from stemma_registry import custody, publish
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care import leases
from stemma_registry.care.collect import Collector, collect
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import LIMITS, Home
from stemma_registry.ledger import segments
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.publish import Push
from stemma_registry.registry import Registry
from tests.world import World

ACTORS = ("push a", "push b", "quarantine", "gc", "gc too")
CLOCK = len(ACTORS)
SHARED, ALONE = b"the weights of both", b"the config of one"
FILES = {"push a": {"w.bin": SHARED, "c.json": ALONE}, "push b": {"w.bin": SHARED}}
LEASE, START = LIMITS.collect_lease_seconds, LIMITS.collect_start_seconds


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Actor:
    """A thread that runs when it is let."""

    name: str
    work: Callable[[], object]
    scene: Scene
    go: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    wake: float = 0.0
    deadline: float | None = None  # by when a deletion that was started is done
    kill_in: int | None = None
    done: bool = False
    failure: BaseException | None = None

    def run(self) -> None:
        self.go.acquire()
        try:
            self.work()
        except Killed:
            pass
        except BaseException as error:  # noqa: BLE001 - judged by the scheduler
            self.failure = error
        finally:
            self.done = True
            self.scene.back.release()

    def step(self) -> None:
        """Wait for the next turn; die there if that was chosen."""
        self.scene.back.release()
        self.go.acquire()
        if self.kill_in is not None:
            self.kill_in -= 1
            if self.kill_in <= 0:
                raise Killed


class Stepped(MemoryStore):
    """A store whose every call is a step of the actor that makes it, and that watches."""

    def __init__(self) -> None:
        super().__init__()
        self.current: Actor | None = None
        self.needed: set[Digest] = set()
        self.lost: list[str] = []

    @property
    def location(self) -> str:
        return "memory:model"

    def step(self) -> None:
        if self.current is not None:
            self.current.step()

    def put(self, source: BinaryIO, digest: Digest, size: int) -> bool:
        self.step()
        return super().put(source, digest, size)

    def receive(self, source: BinaryIO, size: int, progress: Any = None, tap: Any = None) -> Digest:
        self.step()
        return super().receive(source, size, progress, tap)

    def size(self, digest: Digest) -> int | None:
        self.step()
        return super().size(digest)

    def chunks(self, digest: Digest) -> Iterator[bytes]:
        self.step()
        yield from super().chunks(digest)

    def delete(self, digest: Digest) -> None:
        actor = self.current
        if actor is not None:
            actor.deadline = actor.scene.now + LEASE - START
        self.step()
        if actor is not None:
            actor.deadline = None
        super().delete(digest)
        self.look(f"deleted {digest.short}")

    def create(self, key: str, data: bytes) -> None:
        self.step()
        super().create(key, data)
        number = key.removeprefix("ledger/").removesuffix(".json").replace("/", "")
        entry = LedgerEntry.parse(data, int(number))
        for event in entry.events:
            self.needed.update(event.digests)
            for digest in event.artifacts:
                if digest in self.blob_bytes:
                    manifest = Manifest.parse(self.blob_bytes[digest])
                    self.needed.update(item.sha256 for item in manifest.entries)
        self.look(f"entry {entry.n} ({', '.join(event.type for event in entry.events)})")

    def read(self, key: str) -> bytes:
        self.step()
        return super().read(key)

    def look(self, when: str) -> None:
        """Note what is referred to and not there."""
        gone = self.needed - self.blob_bytes.keys()
        if gone:
            self.lost.append(f"{when}: {', '.join(sorted(d.short for d in gone))} not there")


class Scene:
    """One run: a registry with something in it, and actors that have not begun."""

    def __init__(self, template: Template, folder: Path, condemned: bool) -> None:
        self.now = 1000.0
        self.back = threading.Semaphore(0)
        self.template, self.folder = template, folder
        self.store = Stepped()
        self.store.blob_bytes.update(template.store.blob_bytes)
        self.store.needed.update(template.store.blob_bytes)
        self.store.objects.update(template.store.objects)
        put_bytes(self.store, SHARED)  # half a push, from long ago
        if condemned:
            collect(self.collector("before"), timedelta(days=7))
        self.actors = [Actor(name, self._work(name), self) for name in ACTORS]

    def registry(self, name: str) -> Registry:
        home = self.folder / name.replace(" ", "-")
        shutil.copytree(self.template.home, home)
        catalogue = Catalogue.open(home / "catalogue.sqlite3", self.store)
        return Registry(self.store, catalogue, Home(home))

    def collector(self, name: str) -> Collector:
        later = datetime.now(UTC) + timedelta(days=1)
        world = self.template.world
        return Collector(self.registry(name), world.trust, world.signer("owner"), later)

    def _work(self, name: str) -> Callable[[], object]:
        world, now = self.template.world, datetime.now(UTC)
        signer = world.signer("owner")
        if name.startswith("gc"):
            collector = self.collector(name)
            return lambda: [collect(collector, timedelta()) for _ in range(2)]
        registry = self.registry(name)
        if name == "quarantine":
            return lambda: custody.quarantine(
                registry, world.trust, signer, self.template.targets, "bad", now
            )
        root = self.folder / f"{name[-1]}-files"
        root.mkdir()
        for path, data in FILES[name].items():
            (root / path).write_bytes(data)
        job = Push(
            directory=root,
            name=NameVersion.parse(f"acme/{name[-1]}:1"),
            kind="dataset",
            inputs=[],
            parameters={},
            working_directory=root,
            stat_cache=False,
        )
        return lambda: publish.publish(registry, world.trust, signer, job, now)

    def elapsed(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        actor = self.store.current
        if actor is None:
            self.now += seconds
            return
        actor.wake = self.now + seconds
        actor.step()

    def run(self, schedule: Sequence[tuple[int, int]], kills: Sequence[tuple[int, int]]) -> None:
        """Let the actors run as the schedule says, and then each to its end."""
        for number, steps in kills:
            self.actors[number].kill_in = steps
        threads = [threading.Thread(target=a.run, daemon=True) for a in self.actors]
        for thread in threads:
            thread.start()
        for number, count in schedule:
            if number == CLOCK:
                self._advance(self.now + count * LEASE / 40)
                continue
            for _ in range(count):
                if not self._let(self.actors[number]):
                    break
        while not all(actor.done for actor in self.actors):
            moved = [self._let(actor) for actor in self.actors]
            if not any(moved):
                waiting = [a.wake for a in self.actors if not a.done]
                self._advance(min(waiting))
        for thread in threads:
            thread.join(10)
        self.store.current = None

    def _let(self, actor: Actor) -> bool:
        """One step of an actor; False if it cannot take one."""
        if actor.done or actor.wake > self.now:
            return False
        self.store.current = actor
        actor.go.release()
        assert self.back.acquire(timeout=30), f"{actor.name} is stuck"
        return True

    def _advance(self, to: float) -> None:
        for actor in self.actors:
            # What was started is done in time: the one thing that is assumed.
            while actor.deadline is not None and actor.deadline < to and self._let(actor):
                pass
        self.now = max(self.now, to)

    def judge(self) -> None:
        """Nothing was lost, and whoever was not killed came to an end that can be explained."""
        assert not self.store.lost, self.store.lost[0]
        for actor in self.actors:
            assert actor.failure is None, f"{actor.name}: {actor.failure!r}"

    def close(self) -> None:
        for path in self.folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)


class Template:
    """A registry with one artifact, made once; every run starts from a copy of it."""

    def __init__(self, folder: Path) -> None:
        self.store = Stepped()
        self.world = World(folder, self.store)
        self.world.push("acme/base:1", {"a.txt": b"base"})
        with self.world.view():
            pass
        self.targets = self.world.preview("acme/base:1").targets
        self.world.registry.catalogue.close()
        self.home = folder / "template"
        self.home.mkdir()
        shutil.copy(self.world.catalogue_path, self.home / "catalogue.sqlite3")


def play(
    template: Template,
    condemned: bool,
    schedule: Sequence[tuple[int, int]],
    kills: Sequence[tuple[int, int]] = (),
) -> Scene:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        scene = Scene(template, Path(folder), condemned)
        patch.setattr(leases, "elapsed", scene.elapsed)
        patch.setattr(leases, "pause", scene.pause)
        # An actor is one thread: however long a step takes here, it asks for one thing at a time.
        patch.setattr(segments, "FAR", math.inf)
        scene.run(schedule, kills)
        return scene
