"""A repository that wants to run something when it is read runs nothing."""

from __future__ import annotations

import os
import subprocess
import zlib
from pathlib import Path

import pytest

from stemma_attestations import gitobject
from stemma_registry.config import Limits
from stemma_registry.errors import NotFound, Refused, StemmaError, Unavailable
from stemma_registry.gitrepo import bulk, program
from stemma_registry.gitrepo.fetching import fetched
from stemma_registry.gitrepo.repository import Repository
from tests.git.hosts import host
from tests.git.repositories import ENVIRONMENT, Checkout

PROGRAMS = """
[core]
	fsmonitor = {run}
	hooksPath = {hooks}
	pager = {run}
	sshCommand = {run}
	editor = {run}
	askPass = {run}
	alternateRefsCommand = {run}
	gitProxy = {run}
[diff]
	external = {run}
[diff "x"]
	command = {run}
	textconv = {run}
[filter "x"]
	clean = {run}
	smudge = {run}
	process = {run}
	required = true
[credential]
	helper = !{run}
[gpg]
	program = {run}
[gpg "ssh"]
	program = {run}
	defaultKeyCommand = {run}
[alias]
	cat-file = !{run}
	rev-parse = !{run}
	rev-list = !{run}
[uploadpack]
	packObjectsHook = {run}
[protocol]
	allow = always
[protocol "ext"]
	allow = always
[protocol "file"]
	allow = always
[remote "origin"]
	url = ext::{run}
	fetch = +refs/heads/*:refs/remotes/origin/*
	promisor = true
	partialclonefilter = blob:none
	uploadpack = {run}
[extensions]
	partialClone = origin
[log]
	showSignature = true
"""


@pytest.fixture
def hostile(checkout: Checkout, tmp_path: Path) -> tuple[Checkout, Path]:
    """A repository in which everything that can name a program names one that leaves a trace."""
    checkout.commit("one", a="a", __gitattributes="* filter=x diff=x\n")
    trace = tmp_path / "it ran"
    run = tmp_path / "run.sh"
    run.write_text(f'#!/bin/sh\ntouch "{trace}"\ncat\n')
    run.chmod(0o755)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    for name in (
        "reference-transaction",
        "post-checkout",
        "post-index-change",
        "fsmonitor-watchman",
    ):
        (hooks / name).symlink_to(run)
        (checkout.root / ".git/hooks" / name).parent.mkdir(exist_ok=True)
        (checkout.root / ".git/hooks" / name).symlink_to(run)
    if checkout.object_format == "sha1":
        checkout.git("config", "core.repositoryformatversion", "1")
    with (checkout.root / ".git/config").open("a") as config:
        config.write(PROGRAMS.format(run=run, hooks=hooks))
    return checkout, trace


def test_git_itself_would_run_it(hostile: tuple[Checkout, Path]) -> None:
    """Else the tests below show nothing."""
    checkout, trace = hostile
    subprocess.run(
        ["git", "status"], cwd=checkout.root, env=ENVIRONMENT, capture_output=True, check=False
    )
    assert trace.exists()


def test_reading_it_runs_nothing(hostile: tuple[Checkout, Path]) -> None:
    checkout, trace = hostile
    with Repository.open(checkout.root) as repo:
        head = repo.resolve("HEAD")
        assert [file.path for file in repo.files(repo.commit(head).tree)] == [".gitattributes", "a"]
        assert repo.blob(repo.at(head, "a")[1]) == b"a"
        assert repo.refs("refs/")
        assert repo.between([head], []) == [head]
    assert not trace.exists()


def test_what_a_partial_clone_lacks_is_not_fetched(hostile: tuple[Checkout, Path]) -> None:
    checkout, trace = hostile
    with Repository.open(checkout.root) as repo:
        for missing in ("1" * len(repo.resolve("HEAD")),):
            with pytest.raises(StemmaError):
                repo.read(missing)
            with pytest.raises(StemmaError):
                repo.between([missing], [])
    assert not trace.exists()


def test_replacements_and_grafts_change_nothing(checkout: Checkout) -> None:
    first = checkout.commit("one", a="reviewed")
    checkout.git("checkout", "-q", "--orphan", "other")
    other = checkout.commit("other", a="swapped")
    checkout.git("replace", first, other)
    (checkout.root / ".git/info").mkdir(exist_ok=True)
    (checkout.root / ".git/info/grafts").write_text(f"{first} {other}\n")
    assert checkout.git("cat-file", "-p", f"{first}:a") == "swapped", "Git itself is misled"
    with Repository.open(checkout.root) as repo:
        assert repo.blob(repo.at(first, "a")[1]) == b"reviewed"
        assert repo.between([first], []) == [first]


def test_odd_names_of_references(checkout: Checkout) -> None:
    head = checkout.commit("one", a="a")
    names = ["refs/tags/--upload-pack=x", "refs/tags/ü\u202e", "refs/tags/a$(b)", "refs/tags/m@v1!"]
    for name in names:
        checkout.git("update-ref", "--", name, head)
    with Repository.open(checkout.root) as repo:
        assert {ref.name for ref in repo.refs("refs/tags/")} == set(names)
        assert repo.resolve("refs/tags/--upload-pack=x") == head
        with pytest.raises(StemmaError):
            repo.resolve("--upload-pack=x")


def test_the_environment_says_nothing(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`GIT_DIR` and its kin, as a hook of the user's has them, lead nowhere else."""
    head = checkout.commit("one", a="a")
    elsewhere = Checkout.make(tmp_path / "elsewhere", checkout.object_format)
    elsewhere.commit("other", a="b")
    monkeypatch.setenv("GIT_DIR", str(elsewhere.root / ".git"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(elsewhere.root / ".git/objects"))
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "alias.x")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", os.devnull)
    with Repository.open(checkout.root) as repo:
        assert repo.resolve("HEAD") == head


def test_submodules_are_not_followed(checkout: Checkout, tmp_path: Path) -> None:
    """What one would fetch, or run, is a name in a tree."""
    trace = tmp_path / "it ran"
    outside = Checkout.make(tmp_path / "outside", checkout.object_format)
    secret = outside.commit("one", secret="s")
    modules = f'[submodule "x"]\n\tpath = m/x\n\turl = {outside.root.as_uri()}\n'
    modules += "\tfetchRecurseSubmodules = true\n"
    checkout.commit("one", m___a="a", __gitmodules=modules)
    checkout.git("config", "submodule.recurse", "true")
    checkout.git("config", "submodule.x.update", f"!touch '{trace}'")
    checkout.git("update-index", "--add", "--cacheinfo", f"160000,{secret},m/x")
    checkout.git("commit", "-q", "-m", "with a submodule")
    with Repository.open(checkout.root) as repo:
        head = repo.resolve("HEAD")
        files = {file.path: file.mode for file in repo.files(repo.commit(head).tree)}
        assert files["m/x"] == gitobject.SUBMODULE
        with pytest.raises(NotFound):
            repo.blob(repo.at(head, "m/x")[1])
    with host(checkout.root.parent) as url:
        there = fetched(f"{url}/{checkout.root.name}/.git", tmp_path / "copy")
        with there as repo, pytest.raises(NotFound):
            repo.read(secret)
    assert not trace.exists()


def test_alternates_add_objects_and_cost_bounded_time(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects from elsewhere are held against their ids too; what never answers is left."""
    other = Checkout.make(tmp_path / "other", checkout.object_format)
    there = other.commit("there", a="elsewhere")
    head = checkout.commit("here", a="a")
    alternates = checkout.root / ".git/objects/info/alternates"
    alternates.write_text(f"/dev/zero\n{other.root}/.git/objects\n")
    blob = other.git("rev-parse", "HEAD:a")
    loose = other.root / ".git/objects" / blob[:2] / blob[2:]
    with Repository.open(checkout.root) as repo:
        assert repo.blob(repo.at(there, "a")[1]) == b"elsewhere"
    loose.chmod(0o644)
    loose.write_bytes(zlib.compress(b"blob 9\0elsewhen!"))
    with Repository.open(checkout.root) as repo, pytest.raises(StemmaError):
        repo.blob(repo.at(there, "a")[1])
    with host(checkout.root.parent) as url:  # a host's alternates are its own business
        with fetched(f"{url}/{checkout.root.name}/.git", tmp_path / "copy") as repo:
            assert repo.resolve("HEAD") == head
        assert not (tmp_path / "copy/objects/info/alternates").exists()
    silent = tmp_path / "silent"
    (silent / "info").mkdir(parents=True)
    os.mkfifo(silent / "info/alternates")
    repository = Repository.open(checkout.root)
    alternates.write_text(f"{silent}\n")
    monkeypatch.setattr(program, "LIMITS", Limits(git_seconds=0.3))
    with pytest.raises(Unavailable, match="has not ended"):  # put there behind our back
        repository.resolve("HEAD")
    for first in (f"{silent}\n", None):
        if first is None:
            alternates.unlink()
            os.mkfifo(alternates)
        with pytest.raises(Refused, match="is no list of folders"):
            Repository.open(checkout.root)


def test_small_packs_of_large_objects(checkout: Checkout) -> None:
    """What a few kilobytes unpack to is not unpacked: its size is asked first."""
    zeros = bytes(5_000_000)
    checkout.commit("one", a=zeros, b=zeros[:1000])
    checkout.git("gc", "-q")
    size = sum(path.stat().st_size for path in (checkout.root / ".git/objects").rglob("*.pack"))
    assert size < 20_000
    with Repository.open(checkout.root) as repo:
        name = repo.at(repo.resolve("HEAD"), "a")[1]
        with pytest.raises(Refused, match="more than the"):
            repo.blob(name, 1_000_000)
        (_, found), *_ = bulk.read(repo, [name], 1_000_000)
        assert "more than the" in found.fault
        assert len(repo.blob(repo.at(repo.resolve("HEAD"), "b")[1])) == 1000
