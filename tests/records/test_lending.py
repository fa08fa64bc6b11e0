"""A blob of a local store is read where it is, while it is verified; else it is copied."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.manifest import Entry, Manifest
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.blobs.lending import lent
from stemma_registry.blobs.local import LocalStore, blob_parts
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import Damaged
from stemma_registry.records.building import Builder, Wish
from stemma_registry.records.children import children
from stemma_registry.records.keys import NO_KEY
from tests.records.writing import WRITERS

DATA = WRITERS["f.jsonl"]([{"id": number, "text": f"record {number}"} for number in range(50)])


def damage(store: LocalStore, blob: Digest) -> None:
    path = store.root.joinpath(*blob_parts(blob))
    path.chmod(0o644)
    path.write_bytes(DATA.replace(b"record 7", b"record 8"))


def cannot_link(*_: Any, **__: Any) -> None:
    raise OSError(errno.EXDEV, "another file system")


def test_what_is_lent_is_verified_and_gone_behind_the_block(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    store, path = LocalStore(tmp_path / "store"), tmp_path / "second"
    blob = put_bytes(store, DATA)
    with lent(store, blob, path) as there:
        assert there == path
        assert path.read_bytes() == DATA
    assert not path.exists()
    damage(store, blob)
    with pytest.raises(Damaged), lent(store, blob, path):
        raise ValueError("what was made of wrong bytes")
    assert not path.exists()


def test_what_cannot_be_lent_is_copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "store").mkdir()
    local, path = LocalStore(tmp_path / "store"), tmp_path / "second"
    blob = put_bytes(local, DATA)
    other: Store = MemoryStore()
    with lent(other, put_bytes(other, DATA), path) as there:
        assert there is None
    with lent(local, Digest.of(b"nothing"), path) as there:
        assert there is None
    inside = local.root.joinpath(*blob_parts(blob))
    inside.rename(tmp_path / "outside")
    inside.symlink_to(tmp_path / "outside")
    with lent(local, blob, path) as there:
        assert there is None
    inside.unlink()
    (tmp_path / "outside").rename(inside)
    monkeypatch.setattr(os, "link", cannot_link)
    with lent(local, blob, path) as there:
        assert there is None
    assert not path.exists()


def test_an_index_is_the_same_of_a_copy_and_none_of_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    store = LocalStore(tmp_path / "store")
    blob = put_bytes(store, DATA)
    manifest = Manifest.of([Entry("x.jsonl", len(DATA), blob)])
    with children(1) as some:
        builder = Builder(store, tmp_path, some, Wish(NO_KEY))
        found = builder.build(manifest, {})
        with monkeypatch.context() as patch:
            patch.setattr(os, "link", cannot_link)
            assert builder.build(manifest, {}).shards == found.shards
        assert found.shards[0].records == 50
        damage(store, blob)
        (skipped,) = builder.build(manifest, {}).skipped
    assert skipped.reason.startswith("its bytes cannot be had: ")
    assert not list(tmp_path.glob("*.shard"))
