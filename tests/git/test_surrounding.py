"""The repository around a path, and what is asked of libgit2's binding."""

from __future__ import annotations

import sys
from pathlib import Path

import pygit2
import pytest

from stemma_registry.gitrepo.surrounding import surrounding


def test_it_is_the_nearest_one(tmp_path: Path) -> None:
    pygit2.init_repository(str(tmp_path / "a"))
    (tmp_path / "a/b/c").mkdir(parents=True)
    found = surrounding(tmp_path / "a/b/c")
    assert found is not None
    assert Path(found.workdir).resolve() == (tmp_path / "a").resolve()
    assert surrounding(tmp_path) is None
    assert surrounding(tmp_path / "nowhere") is None


def test_one_that_cannot_be_read_is_not_none(tmp_path: Path) -> None:
    pygit2.init_repository(str(tmp_path))
    (tmp_path / ".git/config").write_text("[core]\nrepositoryformatversion = 99\n")
    with pytest.raises(pygit2.GitError, match="version 99"):
        surrounding(tmp_path)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="None has no number of references there")
def test_a_miss_gives_nothing_away(tmp_path: Path) -> None:
    """Whoever asked for a repository ten thousand times was ended by the interpreter."""
    for _ in range(10):
        surrounding(tmp_path)
    before = sys.getrefcount(None)
    for _ in range(1_000):
        assert surrounding(tmp_path) is None
    assert sys.getrefcount(None) > before - 500
