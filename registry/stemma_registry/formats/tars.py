"""Tar archives, PyTorch's oldest form among them (`sys_info`, `pickle`, `storages`, `tensors`).

The storages of that form have raw bytes between their pickles, which are not walked: such
a file is undecided. Nobody has written one since 2017.
"""

from __future__ import annotations

import tarfile

from stemma_registry.formats.findings import Look, Stop
from stemma_registry.formats.sources import AsFile, Source, Window

_TORCH = {"sys_info", "pickle", "storages", "tensors"}
_WALKED = {"storages", "tensors"}


def is_one(source: Source) -> bool:
    """Whether the file has the mark of a tar archive, or a header whose sum is right."""
    head = source.read_at(0, 512)
    if len(head) < 512:
        return False
    if head[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


def look(look: Look, source: Source) -> str:
    """Look at every regular file in it; the form of the archive."""
    names: set[str] = set()
    try:
        with tarfile.open(
            fileobj=AsFile(source, look.budget.bounds.directory),
            mode="r:",
        ) as archive:
            while (member := archive.next()) is not None:
                look.budget.spend("members")
                if member.name in names:
                    look.add("archive-malformed", f"{member.name!r:.80} is there twice")
                names.add(member.name)
                _member(look, source, member)
                archive.members = []  # type: ignore[attr-defined] # they would all be kept
    except Stop:
        raise
    except Exception as error:  # the seam: a hostile archive fails in many ways
        raise Stop("archive-malformed", f"tar: {error or type(error).__name__}"[:200]) from error
    if names >= _TORCH:
        look.formats.add("pickle")
        return "torch-tar"
    return "tar"


def _member(look: Look, source: Source, member: tarfile.TarInfo) -> None:
    if member.isdir():
        return
    if member.issym() or member.islnk():
        look.add("not-a-file", f"{member.name!r:.80} is a link")
    elif not member.isreg() or member.sparse is not None:
        look.add("not-a-file", f"{member.name!r:.80} is no plain file")
    elif member.offset_data + member.size > source.size:
        look.add("archive-malformed", f"{member.name!r:.80} ends behind the end of the file")
    else:
        if member.name in _WALKED:
            look.add("too-much", f"{member.name}: storages of PyTorch's oldest form are not walked")
        look.inside(Window(source, member.offset_data, member.size), member.name)
