"""The real `git` and `git lfs` on the same repository: either writes, the other reads."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stemma_attestations import lfs_pointer
from stemma_attestations.digest import Digest
from stemma_attestations.names import NameVersion
from stemma_registry.errors import BlobMissing
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.importing import commits
from tests.git.repositories import ENVIRONMENT, Checkout
from tests.pointers.conftest import MODEL, WEIGHTS, Bench


def test_what_stemma_adds_git_lfs_has(bench: Bench, tmp_path: Path) -> None:
    bench.lfs()
    folder = bench.write("models/qa", MODEL)
    done = bench.add("models/qa", "models/qa:1")
    assert {entry.path for entry in done.written} == {
        "models/qa/model-1.safetensors",
        "models/qa/model-2.safetensors",
    }
    assert (folder / "config.json").read_bytes() == b"{}\n"
    raw = (folder / "model-1.safetensors").read_bytes()
    assert raw == lfs_pointer.Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    bench.commit()
    git = bench.checkout.git
    assert git("show", "HEAD:models/qa/model-1.safetensors").encode() + b"\n" == raw
    assert len(git("lfs", "ls-files").splitlines()) == 2
    git("lfs", "fsck")
    git("lfs", "checkout")
    assert (folder / "model-1.safetensors").read_bytes() == WEIGHTS
    assert git("status", "--porcelain") == ""
    # And `git lfs push` and `clone` move it: to a bare repository beside it, over `file://`.
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(bench.root), str(tmp_path / "host.git")],
        env=ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    git("remote", "add", "origin", (tmp_path / "host.git").as_uri())
    git("lfs", "push", "--all", "origin")
    assert len(list((tmp_path / "host.git/lfs/objects").rglob("*-*"))) == 0
    assert len([p for p in (tmp_path / "host.git/lfs/objects").rglob("*") if p.is_file()]) == 2


def test_what_git_lfs_adds_stemma_has(bench: Bench) -> None:
    """As in a repository of the Hugging Face Hub: patterns at the root, everything beside them."""
    bench.lfs()
    bench.write("", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
    bench.write("", MODEL)
    commit = bench.commit()
    with Repository.open(bench.root) as repo:
        wanted = commits.Wanted(
            str(bench.root), commit, "", NameVersion.parse("hub/model:1"), "model"
        )
        world = bench.world
        done = commits.take(
            world.registry, world.trust, world.signer("owner"), repo, wanted, world.now
        )
    assert done.pointers == 2
    assert done.published.manifest.by_path["model-1.safetensors"].sha256 == Digest.of(WEIGHTS)
    assert done.published.source is not None
    assert done.published.source.commit == commit
    (judged,) = bench.judge()
    assert judged.failure is None
    (bench.root / ".git/lfs/objects").rename(bench.root / ".git/lfs/gone")
    for name in ("model-1.safetensors", "model-2.safetensors"):
        shown = bench.checkout.git("show", f"HEAD:{name}").encode() + b"\n"
        bench.write("", {name: shown})  # as after a clone with GIT_LFS_SKIP_SMUDGE
    restored = bench.restore()
    assert {entry.path for entry in restored.written} == {
        "model-1.safetensors",
        "model-2.safetensors",
    }
    assert restored.left == ()
    assert (bench.root / "model-1.safetensors").read_bytes() == WEIGHTS
    assert bench.checkout.git("status", "--porcelain") == ""


def test_the_lines_of_stemma_are_those_of_git_lfs_in_effect(one: Bench) -> None:
    """`git lfs track --filename` and we hand the same odd names to the same filter."""
    names = [
        "w b.bin",
        "a#b.bin",
        "[x].bin",
        "q?.bin",
        "st*r.bin",
        "#c.bin",
        "!n.bin",
        "ü.bin",
        "a.gguf",
    ]
    one.write("odd", {name: WEIGHTS + name.encode() for name in names})
    one.write("odd", {"near.txt": b"text\n"})
    done = one.add("odd", "odd/names:1")
    assert {entry.path for entry in done.written} == {f"odd/{name}" for name in names}
    git = one.checkout.git
    asked = "\0".join([*(f"odd/{name}" for name in names), "odd/near.txt", "other/a.gguf"])
    said = git("check-attr", "-z", "--stdin", "filter", stdin=asked.encode()).split("\0")[2::3]
    assert said == ["lfs"] * len(names) + ["unspecified"] * 2
    before = (one.root / ".gitattributes").read_bytes()
    again = one.add("odd")
    assert again.written == ()
    assert again.attributes == ()
    assert (one.root / ".gitattributes").read_bytes() == before


def test_a_pattern_that_is_there_needs_no_line(one: Bench) -> None:
    one.write("", {".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text"})
    one.write("m", {"tiny.safetensors": b"text", "w.bin": WEIGHTS})
    done = one.add("m", "models/m:1")
    assert len(done.written) == 2  # what Git hands to Git LFS is a pointer, however small
    assert done.attributes == ("/m/w.bin filter=lfs diff=lfs merge=lfs -text",)


def test_after_a_checkout_git_is_content(bench: Bench) -> None:
    bench.lfs()
    bench.write("m", MODEL)
    bench.add("m", "models/m:1")
    bench.commit()
    inode = (bench.root / "m/config.json").stat().st_ino
    restored = bench.restore()
    assert len(restored.written) == 2
    assert bench.checkout.git("status", "--porcelain") == ""
    assert (bench.root / "m/config.json").stat().st_ino == inode
    assert bench.restore() == type(restored)((), ())
    # And back: what has not changed is a pointer again, and Git sees nothing.
    assert len(bench.add("m").written) == 2
    assert bench.checkout.git("status", "--porcelain") == ""


def test_without_git_lfs_pointers_are_committed_all_the_same(one: Bench) -> None:
    one.write("m", MODEL)
    one.add("m", "models/m:1")
    one.commit()
    shown = one.checkout.git("show", "HEAD:m/model-1.safetensors")
    assert shown.startswith(lfs_pointer.VERSION.join(["version ", "\n"]))
    (judged,) = one.judge("m", "models/m:1")
    assert judged.failure is None


def test_another_work_tree_of_the_repository(one: Bench, tmp_path: Path) -> None:
    one.checkout.git("worktree", "add", "-q", str(tmp_path / "second"))
    second = Bench(one.world, Checkout(tmp_path / "second", "sha1"))
    second.write("m", MODEL)
    second.add("m", "models/m:1")
    oid = Digest.of(WEIGHTS).value
    assert (one.root / ".git/lfs/objects" / oid[:2] / oid[2:4] / oid).read_bytes() == WEIGHTS
    assert len(second.restore().written) == 2


def test_a_clone_without_the_bytes_cannot_be_imported(one: Bench, tmp_path: Path) -> None:
    one.lfs()
    one.checkout.git("lfs", "track", "*.bin")
    one.write("m", {"w.bin": WEIGHTS})
    one.commit()
    clone = Checkout(tmp_path / "clone", "sha1")
    one.checkout.git("-c", "filter.lfs.process=", "clone", "-q", str(one.root), str(clone.root))
    with Repository.open(clone.root) as repo, pytest.raises(BlobMissing, match="git lfs pull"):
        world = one.world
        wanted = commits.Wanted("x", "HEAD", "m", NameVersion.parse("models/m:1"), "model")
        commits.take(world.registry, world.trust, world.signer("owner"), repo, wanted, world.now)
