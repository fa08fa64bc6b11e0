"""Processes that start at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.faults.scene import Scene
from tests.zygote import Child, Finished

Argv = tuple[str, ...]


def line_up(scene: Scene, commands: Sequence[Argv], homes: Sequence[Path] = ()) -> list[Child]:
    """A process for each command, waiting at its gate. With `homes`, they take turns in them."""
    children = []
    for i, argv in enumerate(commands):
        seat = replace(scene.seat, home=homes[i % len(homes)]) if homes else scene.seat
        children.append(scene.zygote.start(seat, *argv, gate=True))
    return children


def race(scene: Scene, commands: Sequence[Argv], homes: Sequence[Path] = ()) -> list[Finished]:
    """Run all commands at once; how each ended, in order."""
    children = line_up(scene, commands, homes)
    for child in children:
        child.go()
    return [child.wait() for child in children]


def push(scene: Scene, name: str, content: bytes, *more: str) -> Argv:
    """A push of a fresh directory with one file of its own and one that all share."""
    folder = f"push-{len(list(scene.work.glob('push-*')))}"
    scene.write(f"work/{folder}", {"own.txt": content, "shared/licence.txt": b"the same for all\n"})
    return ("push", folder, name, "--kind", "dataset", "--json", *more)


def users(scene: Scene, count: int) -> list[Path]:
    """Homes of `count` users, each with a key of their own; all trust all."""
    homes = [scene.folder / f"user{i}" for i in range(count)]
    trust = scene.seat.home / "trust.yaml"
    for home in homes:
        mine = {"STEMMA_HOME": str(home)}
        scene.run("key", "new", environment=mine).expect(0)
        added = ("trust", "add", home / "key.pub", "--principal", home.name, "--trust", trust)
        scene.run(*added).expect(0)
    for home in homes:
        (home / "trust.yaml").write_bytes(trust.read_bytes())
    return homes


def assert_settled(scene: Scene, entries: int | None = None) -> None:
    """Afterwards: the registry is whole, a rebuild changes no answer, nothing lies about."""
    report = scene.assert_whole()
    if entries is not None:
        assert report["entries"] == entries
    questions: list[Argv] = [("list", "--json"), ("log", "--json"), ("trace", "data/raw:1")]
    before = [scene.run(*argv).expect(0).out for argv in questions]
    scene.run("rebuild").expect(0)
    assert [scene.run(*argv).expect(0).out for argv in questions] == before
    assert scene.temporary() == []
