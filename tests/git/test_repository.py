"""Objects are read as Git has them, of both formats, and only if they are what they are called."""

from __future__ import annotations

import zlib
from pathlib import Path

import pytest

from stemma_attestations import gitobject
from stemma_attestations.gitobject import BadObject
from stemma_registry.config import LIMITS, Limits
from stemma_registry.errors import Damaged, NotFound, Refused
from stemma_registry.gitrepo import repository
from stemma_registry.gitrepo.repository import Repository
from tests.git.repositories import Checkout


def test_it_says_what_git_says(checkout: Checkout) -> None:
    first = checkout.commit("first\n\nwith a body", a__txt="a", deep___er___b__txt="b" * 5000)
    second = checkout.commit("second", c="c")
    checkout.git("tag", "-a", "-m", "a tag", "m@v1")
    checkout.git("tag", "light", first)
    with Repository.open(checkout.root / "deep/er") as repo:
        assert repo.object_format == checkout.object_format
        assert repo.worktree == checkout.root.resolve()
        assert repo.resolve("HEAD") == repo.resolve("m@v1") == second
        assert repo.resolve("HEAD~1") == repo.resolve(first[:12]) == first
        commit = repo.commit(first)
        assert commit.message == "first\n\nwith a body\n"
        assert commit.tree == checkout.git("rev-parse", f"{first}^{{tree}}")
        assert (commit.parents, commit.committer) == ((), "Ada <ada@example.org>")
        assert repo.commit(second).parents == (first,)
        refs = {ref.name: ref for ref in repo.refs("refs/tags/")}
        assert refs["refs/tags/light"].peeled == refs["refs/tags/light"].id == first
        assert refs["refs/tags/m@v1"].peeled == second
        tag = repo.tag(refs["refs/tags/m@v1"].id)
        assert (tag.object, tag.kind, tag.name, tag.signed) == (second, "commit", "m@v1", None)
        files = repo.files(repo.commit(second).tree)
        assert [file.path for file in files] == ["a.txt", "c", "deep/er/b.txt"]
        mode, name = repo.at(second, "deep/er/b.txt")
        assert (mode, repo.blob(name)) == (gitobject.BLOB, b"b" * 5000)
        assert repo.at(second, "deep") == (
            gitobject.TREE,
            checkout.git("rev-parse", "HEAD:deep"),
        )
        assert repo.between([second], [first]) == [second]


def test_a_bare_repository_and_a_linked_worktree(checkout: Checkout, tmp_path: Path) -> None:
    head = checkout.commit("one", a="a")
    checkout.git("worktree", "add", "-q", str(tmp_path / "linked"))
    checkout.git("clone", "-q", "--bare", str(checkout.root), str(tmp_path / "bare.git"))
    for where in (tmp_path / "linked", tmp_path / "bare.git", checkout.root / ".git"):
        with Repository.open(where) as repo:
            assert repo.resolve("HEAD") == head
            assert repo.blob(repo.at(head, "a")[1]) == b"a"


@pytest.mark.parametrize(
    "revision", ["nothing", "", "-h", "--all", "HEAD\nmain", "0" * 40, "a" * 2000]
)
def test_a_revision_that_is_none(checkout: Checkout, revision: str) -> None:
    checkout.commit("one", a="a")
    with Repository.open(checkout.root) as repo, pytest.raises(NotFound, match="no such revision"):
        repo.resolve(revision)


def test_a_folder_without_a_repository(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no Git repository"):
        Repository.open(tmp_path)


def test_an_object_with_other_bytes_is_not_believed(checkout: Checkout) -> None:
    """Git's own `cat-file` believes the index of a pack; a loose object it checks itself."""
    checkout.commit("one", a="the bytes that were reviewed")
    blob = checkout.git("rev-parse", "HEAD:a")
    checkout.git("repack", "-qad")
    pack = next((checkout.root / ".git/objects/pack").glob("*.pack"))
    raw = pack.read_bytes()
    old, new = (
        zlib.compress(text)
        for text in (b"the bytes that were reviewed", b"the bytes that were swapped!")
    )
    assert old in raw, "Git compresses as zlib does by default"
    if len(old) != len(new):
        new = _same_length(b"the bytes that were reviewed", len(old))
    pack.chmod(0o644)
    pack.write_bytes(raw.replace(old, new))
    with Repository.open(checkout.root) as repo, pytest.raises(Damaged, match="other bytes"):
        repo.blob(blob)


def _same_length(text: bytes, length: int) -> bytes:
    for position in range(len(text)):
        for letter in range(97, 123):
            other = text[:position] + bytes([letter]) + text[position + 1 :]
            packed = zlib.compress(other)
            if other != text and len(packed) == length:
                return packed
    raise AssertionError("no other text packs as long")


def test_limits(checkout: Checkout, monkeypatch: pytest.MonkeyPatch) -> None:
    head = checkout.commit("one", a="a" * 1000, b="b", d___c="c")
    checkout.commit("two")
    second = checkout.commit("three")
    with Repository.open(checkout.root) as repo:
        blob = repo.at(head, "a")[1]
        with pytest.raises(Refused, match="1000 bytes"):
            repo.blob(blob, 999)
        assert repo.blob(blob) == b"a" * 1000  # it goes on with another process
        monkeypatch.setattr(repository, "LIMITS", Limits(git_files=3, git_depth=0, git_commits=2))
        with pytest.raises(Refused, match="more than 2 commits"):
            repo.between([second], [])
        with pytest.raises(Refused, match="deeper than 0"):
            repo.files(repo.commit(head).tree)
        monkeypatch.setattr(repository, "LIMITS", Limits(git_files=3))
        with pytest.raises(Refused, match="more than 3 entries"):
            repo.files(repo.commit(head).tree)
    assert LIMITS.git_files > 3


@pytest.mark.parametrize(
    ("kind", "raw"),
    [
        ("commit", b"tree 12\nauthor a <a> 1 +0000\ncommitter a <a> 1 +0000\n\n"),
        ("commit", b"author a <a> 1 +0000\ncommitter a <a> 1 +0000\n\n"),
        (
            "commit",
            b"tree %b\ntree %b\nauthor a 1 +0000\ncommitter a 1 +0000\n\n" % (b"1" * 40, b"2" * 40),
        ),
        ("commit", b"tree %b\nauthor a 1 +0000\ncommitter a\n\n" % (b"1" * 40)),
        ("commit", b"tree %b\nauthor a 1 +0000\x00\ncommitter a 1 +0000\n\n" % (b"1" * 40)),
        ("commit", b""),
        ("tag", b"object %b\ntype commit\n\n" % (b"1" * 40)),
        ("tree", b"100644 a\x00short"),
        ("tree", b"100644 a/b\x00" + b"1" * 20),
        ("tree", b"777 a\x00" + b"1" * 20),
        ("tree", (b"100644 a\x00" + b"1" * 20) * 2),
        ("tree", b"100644"),
    ],
)
def test_objects_that_git_does_not_write(kind: str, raw: bytes) -> None:
    with pytest.raises(BadObject):
        if kind == "tree":
            gitobject.tree(raw, "sha1")
        else:
            getattr(gitobject, kind)(raw)
