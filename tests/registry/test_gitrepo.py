"""What is captured of a Git checkout, and that a hostile one executes nothing."""

from __future__ import annotations

import hashlib
import os
import stat
import subprocess
from pathlib import Path

import pytest

from stemma_registry.gitrepo.capturing import Captured, capture, public_url

ENVIRONMENT = {
    **os.environ,
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "train.py").write_text("print(1)\n")
    (root / "outputs").mkdir()
    (root / "outputs/kept.txt").write_text("tracked\n")
    git(root, "add", ".")
    git(root, "commit", "-q", "-m", "first")
    return root


def look(checkout: Path) -> Captured:
    return capture(checkout, checkout / "outputs")


def test_it_says_what_git_says(checkout: Path) -> None:
    source = look(checkout).source
    assert source is not None
    assert source.commit == git(checkout, "rev-parse", "HEAD")
    assert source.tree == git(checkout, "rev-parse", "HEAD^{tree}")
    assert (source.branch, source.dirty, source.diff) == ("main", False, None)


def test_a_subdirectory_and_a_linked_worktree_are_found(checkout: Path) -> None:
    (checkout / "deep/er").mkdir(parents=True)
    assert capture(checkout / "deep/er", checkout / "outputs").source == look(checkout).source
    git(checkout, "worktree", "add", "-q", "../other", "-b", "side")
    source = capture(checkout.parent / "other", checkout / "outputs").source
    assert source is not None
    assert source.branch == "side"


def test_tracked_changes_count_with_their_digest(checkout: Path) -> None:
    (checkout / "train.py").write_text("print(2)\n")
    first = look(checkout).source
    (checkout / "train.py").write_text("print(3)\n")
    second = look(checkout).source
    assert first is not None
    assert second is not None
    assert first.dirty
    assert first.diff != second.diff


@pytest.mark.parametrize("change", ["deleted", "staged", "mode"])
def test_every_kind_of_change_counts(checkout: Path, change: str) -> None:
    if change == "deleted":
        (checkout / "train.py").unlink()
    elif change == "staged":
        (checkout / "new.py").write_text("x")
        git(checkout, "add", "new.py")
    else:
        (checkout / "train.py").chmod(0o755)
    source = look(checkout).source
    assert source is not None
    assert source.dirty


def test_untracked_files_and_the_pushed_directory_do_not_count(checkout: Path) -> None:
    (checkout / "scratch.txt").write_text("untracked")
    (checkout / "outputs/kept.txt").write_text("changed by the job\n")
    (checkout / "outputs/model.bin").write_bytes(b"new")
    source = look(checkout).source
    assert source is not None
    assert not source.dirty


def test_outside_of_git_and_before_the_first_commit(tmp_path: Path) -> None:
    assert capture(tmp_path, tmp_path).source is None
    git(tmp_path, "init", "-q")
    found = capture(tmp_path, tmp_path)
    assert found.source is None
    assert "no commit" in found.why_not


def test_a_detached_head_has_no_branch(checkout: Path) -> None:
    git(checkout, "checkout", "-q", "--detach")
    source = look(checkout).source
    assert source is not None
    assert source.branch is None


def test_a_smudged_lfs_file_is_not_a_change(checkout: Path) -> None:
    content = b"weights" * 100
    oid = hashlib.sha256(content).hexdigest()
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"
    (checkout / "w.bin").write_text(pointer)
    git(checkout, "add", "w.bin")
    git(checkout, "commit", "-q", "-m", "pointer")
    (checkout / "w.bin").write_bytes(content)
    source = look(checkout).source
    assert source is not None
    assert not source.dirty
    (checkout / "w.bin").write_bytes(content + b"!")
    source = look(checkout).source
    assert source is not None
    assert source.dirty


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://user:secret@example.org/a/b.git", "https://example.org/a/b.git"),
        ("https://token@example.org:8443/a.git?x=1#y", "https://example.org:8443/a.git"),
        ("ssh://git@example.org/a.git", "ssh://example.org/a.git"),
        ("git@example.org:team/a.git", "ssh://example.org/team/a.git"),
        ("ext::sh -c evil", None),
        ("/srv/somebody/secret", None),
        ("file:///srv/somebody/secret", None),
        ("../elsewhere", None),
        ("https://[broken", None),
        ("", None),
    ],
)
def test_remotes_carry_no_credentials_and_no_local_paths(url: str, shown: str | None) -> None:
    assert public_url(url) == shown


def test_hostile_configuration_is_never_executed(checkout: Path) -> None:
    """Hooks, fsmonitor, filters, diff drivers, aliases and ext:: remotes: all inert."""
    trap = checkout.parent / "trap.sh"
    sprung = checkout.parent / "sprung"
    trap.write_text(f"#!/bin/sh\ntouch {sprung}\ncat\n")
    trap.chmod(trap.stat().st_mode | stat.S_IEXEC)
    (checkout / ".gitattributes").write_text("*.py filter=evil diff=evil\n")
    git(checkout, "add", ".gitattributes")
    git(checkout, "commit", "-q", "-m", "attributes")
    for key in (
        "core.fsmonitor",
        "filter.evil.clean",
        "filter.evil.smudge",
        "filter.evil.process",
        "diff.evil.textconv",
        "diff.evil.command",
        "diff.external",
        "core.sshCommand",
        "core.pager",
    ):
        git(checkout, "config", key, str(trap))
    git(checkout, "config", "filter.evil.required", "true")
    git(checkout, "config", "remote.origin.url", f"ext::{trap}")
    hooks = checkout / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "post-checkout", "pre-commit"):
        (hooks / hook).write_text(trap.read_text())
        (hooks / hook).chmod(0o755)
    (checkout / "train.py").write_text("print('changed')\n")
    source = look(checkout).source
    assert source is not None
    assert source.dirty
    assert source.remote is None
    assert not sprung.exists()
    # The trap works: git itself would have sprung it.
    subprocess.run(["git", "status"], cwd=checkout, env=ENVIRONMENT, capture_output=True)
    assert sprung.exists()
