"""A bucket that lost its ledger, and a machine that lost its catalogue: put back from a clone."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.opening import store_at
from stemma_registry.config import Home
from stemma_registry.gitledger.exporting import export
from stemma_registry.gitledger.restoring import restore
from stemma_registry.gitledger.verifying import verify
from stemma_registry.gitrepo.repository import Repository
from tests import seaweed
from tests.world import World


def test_put_back_into_a_bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in seaweed.shared().environment().items():
        monkeypatch.setenv(name, value)
    place = f"s3://{seaweed.shared_bucket()}/ledger-{secrets.token_hex(4)}"
    world = World(tmp_path, store_at(f"{place}/a", Home(tmp_path / "home"), cached=False))
    world.push("demo/base:1")
    world.push("demo/child:1", None, "derived-from=demo/base:1")
    world.quarantine("demo/base:1")
    done = export(world.store, world.home, world.trust, tmp_path / "a")
    other = store_at(f"{place}/b", world.home, cached=False)  # has the blobs, and no ledger
    for digest in world.store.blobs():
        put_bytes(other, b"".join(world.store.chunks(digest)))
    with Repository.open(tmp_path / "a") as repository:
        report = verify(repository, world.home, world.trust, other.location, world.now)
        assert restore(other, repository, world.trust, report).blobs == 0
    again = export(other, world.home, world.trust, tmp_path / "b")
    assert (again.commit, again.checkpoint) == (done.commit, done.checkpoint)
    world.store = other
    world.rebuild()
    assert world.code("demo/child:1") == 11
