"""The way in: what a push records, repeats, adds and refuses."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import lineage, mlbom, provenance
from stemma_registry import describe
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.catalogue import query
from stemma_registry.errors import BadTree, NameTaken, NotFound, Refused, Uncommitted
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.ledger.log import Head, append, read_entry
from stemma_registry.publish import Outcome
from tests.world import World


def statements(world: World, reference: str) -> dict[str, Bundle]:
    with world.view() as view:
        found = describe.attestations(world.registry, view, reference)
    return {item.fact.predicate_type: item.bundle for item in found if item.bundle}


def entries(world: World) -> int:
    n = 0
    while read_entry(world.store, n) is not None:
        n += 1
    return n


def test_a_push_records_what_went_in_and_what_came_out(world: World) -> None:
    data = world.push("data/raw:1")
    done = world.push(
        "models/m:1",
        {"w.bin": b"weights"},
        "trained-on=data/raw:1",
        kind="model",
        parameters={"lr": "0.1"},
    )
    assert done.outcome is Outcome.CREATED
    said = statements(world, "models/m:1")
    made = provenance.parse(said[provenance.TYPE].statement().predicate)
    assert made.build == "train"
    assert made.kind == "model"
    assert made.parameters == {"lr": "0.1"}
    assert made.source is not None
    assert made.source.commit == world.commit
    assert not made.source.dirty
    assert (made.inputs[0].relation, made.inputs[0].digest) == ("trained-on", data.artifact)
    edges = lineage.parse(said[lineage.TYPE].statement())
    assert {(e.input.relation, e.input.digest) for e in edges} == {
        ("trained-on", data.artifact),
        ("built-from", Digest("gitCommit", world.commit)),
    }
    document = said[mlbom.TYPE].statement().predicate
    mlbom.check(document)
    assert mlbom.hashes_agree(document, done.manifest) == ()


def test_the_ledger_holds_digests_and_no_text(world: World) -> None:
    world.push("secret/name:1", parameters={"who": "a person"})
    entry = read_entry(world.store, 1)
    assert entry is not None
    document = json.loads(entry.raw)
    assert set(document) == {"format", "n", "previous", "nonce", "time", "tree_root", "events"}
    for event in document["events"]:
        assert set(event) <= {"type", "critical", "artifacts", "bundles", "keys"}
    assert b"secret" not in entry.raw
    assert b"person" not in entry.raw


def test_the_same_push_again_is_a_no_op(world: World) -> None:
    world.push("data/raw:1")
    before = entries(world)
    again = world.push("data/raw:1")
    assert again.outcome is Outcome.UNCHANGED
    assert again.entry is None
    assert entries(world) == before


@pytest.mark.parametrize("change", ["inputs", "parameters", "signer", "commit", "kind"])
def test_anything_different_about_the_same_bytes_is_added(world: World, change: str) -> None:
    world.push("data/other:1")
    world.push("data/raw:1", {"a": b"1"})
    options: dict[str, object] = {}
    inputs: tuple[str, ...] = ()
    if change == "inputs":
        inputs = ("filtered-from=data/other:1",)
    elif change == "parameters":
        options["parameters"] = {"x": "1"}
    elif change == "signer":
        world.trust_also("second")
        options["by"] = "second"
    elif change == "kind":
        options["kind"] = "prompt"
    else:
        from tests.world import commit_all

        (world.checkout / "train.py").write_text("print('changed')\n")
        commit_all(world.checkout)
    done = world.push("data/raw:1", {"a": b"1"}, *inputs, **options)  # type: ignore[arg-type]
    assert done.outcome is Outcome.ADDED
    assert len([f for f in describe_facts(world) if f == provenance.TYPE]) == 2


def describe_facts(world: World) -> list[str]:
    with world.view() as view:
        found = describe.attestations(world.registry, view, "data/raw:1")
    return [item.fact.predicate_type for item in found]


def test_no_parent_is_ever_lost(world: World) -> None:
    world.push("data/good:1")
    world.push("data/bad:1")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/good:1", kind="model")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/bad:1", kind="model")
    world.push("models/m:1", {"w": b"w"}, "trained-on=data/good:1", kind="model")
    world.quarantine("data/bad:1")
    assert world.code("models/m:1") == 11


def test_a_name_is_immutable(world: World) -> None:
    world.push("data/raw:1", {"a": b"1"})
    with pytest.raises(NameTaken, match="immutable"):
        world.push("data/raw:1", {"a": b"2"})
    assert world.code("data/raw:1") == 0


def test_a_squatter_whom_nobody_believes_cannot_keep_a_name(world: World) -> None:
    world.push("data/raw:1", {"a": b"evil"}, by="squatter")
    assert world.code("data/raw:1") == 13
    done = world.push("data/raw:1", {"a": b"good"})
    assert done.outcome is Outcome.CREATED
    assert world.code("data/raw:1") == 0
    with world.view() as view:
        assert describe.describe(world.registry, view, "data/raw:1").found.digest == done.artifact


@pytest.mark.parametrize("with_key", [False, True])
def test_who_brings_the_bundles_first_does_not_suppress_the_name(
    world: World, tmp_path: Path, with_key: bool
) -> None:
    """Whoever sees the bundles of a push in the store can append them before it does."""
    done = world.push("data/raw:1", {"a": b"good"})
    entry = read_entry(world.store, done.entry or 0)
    assert entry is not None
    (event,) = entry.events
    (tmp_path / "other").mkdir()
    late = World(tmp_path / "other")
    late.trust = world.trust
    for digest in world.store.blobs():
        put_bytes(late.store, get_bytes(world.store, digest, 10**6))
    early = Event(PUSH, bundles=event.bundles, keys=event.keys if with_key else ())
    for one in (early, event, event):
        append(late.store, late.registry.catalogue.catch_up(), lambda one=one: [one], Head)
    for _ in range(2):
        with late.view() as view:
            found = describe.describe(late.registry, view, "data/raw:1").found
            assert len(query.bindings(view.connection, NameVersion.parse("data/raw:1"))) == 1
        assert found.digest == done.artifact
        assert late.code("data/raw:1") == 0
        late.rebuild()


def test_a_signer_without_the_right_cannot_rebind_a_name(world: World) -> None:
    world.push("data/raw:1", {"a": b"good"})
    with pytest.raises(NameTaken):
        world.push("data/raw:1", {"a": b"evil"}, by="squatter")


@pytest.mark.parametrize("what", ["link", "pipe", "socket", "empty", "forbidden", "directory link"])
def test_bad_trees_are_refused(world: World, what: str, tmp_path: Path) -> None:
    root = world.directory({"a.txt": b"a"})
    if what == "link":
        (root / "b").symlink_to("a.txt")
    elif what == "pipe":
        os.mkfifo(root / "b")
    elif what == "socket":
        here = Path.cwd()
        os.chdir(root)  # a socket's path is short
        try:
            socket.socket(socket.AF_UNIX).bind("b")
        finally:
            os.chdir(here)
    elif what == "empty":
        (root / "a.txt").unlink()
    elif what == "forbidden":
        (root / "aux.py").write_text("a device on Windows")
    else:
        (root / "b").symlink_to(tmp_path)
    before = entries(world)
    with pytest.raises(BadTree):
        from stemma_registry.publish import Push, publish

        push = Push(root, NameVersion.parse("x:1"), "dataset", [], {}, world.checkout)
        publish(world.registry, world.trust, world.signer("owner"), push, world.now)
    assert entries(world) == before


def test_unknown_words_are_refused(world: World) -> None:
    with pytest.raises(Refused, match="kind"):
        world.push("x:1", kind="thing")
    with pytest.raises(Refused, match="relation"):
        world.push("x:1", None, "cooked-from=data/raw:1")
    with pytest.raises(NotFound, match="no input"):
        world.push("x:1", None, "trained-on=data/none:1")


def test_an_unknown_whole_digest_is_an_external_node(world: World) -> None:
    digest = Digest.of(b"elsewhere")
    done = world.push("models/m:1", None, f"fine-tuned-from={digest}", kind="model")
    assert any("external" in warning for warning in done.warnings)
    world.quarantine(str(digest))
    assert world.code("models/m:1") == 11


def test_a_dirty_checkout_is_recorded_refused_and_can_be_refused_at_once(world: World) -> None:
    world.push("data/raw:1")
    (world.checkout / "train.py").write_text("print('uncommitted')\n")
    with pytest.raises(Uncommitted):
        world.push("models/m:1", None, "trained-on=data/raw:1", kind="model", require_clean=True)
    done = world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    assert done.source is not None
    assert done.source.dirty
    assert done.source.diff is not None
    assert world.code("models/m:1") == 10


def test_a_quarantined_input_is_said(world: World) -> None:
    world.push("data/raw:1")
    world.quarantine("data/raw:1")
    done = world.push("models/m:1", None, "trained-on=data/raw:1", kind="model")
    assert any("quarantined" in warning for warning in done.warnings)


def test_every_blob_of_a_push_is_stored_under_its_name(world: World) -> None:
    done = world.push("data/raw:1", {"a/b.txt": b"hello", "c": b""})
    for entry in done.manifest.entries:
        data = get_bytes(world.store, entry.sha256, 100)
        assert len(data) == entry.size
        assert Digest.of(data) == entry.sha256
