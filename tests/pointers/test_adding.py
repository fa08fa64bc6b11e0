"""`add`: what becomes a pointer, and that nobody who is killed has lost a byte."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from stemma_attestations import lfs_pointer
from stemma_attestations.digest import Digest
from stemma_registry.errors import BadTree, BlobMissing, NameTaken, NotFound, Refused, Unavailable
from stemma_registry.pointers import adding, attributes, lfs_objects, worktree
from stemma_registry.pointers.adding import Wish
from tests.pointers.conftest import MODEL, WEIGHTS, Bench


def test_a_file_that_is_named_is_an_artifact_of_its_own(one: Bench) -> None:
    one.write("m", {"prompt.txt": b"You are kind.\n", "other.bin": WEIGHTS})
    done = one.add("m/prompt.txt", "prompts/kind:1", kind="prompt")
    assert [entry.path for entry in done.written] == ["m/prompt.txt"]
    assert done.published is not None
    assert [entry.path for entry in done.published.manifest.entries] == ["prompt.txt"]
    assert (one.root / "m/other.bin").read_bytes() == WEIGHTS


def test_texts_stay_up_to_a_size(one: Bench) -> None:
    one.write("m", {"short.json": b"{}", "long.json": b"1," * 600_000, ".gitattributes": b"#\n"})
    done = one.add("m", "models/m:1", Wish(over=1))
    assert set(done.kept) == {"m/.gitattributes"}
    one.write("n", {"short.json": b"{}", "long.json": b"1," * 600_000})
    assert one.add("n", "models/n:1").kept == ("n/short.json",)


def test_what_is_known_needs_no_name(one: Bench) -> None:
    one.write("m", MODEL)
    with pytest.raises(NotFound, match="--as NAME:VERSION"):
        one.add("m")
    assert (one.root / "m/model-1.safetensors").read_bytes() == WEIGHTS
    one.world.push("models/m:1", MODEL, kind="model")
    done = one.add("m")
    assert (done.label, done.published, len(done.written)) == ("models/m:1", None, 2)


def test_what_is_refused_leaves_everything(one: Bench) -> None:
    one.world.push("models/m:1", {"other": b"bytes"}, kind="model")
    one.write("m", MODEL)
    with pytest.raises(NameTaken):
        one.add("m", "models/m:1")
    one.write("", {"big.bin": WEIGHTS})
    with pytest.raises(NameTaken):
        one.add("", "models/m:1")
    assert (one.root / "m/model-1.safetensors").read_bytes() == WEIGHTS
    assert not (one.root / ".gitattributes").exists()


def test_the_whole_work_tree_is_what_will_be_committed(one: Bench) -> None:
    one.write("", MODEL)
    one.add("", "models/all:1")
    one.commit()
    (judged,) = one.judge("", "models/all:1")
    assert judged.failure is None
    assert judged.verdict is not None


def test_a_changed_file_beside_pointers(one: Bench) -> None:
    """The next version: one file is new, the other is a pointer still."""
    one.write("m", MODEL)
    first = one.add("m", "models/m:1")
    one.write("m", {"model-1.safetensors": WEIGHTS * 2})
    second = one.add("m", "models/m:2")
    assert [entry.path for entry in second.written] == ["m/model-1.safetensors"]
    assert second.were == ("m/model-2.safetensors",)
    assert first.artifact != second.artifact
    with one.world.view():
        assert one.world.code("models/m:2") == 0


def test_pointers_without_bytes_cannot_be_published(one: Bench) -> None:
    raw = lfs_pointer.Pointer(Digest.of(b"nowhere"), 7).raw
    one.write("m", {"w.bin": raw})
    with pytest.raises(BlobMissing):
        one.add("m", "models/m:1")
    wrong = one.root / ".git/lfs/objects" / Digest.of(b"nowhere").value[:2]
    wrong = wrong / Digest.of(b"nowhere").value[2:4] / Digest.of(b"nowhere").value
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(b"7 bytes")
    with pytest.raises(BadTree, match="other bytes"):
        one.add("m", "models/m:1")


def test_mode_and_neighbours_stay(one: Bench) -> None:
    folder = one.write("m", {**MODEL, "run.bin": WEIGHTS + b"x"})
    (folder / "run.bin").chmod(0o755)
    one.add("m", "models/m:1", Wish(objects=False))
    assert (folder / "run.bin").stat().st_mode & 0o777 == 0o755
    assert not (one.root / ".git/lfs/objects").exists()
    assert sorted(path.name for path in folder.iterdir()) == sorted([*MODEL, "run.bin"])
    one.restore()
    assert (folder / "run.bin").stat().st_mode & 0o777 == 0o755
    assert (folder / "run.bin").read_bytes() == WEIGHTS + b"x"


def test_a_file_that_changes_under_the_hands_is_left(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = one.write("m", {"w.bin": WEIGHTS})
    before = lfs_objects.placing

    def meddling(*arguments: object) -> object:
        (folder / "w.bin").write_bytes(b"newer than what was stored")
        return before(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(lfs_objects, "placing", meddling)
    with pytest.raises(Refused, match="changed meanwhile"):
        one.add("m", "models/m:1")
    assert (folder / "w.bin").read_bytes() == b"newer than what was stored"
    assert not [path for path in (one.root / ".git/lfs").rglob("*") if path.is_file()]


def test_a_file_with_another_name_is_copied_among_the_objects(one: Bench, tmp_path: Path) -> None:
    folder = one.write("m", {"w.bin": WEIGHTS})
    os.link(folder / "w.bin", tmp_path / "mine.bin")
    one.add("m", "models/m:1")
    with (tmp_path / "mine.bin").open("ab") as mine:
        mine.write(b"later")
    source = lfs_objects.opened(one.root / ".git", Digest.of(WEIGHTS), len(WEIGHTS))
    assert source is not None
    with source:
        assert source.read() == WEIGHTS


def test_attributes_below_that_say_otherwise(one: Bench) -> None:
    one.write("m", {"w.bin": WEIGHTS, ".gitattributes": b"*.bin -filter\n"})
    with pytest.raises(Refused, match=r"\.gitattributes below"):
        one.add("m", "models/m:1")
    assert (one.root / "m/w.bin").read_bytes() == WEIGHTS


_CALLS = ("open", "mkdir", "link", "rename", "replace", "unlink", "fsync")


def _killed_at(number: int, work: Callable[[], object]) -> bool:
    """Run something in a child that is gone at its n-th call that changes a file; whether it was.

    The call is not made; those before it were. (Bytes between two calls are in no name yet.)
    """
    child = os.fork()
    if child == 0:
        count = 0

        def dying(call: Callable[..., object]) -> Callable[..., object]:
            def called(*arguments: object, **named: object) -> object:
                nonlocal count
                count += 1
                if count > number:
                    os.kill(os.getpid(), 9)
                return call(*arguments, **named)

            return called

        try:
            for name in _CALLS:
                setattr(os, name, dying(getattr(os, name)))
            work()
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert status in (0, 9)
    return status == 9


def test_whoever_is_killed_has_lost_nothing(one: Bench) -> None:
    """At every call that changes a file: bytes or pointer, and then the bytes are stored."""
    world, files = one.world, {"a.bin": WEIGHTS, "b.bin": WEIGHTS[::-1]}
    folder = one.write("m", files)
    manifest = world.push("models/m:1", files, kind="model").manifest
    world.registry.close()
    place = worktree.find(folder)
    killed, job = 0, adding._Job(world.registry, world.trust, place, Wish(), world.now)
    lines = job.lines()

    def work() -> None:
        attributes.extend(place, lines)
        list(job.replaced(manifest))

    while _killed_at(killed, work):
        killed += 1
        for name, data in files.items():
            assert world.blob(Digest.of(data)).read_bytes() == data
            found = (folder / name).read_bytes()
            if found == data:
                continue
            assert lfs_pointer.parse(found) == lfs_pointer.Pointer(Digest.of(data), len(data))
            (folder / name).write_bytes(data)
            job = adding._Job(world.registry, world.trust, place, Wish(), world.now)
        for kept in (one.root / ".git/lfs/objects").rglob("*"):
            assert kept.is_dir() or Digest.of(kept.read_bytes()).value == kept.name
            assert kept.is_dir() or kept.stat().st_nlink == 1, "nobody can write to it"
    assert killed > 20
    assert sorted(path.name for path in folder.iterdir()) == sorted(files)
    assert all(lfs_pointer.parse((folder / name).read_bytes()) for name in files)


def test_a_full_disk_says_what_was_done_already(
    one: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise Unavailable("cannot write m/model-1.safetensors: No space left on device")

    one.write("m", MODEL)
    with monkeypatch.context() as patch:
        patch.setattr(worktree, "replace", full)
        with pytest.raises(Unavailable, match=r"No space left.*models/m:1 is published \(ledger e"):
            one.add("m", "models/m:1")
        with pytest.raises(Unavailable, match=r"No space left.*models/m:1 is in the registry"):
            one.add("m")
    assert (one.root / "m/model-1.safetensors").read_bytes() == WEIGHTS
    done = one.add("m", "models/m:1")
    assert done.published is not None
    assert (done.published.outcome, len(done.written)) == ("unchanged", 2)
