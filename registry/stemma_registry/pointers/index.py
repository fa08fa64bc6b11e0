"""Git's index, after a file was replaced by its pointer or a pointer by its file.

Git calls a file changed whose size is not that of its entry, and does not ask its filter. So the
entries of such files lose what they say of sizes and times: then `git status` compares bytes,
through the user's filter, and finds that nothing changed. No filter is run here.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from stemma_attestations import gitobject
from stemma_attestations.lfs_pointer import Pointer
from stemma_registry.errors import Refused, Unavailable
from stemma_registry.gitrepo import program
from stemma_registry.gitrepo.repository import Repository
from stemma_registry.pointers.worktree import Place


def refresh(place: Place, pointers: Mapping[str, Pointer]) -> bool:
    """Let Git look at these paths again, where they are staged as just these pointers.

    False where the index could not be written: another Git is at work, and `git status` may call
    the files changed until `git add` looks at them.
    """
    if not pointers:
        return True
    try:
        lines = _staged(place, pointers)
        if lines:
            program.run(place.git, "update-index", "-z", "--index-info", stdin=b"".join(lines))
    except (Refused, Unavailable):
        return False
    return True


def _staged(place: Place, pointers: Mapping[str, Pointer]) -> list[bytes]:
    """Lines for `--index-info`: mode, id, stage and path of those that are staged as they are."""
    with Repository.open(place.root) as repo:
        form = repo.object_format
    found = []
    for line in program.run(place.git, "ls-files", "-z", "--stage", at=place.root).split(b"\0"):
        head, _, path = line.partition(b"\t")
        pointer = pointers.get(os.fsdecode(path)) if path else None
        if pointer is None:
            continue
        _, name, stage = head.decode().split(" ")
        if stage == "0" and name == gitobject.identify("blob", pointer.raw, form):
            found.append(line + b"\0")
    return found
