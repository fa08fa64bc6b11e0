"""Quarantine beside pushes, by processes that share a catalogue on a real PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests import postgres
from tests.concurrency.race import Argv, push, race
from tests.faults.scene import QUARANTINE, Scene
from tests.zygote import WHOLE, Seat


@dataclass(frozen=True)
class ServedSeat(Seat):
    """A seat whose catalogue a server keeps."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, "STEMMA_DATABASE_URL": postgres.url()}


class Served(Scene):
    """The scene, from such a seat."""

    @property
    def seat(self) -> ServedSeat:
        plain = super().seat
        return ServedSeat(plain.home, plain.registry, plain.cwd)


@pytest.fixture
def served(scene: Scene) -> Served:
    """A copy of the scene, its catalogue on the server up to date."""
    made = Served(scene.folder, scene.zygote)
    made.run("list").expect(0)
    assert made.run("db", "current").out.strip()
    return made


def child(scene: Scene, name: str, parent: str) -> Argv:
    return push(scene, name, name.encode(), "--input", f"filtered-from={parent}")


@pytest.mark.parametrize("place", [0, 3, 6], ids=["first", "middle", "last"])
def test_edges_before_while_and_after_end_blocked(served: Served, place: int) -> None:
    served.run(*child(served, "data/before:1", "data/raw:1")).expect(0)
    commands = [child(served, f"data/d{i}:1", "data/raw:1") for i in range(4)]
    commands += [child(served, f"data/g{i}:1", "data/before:1") for i in range(2)]
    commands.insert(place, QUARANTINE)
    for done in race(served, [*commands, push(served, "data/clean:1", b"clean")]):
        done.expect(0)
    served.run(*child(served, "data/after:1", "data/g0:1")).expect(0)
    late = [f"data/d{i}:1" for i in range(4)] + ["data/g0:1", "data/g1:1"]
    for name in ("data/raw:1", "models/m:1", "data/before:1", *late, "data/after:1"):
        assert served.verify(name) == 11, name
    assert served.verify("data/clean:1") == 0


class Reading(Served):
    """The same, from a seat that finds what reads records."""

    @property
    def seat(self) -> ServedSeat:
        plain = super().seat
        return ReadingSeat(plain.home, plain.registry, plain.cwd)


@dataclass(frozen=True)
class ReadingSeat(ServedSeat):
    """A seat of that kind."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, WHOLE: "1"}


LEAKED = b"to whom it may concern\n"
RECORDS: Argv = ("quarantine", "record:leaked.txt", "--reason", "a leak", "--json")


@pytest.mark.parametrize("place", [0, 5], ids=["first", "last"])
def test_records_before_while_and_after_end_blocked(served: Served, place: int) -> None:
    """Datasets, their indexes and edges from them, each by a process, beside the quarantine."""
    reading = Reading(served.folder, served.zygote)
    served.write("work", {"leaked.txt": LEAKED})

    def data(name: str, index: str = "keyed") -> Argv:
        return push(served, name, LEAKED + name.encode(), "--record-index", index)

    for name in ("data/before:1", "data/asked:1"):
        served.run(*data(name, "off")).expect(0)
    reading.run("index", "data/before:1").expect(0)
    searching = [data("data/d0:1"), data("data/d1:1"), ("index", "data/asked:1", "--json")]
    edges = [child(served, f"data/of-{one}:1", f"data/{one}:1") for one in ("before", "asked")]
    commands = [*searching, *edges]
    commands.insert(place, RECORDS)
    for done in race(reading, commands):
        done.expect(0)
    served.run(*child(served, "data/of-d0:1", "data/d0:1")).expect(0)
    reading.run(*data("data/after:1")).expect(0)
    reading.run(*push(served, "data/clean:1", b"clean", "--record-index", "keyed")).expect(0)
    for name in ("before", "asked", "d0", "d1", "after", "of-before", "of-asked", "of-d0"):
        assert served.verify(f"data/{name}:1") == 11, name
    assert served.verify("data/clean:1") == 0
