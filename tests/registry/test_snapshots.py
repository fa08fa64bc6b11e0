"""Signed snapshots of the catalogue: taken from who is believed, and never half."""

from __future__ import annotations

import dataclasses
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from sqlalchemy import Table, text

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import checkpoint
from stemma_attestations.predicates import snapshot as predicate
from stemma_attestations.predicates.snapshot import CatalogueSnapshot, Chunk
from stemma_registry.blobs.contract import put_bytes
from stemma_registry.blobs.local import LocalStore
from stemma_registry.catalogue import snapshots, tables
from stemma_registry.catalogue.catalogue import Catalogue
from stemma_registry.config import LIMITS, Limits
from stemma_registry.errors import Refused
from stemma_registry.signing import KeySigner
from stemma_registry.trust import file as trust_file
from tests.world import World

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


class Scene:
    """A registry on disk with a snapshot of it, and a second home that has no catalogue."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "registry"
        self.root.mkdir()
        self.store = LocalStore(self.root)
        self.world = World(folder, self.store)
        self.world.push("acme/a:1")
        self.world.push("acme/b:1", None, "derived-from=acme/a:1")
        self.world.quarantine("acme/a:1")
        self.path = folder / "fresh" / "c.sqlite3"
        self.owner = self.world.signer("owner")

    def write(self) -> CatalogueSnapshot:
        assert snapshots.write(self.world.registry.catalogue, self.world.trust, self.owner, NOW)
        return self.said()

    def said(self) -> CatalogueSnapshot:
        said = snapshots.read(self.store, self.world.trust)
        assert said is not None
        return said

    def place(self, said: CatalogueSnapshot, signer: KeySigner | None = None) -> None:
        """Leave a snapshot that says what it likes."""
        signed = (signer or self.owner).sign(predicate.build(said))
        self.store.replace(snapshots.KEY, signed.raw)

    def adopt(self) -> bool:
        return snapshots.adopt(self.store, self.path, lambda: self.world.trust)

    def fresh(self) -> Catalogue:
        return Catalogue.open(self.path, self.store)


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setattr(snapshots, "LIMITS", Limits(snapshot_entries=2, snapshot_chunk_bytes=8192))
    scene = Scene(tmp_path)
    yield scene
    scene.world.registry.close()


def _columns(table: Table) -> str:
    """All but the mark by which each catalogue is known again."""
    return ", ".join(f'"{column.name}"' for column in table.columns if column.name != "made")


def rows(catalogue: Catalogue) -> dict[str, list[tuple[object, ...]]]:
    """Everything in it but the ids of rows, which follow from the order of projecting."""
    with catalogue.reading() as connection:
        return {
            table.name: sorted(
                (
                    tuple(row)
                    for row in connection.execute(
                        text(f'SELECT {_columns(table)} FROM "{table.name}"')
                    )
                ),
                key=repr,
            )
            for table in tables.metadata.sorted_tables
        }


def rebuilt(scene: Scene) -> Catalogue:
    catalogue = Catalogue.open(scene.path.with_name("rebuilt.sqlite3"), scene.store)
    catalogue.catch_up()
    return catalogue


def test_a_fresh_machine_takes_it_and_says_what_a_rebuilt_catalogue_says(scene: Scene) -> None:
    said = scene.write()
    assert len(said.chunks) > 1
    assert scene.adopt()
    catalogue, other = scene.fresh(), rebuilt(scene)
    with catalogue.reading() as connection:
        assert catalogue.projected(connection).n == said.n  # before anything was projected
    assert rows(catalogue) == rows(other)
    scene.world.push("acme/c:1", None, "derived-from=acme/b:1")  # the tail
    assert catalogue.catch_up() == other.catch_up()
    assert rows(catalogue) == rows(other)
    assert os.listdir(scene.path.parent).count("c.sqlite3.loading") == 0
    catalogue.close()
    other.close()


def test_what_is_appended_after_a_load_has_the_right_tree_root(scene: Scene) -> None:
    scene.write()
    assert scene.adopt()
    catalogue = scene.fresh()
    head, slow = catalogue.catch_up(), rebuilt(scene).catch_up()
    assert head.tree.root == slow.tree.root
    assert head == slow


def test_only_where_there_is_no_catalogue(scene: Scene) -> None:
    scene.write()
    scene.fresh().close()
    assert not scene.adopt()


def test_a_second_snapshot_of_the_same_state_is_not_written(scene: Scene) -> None:
    first = scene.write()
    assert not snapshots.write(scene.world.registry.catalogue, scene.world.trust, scene.owner, NOW)
    scene.world.push("acme/c:1")
    assert scene.write().n > first.n


def test_who_may_not_say_so_writes_none(scene: Scene) -> None:
    scene.world.trust_also("ci", ["acme/*"])
    scene.world.trust_also("notary", ["**"], [checkpoint.TYPE])
    for name in ("stranger", "ci", "notary"):
        with pytest.raises(Refused):
            snapshots.write(
                scene.world.registry.catalogue, scene.world.trust, scene.world.signer(name), NOW
            )
    assert list(scene.store.keys("status/snapshot")) == []


@pytest.mark.parametrize("name", ["stranger", "ci", "notary"])
def test_who_is_not_believed_is_passed_over(scene: Scene, name: str) -> None:
    scene.world.trust_also("ci", ["acme/*"])
    scene.world.trust_also("notary", ["**"], [checkpoint.TYPE])
    scene.place(without_quarantines(scene), scene.world.signer(name))
    assert not scene.adopt()
    assert rows(rebuilt(scene))["status"]


def test_a_tampered_catalogue_is_what_a_believed_signer_could_give(scene: Scene) -> None:
    """The price, as decision 14 states it: so it is shown, not hidden."""
    scene.place(without_quarantines(scene))
    assert scene.adopt()
    assert not rows(scene.fresh())["status"]


def without_quarantines(scene: Scene) -> CatalogueSnapshot:
    """A snapshot from which somebody took the quarantines."""
    said = scene.write()
    file = scene.path.with_name("tampered")
    file.parent.mkdir(exist_ok=True)
    snapshots._fetch(scene.store, file, said)
    with sqlite3.connect(file) as opened:
        opened.execute("DELETE FROM status")
    opened.close()
    return dataclasses.replace(said, chunks=tuple(snapshots._put(scene.store, file)))


def test_a_wrong_signature_is_passed_over(scene: Scene) -> None:
    scene.write()
    bundle = Bundle.parse(scene.store.read(snapshots.KEY))
    signature = bundle.envelope.signatures[0].sig
    other = predicate.build(dataclasses.replace(scene.said(), n=3, peaks=("0" * 64, "1" * 64)))
    forged = Bundle.build(other.raw, signature, scene.owner.public)
    scene.store.replace(snapshots.KEY, forged.raw)
    assert not scene.adopt()
    for raw in (b"", b"{}", b"\xff" * 100):
        scene.store.replace(snapshots.KEY, raw)
        assert not scene.adopt()


def chunk_of(data: bytes, scene: Scene, size: int | None = None) -> Chunk:
    return Chunk(put_bytes(scene.store, data), len(data) if size is None else size)


@pytest.mark.parametrize("case", ["missing", "damaged", "no zstd", "too long", "short", "order"])
def test_wrong_chunks_leave_nothing(scene: Scene, case: str) -> None:
    said = scene.write()
    first, *rest = said.chunks
    packed = b"".join(scene.store.chunks(first.blob))
    if case == "missing":
        scene.store.delete(first.blob)
    elif case == "damaged":
        name = first.blob.value
        file = scene.root / "blobs/sha256" / name[:2] / name[2:]
        os.chmod(file, 0o644)
        file.write_bytes(packed[:-1] + bytes([packed[-1] ^ 1]))
    elif case == "no zstd":
        scene.place(dataclasses.replace(said, chunks=(chunk_of(b"x" * 9, scene), *rest)))
    elif case == "too long":
        bomb = zstandard.ZstdCompressor().compress(bytes(10_000_000))
        scene.place(dataclasses.replace(said, chunks=(chunk_of(bomb, scene, 8192), *rest)))
    elif case == "short":
        scene.place(dataclasses.replace(said, chunks=said.chunks[:-1]))
    else:
        scene.place(dataclasses.replace(said, chunks=(*rest, first)))
    assert not scene.adopt()
    assert os.listdir(scene.path.parent) == ["c.sqlite3.lock"]
    assert rows(scene.fresh())  # a new one, empty


def test_of_another_ledger(scene: Scene, tmp_path: Path) -> None:
    said = scene.write()
    for wrong in (
        dataclasses.replace(said, entry=Digest.of(b"another")),
        dataclasses.replace(said, tree_root=Digest.of(b"another").value),
        dataclasses.replace(said, peaks=tuple("0" * 64 for _ in said.peaks)),
        dataclasses.replace(said, n=said.n + 8, peaks=("0" * 64,) * (said.n + 8).bit_count()),
    ):
        scene.place(wrong)
        assert not scene.adopt()
    other = tmp_path / "other"
    other.mkdir()
    store = LocalStore(other)
    (tmp_path / "w").mkdir()
    World(tmp_path / "w", store)
    scene.place(said)
    store.replace(snapshots.KEY, scene.store.read(snapshots.KEY))
    assert not snapshots.adopt(store, scene.path, lambda: scene.world.trust)


def test_a_statement_that_disagrees_with_its_file(scene: Scene) -> None:
    """The state of the file is of an older entry than the statement says."""
    old = scene.write()
    scene.world.push("acme/c:1")
    new = scene.write()
    scene.place(dataclasses.replace(new, chunks=old.chunks))
    assert not scene.adopt()


@pytest.mark.parametrize("revision", ["0002", "9999"])
def test_of_another_schema(scene: Scene, revision: str) -> None:
    said = scene.write()
    scene.place(dataclasses.replace(said, revision=revision))
    assert not scene.adopt()


def test_a_small_saving_is_not_worth_it(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.write()
    monkeypatch.setattr(snapshots, "LIMITS", LIMITS)
    assert not scene.adopt()


def test_the_blobs_of_the_newest_are_needed(scene: Scene) -> None:
    first = scene.write()
    assert snapshots.snapshot_blobs(scene.store, scene.world.trust) == {
        chunk.blob for chunk in first.chunks
    }
    assert snapshots.snapshot_blobs(scene.store, trust_file.NOBODY) == set()


LOADER = """
import os, sys, time
from pathlib import Path
from stemma_registry.trust import file as trust_file
from stemma_registry.blobs.local import LocalStore
from stemma_registry.catalogue import snapshots
from stemma_registry.config import Limits
snapshots.LIMITS = Limits(snapshot_entries=2)
store, path, trust = LocalStore(Path(sys.argv[1])), Path(sys.argv[2]), Path(sys.argv[3])
piece = snapshots._piece
def slow(*arguments):
    piece(*arguments)
    os.write(1, b"piece" + bytes([10]))
    time.sleep(float(sys.argv[4]))
snapshots._piece = slow
print(snapshots.adopt(store, path, lambda: trust_file.load(trust, required=True)), flush=True)
"""


def loader(scene: Scene, pause: float) -> subprocess.Popen[str]:
    arguments = [scene.root, scene.path, scene.world.trust_path, pause]
    return subprocess.Popen(
        [sys.executable, "-c", LOADER, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


def test_killed_while_loading(scene: Scene) -> None:
    scene.write()
    process = loader(scene, 600.0)
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    assert line == "piece\n"
    assert scene.path.with_name("c.sqlite3.loading").exists()
    assert not scene.path.exists()
    assert scene.adopt()
    assert rows(scene.fresh()) == rows(rebuilt(scene))
    assert not scene.path.with_name("c.sqlite3.loading").exists()


def test_two_at_once(scene: Scene) -> None:
    scene.write()
    processes = [loader(scene, 0.05) for _ in range(3)]
    answers = [process.communicate(timeout=60)[0].splitlines()[-1] for process in processes]
    assert sorted(answers) == ["False", "False", "True"]
    assert rows(scene.fresh()) == rows(rebuilt(scene))


def test_a_log_that_was_left_is_not_taken_for_the_new_ones(scene: Scene) -> None:
    scene.write()
    scene.path.parent.mkdir()
    for suffix in ("-wal", "-shm"):
        scene.path.with_name(f"c.sqlite3{suffix}").write_bytes(b"\x37\x7f\x06\x82" + bytes(100))
    assert scene.adopt()
    assert rows(scene.fresh()) == rows(rebuilt(scene))
