"""Git LFS pointers where a trace starts: whoever has one asks about the bytes it stands for."""

from __future__ import annotations

from pathlib import Path

from stemma_attestations import lfs_pointer
from stemma_attestations.digest import Digest


def pointed(path: Path) -> Digest | None:
    """The digest of what a file stands for; None for a file that is no pointer."""
    try:
        if not path.is_file() or path.stat().st_size > lfs_pointer.MOST:
            return None
        pointer = lfs_pointer.parse(path.read_bytes())
    except OSError:
        return None  # whoever hashes it says what is wrong
    return pointer.sha256 if pointer else None
