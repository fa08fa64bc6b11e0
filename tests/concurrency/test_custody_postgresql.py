"""Quarantine beside pushes, by processes that share a catalogue on a real PostgreSQL server."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from tests import postgres
from tests.concurrency.race import Argv, push, race
from tests.faults.scene import QUARANTINE, Scene
from tests.zygote import Seat


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
