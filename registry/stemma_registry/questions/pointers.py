"""Git LFS pointers: a small text file that stands for the bytes it names.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from pathlib import Path

from stemma_attestations.digest import Digest

_MOST = 1024  # bytes of a pointer, by its specification
_FORM = re.compile(
    rb"version https://(?:git-lfs\.github\.com|hawser\.github\.com)/spec/v1\n"
    rb"(?:ext-[^\n]*\n)*oid sha256:([0-9a-f]{64})\nsize [0-9]{1,20}\n?\Z"
)


def pointed(path: Path) -> Digest | None:
    """The digest of what a file stands for; None for a file that is no pointer."""
    try:
        if not path.is_file() or path.stat().st_size > _MOST:
            return None
        match = _FORM.match(path.read_bytes())
    except OSError:
        return None  # whoever hashes it says what is wrong
    return Digest("sha256", match[1].decode()) if match else None
