"""Which models share tensors, and whether anybody declared it: on both databases."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import Undecided
from stemma_attestations.names import NameVersion
from stemma_attestations.tensor_table import Table, TensorFile
from stemma_registry import stat_cache
from stemma_registry.blobs.contract import Store
from stemma_registry.catalogue import tensors as catalogued
from stemma_registry.config import LIMITS
from stemma_registry.errors import NotFound
from stemma_registry.publish import Push, publish
from stemma_registry.reference import resolve
from stemma_registry.tensors import building, making, showing
from stemma_registry.tensors import similar as asking
from stemma_registry.tensors.making import Unread
from stemma_registry.tensors.similar import Gaps, Match, Similar
from tests.tensors import models
from tests.world import World

BASE = models.layers(1)
BYTES = 8 * 2048


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def one_file(tensors: models.Weights) -> dict[str, bytes]:
    return {"model.safetensors": models.safetensors(tensors)}


def ask(world: World, reference: str, limit: int = 20) -> Similar:
    with world.view() as view:
        return asking.similar(world.registry, view, reference, limit)


def found(world: World, reference: str) -> dict[str, Match]:
    return {match.label: match for match in ask(world, reference).matches}


def says(match: Match) -> tuple[str, str] | None:
    return (match.declared.relation, str(match.declared.assurance)) if match.declared else None


def test_a_frozen_layer_fine_tune_pushed_without_inputs_is_undeclared(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/fine:1", one_file(models.tuned(BASE, 2, 3)), kind="model")
    world.push("models/other:1", one_file(models.layers(9)), kind="model")
    matches = found(world, "models/base:1")
    assert list(matches) == ["models/fine:1"]
    fine = matches["models/fine:1"]
    assert (fine.tensors, fine.size, fine.of_mine, fine.of_theirs) == (5, 5 * 2048, 0.625, 0.625)
    assert fine.declared is None
    assert found(world, "models/fine:1")["models/base:1"].declared is None


def test_shards_names_and_formats_do_not_matter(world: World) -> None:
    renamed = {f"transformer.{name}": tensor for name, tensor in BASE.items()}
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/shards:1", models.sharded(renamed, 3), kind="model")
    world.push("models/gguf:1", {"weights.bin": models.gguf(BASE)}, kind="model")
    matches = found(world, "models/base:1")
    assert set(matches) == {"models/shards:1", "models/gguf:1"}
    for match in matches.values():
        assert (match.of_mine, match.of_theirs, match.declared) == (1, 1, None)


def test_declared_kin_is_told_apart(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    for name, seed in (("a", 2), ("b", 3)):
        tuned = one_file(models.tuned(BASE, seed, 2))
        world.push(f"models/{name}:1", tuned, "fine-tuned-from=models/base:1", kind="model")
    # Merged from what a changed: a's own tensors came along, and nobody said so.
    taken = {**models.tuned(BASE, 2, 2), **models.weights(7, "model.layers.0.weight")}
    world.push("models/c:1", one_file(taken), "fine-tuned-from=models/base:1", kind="model")
    matches = found(world, "models/a:1")
    assert says(matches["models/base:1"]) == ("ancestor", "attested")
    assert says(matches["models/b:1"]) == ("sibling", "attested")
    assert says(matches["models/c:1"]) is None
    assert says(found(world, "models/base:1")["models/a:1"]) == ("descendant", "attested")


def test_a_file_that_was_used_by_itself_is_declared(world: World) -> None:
    base = world.push("models/base:1", one_file(BASE), kind="model")
    blob = base.manifest.entries[0].sha256
    tuned = one_file(models.tuned(BASE, 2, 3))
    world.push("models/fine:1", tuned, f"fine-tuned-from={blob}", kind="model")
    assert says(found(world, "models/fine:1")["models/base:1"]) == ("ancestor", "attested")
    assert says(found(world, "models/base:1")["models/fine:1"]) == ("descendant", "attested")


def test_sharing_a_file_is_no_declaration(world: World) -> None:
    """A tokenizer that both were made with explains no weights."""
    tokens = {"tokenizer.json": b"{}" * 2000}
    pushed = world.push("tokens/a:1", tokens, kind="tokenizer")
    blob = pushed.manifest.entries[0].sha256
    for name in ("a", "b"):
        files = {**one_file(models.tuned(BASE, ord(name), 1)), **tokens}
        world.push(f"models/{name}:1", files, f"tokenized-by={blob}", kind="model")
    assert says(found(world, "models/a:1")["models/b:1"]) is None


def test_the_word_of_a_stranger_is_marked(world: World) -> None:
    base = world.push("models/base:1", one_file(BASE), kind="model")
    fine = one_file(models.tuned(BASE, 2, 3))
    world.push("models/fine:1", fine, kind="model")
    world.push("fork/fine:1", fine, "fine-tuned-from=models/base:1", kind="model", by="stranger")
    match = found(world, "models/base:1")["models/fine:1"]
    assert says(match) == ("descendant", "signed")
    assert str(match.assurance) == "attested"
    theirs = one_file(models.tuned(BASE, 3, 3))
    world.push("fork/other:1", theirs, kind="model", by="stranger")
    assert str(found(world, str(base.artifact))["fork/other:1"].assurance) == "signed"


def test_what_tells_nothing_does_not_count(world: World) -> None:
    zeros = {"bias": ("F32", (1024,), bytes(4096))}
    ones = {"norm": ("BF16", (1024,), b"\x80\x3f" * 1024)}
    tiny = models.weights(5, "scale", shape=(255,))
    for name, seed in (("a", 1), ("b", 2)):
        files = one_file({**models.layers(seed), **zeros, **ones, **tiny})
        world.push(f"models/{name}:1", files, kind="model")
    assert not ask(world, "models/a:1").matches
    with world.view() as view:
        table = showing.show(world.registry, view, "models/a:1").table
    assert table.tensors == 11
    assert len(table.telling) == 8


def test_a_tensor_is_traced_to_what_holds_it_and_on(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/fine:1", one_file(models.tuned(BASE, 2, 3)), kind="model")
    quant = {"q.gguf": models.gguf(models.layers(4))}
    world.push("models/q4:1", quant, "quantized-from=models/fine:1", kind="model")
    world.push("models/other:1", one_file(models.layers(9)), kind="model")
    with world.view() as view:
        table = showing.show(world.registry, view, "models/base:1").table
        first = min(table.files[0].tensors, key=lambda one: one.name)
        held = showing.trace(view, f"tensor:{first.digest}")
        with pytest.raises(NotFound):
            showing.trace(view, f"tensor:{Digest.of(b'nothing')}")
    labels = {node.label: node.depth for node in held.nodes.values()}
    del labels[f"tensor {first.digest.short}"]
    assert labels == {"models/base:1": 1, "models/fine:1": 1, "models/q4:1": 2}
    assert {str(edge.assurance) for edge in held.edges} == {"attested"}


def test_a_rebuilt_catalogue_says_the_same(world: World) -> None:
    world.push("models/base:1", one_file(BASE), kind="model")
    world.push("models/fine:1", models.sharded(models.tuned(BASE, 2, 3), 2), kind="model")
    before = ask(world, "models/base:1").matches
    world.rebuild()
    assert ask(world, "models/base:1").matches == before


def test_what_was_pushed_without_is_read_when_it_is_asked_about(world: World) -> None:
    world.push("models/old:1", one_file(BASE), kind="model", tensors=False)
    world.push("models/new:1", models.sharded(BASE, 2), kind="model")
    old = ask(world, "models/old:1")
    assert old.assurance is None
    assert old.size == BYTES
    assert [match.label for match in old.matches] == ["models/new:1"]
    assert not ask(world, "models/new:1").matches
    owner = world.signer("owner")
    built = building.build(world.registry, world.trust, owner, "models/old:1", world.now)
    assert built.entry is not None
    assert found(world, "models/new:1")["models/old:1"].of_mine == 1
    again = building.build(world.registry, world.trust, owner, "models/old:1", world.now)
    assert again.entry is None
    world.push("data/x:1", {"x.txt": b"x" * 3000})
    with pytest.raises(NotFound, match="no file of it"):
        building.build(world.registry, world.trust, owner, "data/x:1", world.now)


def test_a_hostile_file_is_pushed_with_a_warning(world: World) -> None:
    bad = b"\xff" * 7 + b"\x00{}" + bytes(4096)
    files = {"good.safetensors": models.safetensors(BASE), "b.gguf": b"GGUF" + b"\xff" * 4096}
    pushed = world.push("models/bad:1", {**files, "c.safetensors": bad}, kind="model")
    without = [w.split(":")[0] for w in pushed.warnings if "no digests" in w]
    assert without == ["b.gguf", "c.safetensors"]
    world.push("models/base:1", one_file(BASE), kind="model")
    assert found(world, "models/base:1")["models/bad:1"].of_theirs == 1


def test_more_sharers_than_the_limit_is_undecided(world: World) -> None:
    for n in range(4):
        world.push(f"models/m{n}:1", one_file(models.tuned(BASE, n + 2, 1)), kind="model")
    assert ask(world, "models/m0:1", limit=2).more == 1
    object.__setattr__(LIMITS, "similar", 2)
    try:
        with pytest.raises(Undecided):
            ask(world, "models/m0:1")
    finally:
        object.__setattr__(LIMITS, "similar", 100_000)


def test_files_that_were_not_read_again_keep_their_tensors(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second push of a large base reads only what changed; its table is whole all the same."""
    world.push("models/base:1", {**one_file(BASE), "README.md": b"one" * 999}, kind="model")
    folder, real = world.folder / f"d{world.count}", stat_cache.now

    def again(name: str) -> None:
        job = Push(folder, NameVersion.parse(name), "model", [], {}, world.checkout)
        publish(world.registry, world.trust, world.signer("owner"), job, world.now)

    monkeypatch.setattr(stat_cache, "now", lambda: real() + 60)  # long after the files changed
    again("models/base:2")
    monkeypatch.setattr(making, "_read", None)
    monkeypatch.setattr(world.store, "receive", _only(world.store, "two" * 999))
    (folder / "README.md").write_bytes(b"two" * 999)
    again("models/base:3")
    match = found(world, "models/base:1")["models/base:3"]
    assert (match.of_mine, match.of_theirs) == (1, 1)


def _only(store: Store, text: str) -> Callable[..., Digest]:
    """Receives that text, and nothing else."""
    original = store.receive

    def receive(source: BinaryIO, *arguments: Any) -> Digest:
        assert source.read() == text.encode()
        source.seek(0)
        return original(source, *arguments)

    return receive


def test_tensors_that_cannot_be_read_are_not_nothing_in_common(world: World) -> None:
    world.push("models/cut:1", {"m.safetensors": one_file(BASE)["model.safetensors"][:-1]})
    world.push("models/pickled:1", {"m.pt": b"pickle"})
    for name, why in (("models/cut:1", "m.safetensors: "), ("models/pickled:1", "no file of it")):
        asked = ask(world, name)
        assert (asked.tensors, asked.matches, asked.assurance) == (0, (), None)
        assert not asked.gaps.complete
        assert asked.gaps.notes[0].startswith(why)
    world.push("models/base:1", one_file(BASE), kind="model")
    assert ask(world, "models/base:1").gaps == Gaps()


@pytest.mark.parametrize("tensors", [True, False], ids=["a table", "no table"])
def test_one_file_that_cannot_be_read_beside_others_is_said(world: World, tensors: bool) -> None:
    """What else shares its tensors is not known: that is not the answer that nothing does."""
    files = models.sharded(BASE, 3)
    cut, other, whole = sorted(files)
    broken = {cut: files[cut][:-1], other: b"\xff" * 8 + files[other][8:]}
    small = {"tiny.safetensors": b"version https://git-lfs.github.com/spec/v1\n"}
    empty = {"none.safetensors": models.safetensors({}, {"about": "x" * 2000})}
    pushed = {**broken, whole: files[whole], **small, **empty}
    world.push("models/cut:1", pushed, kind="model", tensors=tensors)
    world.push("models/base:1", one_file(BASE), kind="model")
    asked = ask(world, "models/cut:1")
    assert [match.label for match in asked.matches] == ["models/base:1"]
    assert not asked.gaps.complete
    assert [one.path for one in asked.gaps.unread] == [cut, other]
    ends, begins = asked.gaps.notes
    assert ends.startswith(f"{cut}: its tensors have no digests: ")
    assert begins == f"{other}: its tensors have no digests: {making.OTHER}"


def test_a_table_that_leaves_a_file_out_is_not_taken_for_all_of_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = models.sharded(BASE, 2)
    first, second = sorted(files)
    original = Table.of

    def lie(artifact: Digest, every: Iterable[TensorFile]) -> Table:
        return original(artifact, [one for one in every if one.blob == Digest.of(files[first])])

    with monkeypatch.context() as patched:
        patched.setattr(Table, "of", staticmethod(lie))
        world.push("models/half:1", files, kind="model")
    asked = ask(world, "models/half:1")
    assert asked.gaps.unread == (Unread(second, "its table does not list it"),)
    # Where the table itself is lost, nobody knows.
    with world.view() as view:
        node = resolve(view, "models/half:1").node
        (row,) = catalogued.tables(view.connection, artifacts=[node])
    world.store.delete(row.digest)
    lost = ask(world, "models/half:1").gaps
    assert (lost.complete, lost.unread) == (False, ())
    assert "is not known: " in lost.notes[0]
