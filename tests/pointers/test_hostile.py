"""A repository that wants to run something, or to be written through, gets neither."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import StemmaError
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry.errors import BadTree, NotFound, Refused
from stemma_registry.pointers import differing, judging, worktree
from tests.git.repositories import ENVIRONMENT
from tests.pointers.conftest import MODEL, WEIGHTS, Bench, errors

PROGRAMS = """
[core]
	fsmonitor = {run}
	hooksPath = {hooks}
	attributesFile = /dev/null
[filter "lfs"]
	clean = {run}
	smudge = {run}
	process = {run}
	required = true
[diff "lfs"]
	command = {run}
	textconv = {run}
[merge "lfs"]
	driver = {run}
[lfs "customtransfer.x"]
	path = {run}
[alias]
	check-attr = !{run}
	update-index = !{run}
	ls-files = !{run}
"""


def _arm(bench: Bench, folder: Path) -> Path:
    """From now on the repository names a program wherever it can; what is made if one is run."""
    trace, run, hooks = folder / "it ran", folder / "run.sh", folder / "hooks"
    run.write_text(f'#!/bin/sh\ntouch "{trace}"\ncat\n')
    run.chmod(0o755)
    hooks.mkdir()
    for name in ("post-index-change", "reference-transaction", "pre-commit", "post-checkout"):
        (hooks / name).symlink_to(run)
    with (bench.root / ".git/config").open("a") as config:
        config.write(PROGRAMS.format(run=run, hooks=hooks))
    return trace


def test_nothing_of_the_repository_is_run(bench: Bench, tmp_path: Path) -> None:
    bench.write("m", MODEL)
    bench.add("m", "models/m:1")
    bench.commit()
    trap = _arm(bench, tmp_path)
    assert errors(bench.judge("m", "models/m:1")) == ["NoneType"]
    assert len(bench.restore().written) == 2
    repo, place = differing.repository_at(bench.root)
    with repo:
        assert differing.between(*differing.states(repo, place, [])) == []
    bench.write("m", {"model-1.safetensors": WEIGHTS * 2})
    assert len(bench.add("m", "models/m:2").written) == 2
    assert not trap.exists()
    subprocess.run(
        ["git", "status"], cwd=bench.root, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert trap.exists(), "Git itself runs it"


def test_links_lead_nowhere(one: Bench, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine.bin").write_bytes(WEIGHTS)
    (one.root / "m").symlink_to(outside)
    with pytest.raises(Refused, match="symbolic link"):
        one.add("m", "models/m:1")
    with pytest.raises(StemmaError):
        one.add("m/mine.bin", "models/m:1")
    one.write("n", {"w.bin": WEIGHTS})
    (one.root / "n/more.bin").symlink_to(outside / "mine.bin")
    with pytest.raises(BadTree, match="symbolic link"):
        one.add("n", "models/n:1")
    assert (outside / "mine.bin").read_bytes() == WEIGHTS
    assert (one.root / "n/w.bin").read_bytes() == WEIGHTS


def test_a_folder_that_becomes_a_link_is_not_written_through(one: Bench, tmp_path: Path) -> None:
    raw = Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "w.bin").write_bytes(raw)
    one.write("m", {"w.bin": raw})
    place = worktree.find(one.root)
    (file,) = [file for file in worktree.tracked(place) if file.path == "m/w.bin"]
    (one.root / "m").rename(one.root / "was")
    (one.root / "m").symlink_to(outside)
    with pytest.raises(StemmaError):
        worktree.replace(place, file, lambda out: None)
    assert (outside / "w.bin").read_bytes() == raw


@pytest.mark.parametrize("name", [".gitattributes", ".git/lfs"])
def test_git_s_own_files_as_links(one: Bench, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_bytes(b"not to be touched\n")
    one.write("m", {"w.bin": WEIGHTS})
    target = outside / "file" if name == ".gitattributes" else outside
    (one.root / name).symlink_to(target)
    with pytest.raises(StemmaError):
        one.add("m", "models/m:1")
    assert [path.name for path in outside.rglob("*")] == ["file"]
    assert (outside / "file").read_bytes() == b"not to be touched\n"
    assert (one.root / "m/w.bin").read_bytes() == WEIGHTS


def test_what_is_no_place_of_a_work_tree(one: Bench, tmp_path: Path) -> None:
    with pytest.raises((NotFound, Refused)):
        one.add(".git", "models/m:1")
    with pytest.raises((NotFound, Refused)):
        one.restore(".git/hooks")
    (tmp_path / "plain").mkdir()
    with pytest.raises(NotFound):
        worktree.find(tmp_path / "plain")


def test_odd_names_in_a_work_tree(one: Bench) -> None:
    """What no manifest may hold is not added; a pointer of that name gets its bytes."""
    names = ["a\nb.bin", 'q"uote.bin', "-rf.bin", "tab\t.bin", "$(x).bin"]
    raw = Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    one.world.push("models/m:1", {"w.bin": WEIGHTS}, kind="model")
    one.write("", {".gitattributes": b"*.bin filter=lfs\n"})
    one.write("m", dict.fromkeys(names, raw))
    with pytest.raises(BadTree):
        one.add("m", "models/odd:1")
    assert {entry.path for entry in one.restore().written} == {f"m/{name}" for name in names}
    assert all((one.root / "m" / name).read_bytes() == WEIGHTS for name in names)


def test_names_in_a_commit_that_no_manifest_may_hold(one: Bench) -> None:
    git = one.checkout.git
    raw = Pointer(Digest.of(WEIGHTS), len(WEIGHTS)).raw
    blob = git("hash-object", "-w", "--stdin", stdin=raw).encode()
    one.world.push("models/m:1", {"w.bin": WEIGHTS}, kind="model")
    odd = ([b"w.bin", b"W.bin"], [b"a\nb.bin"], [b"con.bin"], [b"x:y"], [b"back\\slash"], [b"\xff"])
    for names in odd:
        lines = b"".join(b"100644 blob " + blob + b"\t" + name + b"\0" for name in names)
        tree = git("mktree", "-z", stdin=lines)
        git("update-ref", "HEAD", git("commit-tree", tree, "-m", "odd"))
        assert judging.worst(one.judge()) is not None, names
        (judged,) = one.judge("", "models/m:1")
        assert judged.failure is not None, names
