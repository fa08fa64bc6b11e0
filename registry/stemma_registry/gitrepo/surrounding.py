"""The repository around a path, opened by libgit2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pygit2

_NONE = "Repository not found at "  # how libgit2's binding says so


def surrounding(path: Path) -> pygit2.Repository | None:
    """What is found at a path or above it, if anything.

    Raises pygit2.GitError for what cannot be read. `pygit2.discover_repository` is not asked:
    where it finds none it gives a reference to None away that is not its own (1.21, before Python
    3.12), and a process that asks often enough is ended by that.
    """
    import pygit2
    from pygit2.enums import RepositoryOpenFlag

    try:
        return pygit2.Repository(str(path), RepositoryOpenFlag(0))
    except pygit2.GitError as error:
        if str(error).startswith(_NONE):
            return None
        raise
