"""A repository elsewhere is fetched whole, within bounds, and nothing that it says is run."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stemma_registry.errors import NotFound, Refused, StemmaError, Unavailable
from stemma_registry.gitrepo import fetching
from stemma_registry.gitrepo.fetching import fetched
from tests.git.hosts import host
from tests.git.repositories import Checkout


@pytest.fixture
def served(checkout: Checkout) -> Iterator[tuple[Checkout, str]]:
    with host(checkout.root.parent) as url:
        yield checkout, f"{url}/{checkout.root.name}/.git"


def test_what_is_fetched_is_what_is_there(served: tuple[Checkout, str], tmp_path: Path) -> None:
    checkout, url = served
    first = checkout.commit("one", a="a")
    checkout.git("tag", "v1")
    head = checkout.commit("two", a="b")
    with fetched(url, tmp_path / "copy") as repo:
        assert repo.object_format == checkout.object_format
        assert (repo.resolve("HEAD"), repo.resolve("v1")) == (head, first)
        assert repo.blob(repo.at(head, "a")[1]) == b"b"
        assert repo.between([head], [first]) == [head]
    assert not list((tmp_path / "copy/hooks").glob("*"))
    assert (tmp_path / "copy").stat().st_mode & 0o77 == 0


def test_again_brings_what_is_new_and_drops_what_is_gone(
    served: tuple[Checkout, str], tmp_path: Path
) -> None:
    checkout, url = served
    checkout.commit("one", a="a")
    checkout.git("tag", "v1")
    fetched(url, tmp_path / "copy").close()
    checkout.git("tag", "-d", "v1")
    checkout.git("commit", "-q", "--amend", "-m", "another")
    head = checkout.git("rev-parse", "HEAD")
    with fetched(url, tmp_path / "copy") as repo:
        assert repo.resolve("main") == head
        assert repo.refs("refs/tags/") == []


def test_one_revision_without_its_history(served: tuple[Checkout, str], tmp_path: Path) -> None:
    checkout, url = served
    first = checkout.commit("one", a="a")
    checkout.git("tag", "-a", "v1", "-m", "v1")
    checkout.commit("two", a="b")
    with fetched(url, tmp_path / "copy", ["v1"], depth=1) as repo:
        assert repo.resolve("HEAD") == first
        assert repo.refs("refs/heads/") == []
    with fetched(url, tmp_path / "other", [first], depth=1) as repo:
        assert repo.resolve("HEAD") == first
    with pytest.raises(NotFound):
        fetched(url, tmp_path / "third", ["v2"], depth=1)


def test_an_empty_repository_has_nothing(served: tuple[Checkout, str], tmp_path: Path) -> None:
    _, url = served
    with fetched(url, tmp_path / "copy") as repo:
        assert repo.refs("refs/") == []


def test_a_path_is_read_where_it_is(checkout: Checkout, tmp_path: Path) -> None:
    head = checkout.commit("one", a="a")
    for text in (str(checkout.root), checkout.root.as_uri()):
        with fetched(text, tmp_path / "copy") as repo:
            assert repo.resolve("HEAD") == head
    assert not (tmp_path / "copy").exists()


def test_ssh_is_the_users_own(
    checkout: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the configuration of the user; a real server's end of it, without a network."""
    head = checkout.commit("one", a="a")
    ssh = tmp_path / "ssh"
    ssh.write_text('#!/bin/sh\nfor last; do :; done\nexec sh -c "$last"\n')
    ssh.chmod(0o755)
    home = tmp_path / "home"
    home.mkdir()
    (home / ".gitconfig").write_text(
        f"[core]\n\tsshCommand = {ssh}\n[ssh]\n\tvariant = ssh\n[safe]\n\tdirectory = *\n"
    )
    monkeypatch.setenv("HOME", str(home))
    for number, url in enumerate(
        (f"ssh://git@example.org{checkout.root}/.git", f"git@example.org:..{checkout.root}/.git")
    ):
        with fetched(url, tmp_path / f"copy{number}") as repo:
            assert repo.resolve("main") == head


@pytest.mark.parametrize(
    "url",
    [
        "ext::sh -c touch% /it-ran",
        "ext::https://example.org/x",
        "git://example.org/x",
        "http://example.org/x",
        "ftp://example.org/x",
        "ssh://-oProxyCommand=touch/x",
        "https:///x",
        "fd::17",
        "-oProxyCommand=x:y::z",
        "file://example.org/x",
        "https://example.org/a b",
    ],
)
def test_other_transports_are_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(StemmaError) as raised:
        fetched(url, tmp_path / "copy")
    assert isinstance(raised.value, Refused | NotFound)
    assert not (tmp_path / "copy").exists()


@pytest.mark.parametrize("ref", ["--upload-pack=x", "a:b", "+a", "a..b", "*", "a@{1}", "refs/../x"])
def test_what_is_no_name_of_a_reference_is_refused(ref: str, tmp_path: Path) -> None:
    with pytest.raises(Refused):
        fetched("https://127.0.0.1:9/x", tmp_path / "copy", [ref])


def test_a_host_that_sends_too_much_is_cut_off(
    served: tuple[Checkout, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, url = served
    checkout.commit("one", a=os.urandom(3_000_000))
    small = dataclasses.replace(fetching.LIMITS, git_fetch_bytes=1_000_000)
    monkeypatch.setattr(fetching, "LIMITS", small)
    with pytest.raises((Refused, Unavailable)):
        fetched(url, tmp_path / "copy")


def test_a_host_that_says_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    monkeypatch.setattr(fetching, "LIMITS", dataclasses.replace(fetching.LIMITS, git_seconds=0.5))
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(Unavailable, match="has not ended"),
    ):
        fetched(f"http://127.0.0.1:{silent.getsockname()[1]}/x", tmp_path / "copy")


def test_objects_that_git_would_not_take_are_refused(
    served: tuple[Checkout, str], tmp_path: Path
) -> None:
    checkout, url = served
    checkout.commit("one", a="a")
    blob = checkout.git("hash-object", "-w", "a")
    width = bytes.fromhex(blob)
    tree = checkout.git(
        "hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=b"100644 .git\0" + width
    )
    evil = checkout.git("commit-tree", tree, "-m", "evil")
    checkout.git("update-ref", "refs/heads/evil", evil)
    with pytest.raises(Unavailable, match="fsck"):
        fetched(url, tmp_path / "copy")
