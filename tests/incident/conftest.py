"""A small supply chain with something bad in it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from stemma_attestations.names import NameVersion
from stemma_attestations.predicates.deployment import STARTED, Deployment, Spot
from stemma_registry import deploying
from stemma_registry.catalogue import query
from stemma_registry.deploying import Subject
from tests.copies import copied
from tests.world import World


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> World:
    """web -> base -> a, b -> soup; judge was measured with web; other came from forum, as b did."""
    world = World(tmp_path_factory.mktemp("made"))
    world.now = world.now.replace(microsecond=0)
    world.push("data/web:1", {"a.csv": b"a", "b.csv": b"b"})
    world.push("data/forum:1", {"f.csv": b"f"})
    model(world, "models/base:1", "trained-on=data/web:1", parameters={"epochs": "3"})
    model(world, "models/a:1", "fine-tuned-from=models/base:1")
    model(world, "models/b:1", "fine-tuned-from=models/base:1", "trained-on=data/forum:1")
    model(world, "models/soup:1", "merged-from=models/b:1", "merged-from=models/a:1")
    model(world, "models/judge:1", "evaluated-on=data/web:1")
    model(world, "models/other:1", "trained-on=data/forum:1")
    world.registry.close()
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it, for one test to change."""
    world = copied(made, tmp_path)
    yield world
    world.registry.close()


def model(world: World, name: str, *inputs: str, **options: object) -> None:
    world.push(name, {"w": name.encode()}, *inputs, kind="model", **options)  # type: ignore[arg-type]


def runs(world: World, name: str, host: str, by: str = "owner") -> None:
    """Leave word that something runs."""
    with world.view() as view:
        row = query.bindings(view.connection, NameVersion.parse(name))[0]
        digest = query.digests(view.connection, [row.artifact_id])[row.artifact_id]
    day, spot = timedelta(days=1), Spot(host, "help", "prod")
    said = Deployment(
        spot, STARTED, secrets.token_hex(16), world.now, world.now, world.now + day, 3
    )
    signer = world.signer(by)
    deploying.leave(world.registry, world.trust, signer, [Subject(digest, row.name)], said)
