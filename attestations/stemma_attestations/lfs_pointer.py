"""Git LFS pointers: a small text file that stands for the bytes it names.

https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from stemma_attestations.digest import Digest

MOST = 1023  # bytes of a pointer: `git lfs` takes what has 1024 for a file of its own
VERSION = "https://git-lfs.github.com/spec/v1"
_MAX_SIZE = 2**63 - 1
# What it was called before; `git lfs` reads these and writes none of them.
_VERSIONS = (VERSION, "https://hawser.github.com/spec/v1", "http://git-media.io/v/2")
_FORM = re.compile(
    rb"version (?:%s)\n(?P<extensions>(?:ext-[0-9]-[^\n]*\n)*)"
    rb"oid sha256:(?P<oid>[0-9a-f]{64})\nsize (?P<size>[0-9]{1,19})\n?\Z"
    % b"|".join(re.escape(version.encode()) for version in _VERSIONS)
)


@dataclass(frozen=True)
class Pointer:
    """What a pointer says. `extended`: a program makes other bytes of those it names."""

    sha256: Digest
    size: int
    extended: bool = False

    @property
    def raw(self) -> bytes:
        """The canonical bytes, which `git lfs` writes too. Of one that is not `extended`."""
        return f"version {VERSION}\noid sha256:{self.sha256.value}\nsize {self.size}\n".encode()


def parse(data: bytes) -> Pointer | None:
    """What these bytes say; None where they are no pointer."""
    match = _FORM.match(data) if len(data) <= MOST else None
    if match is None or int(match["size"]) > _MAX_SIZE:
        return None
    oid = Digest("sha256", match["oid"].decode())
    return Pointer(oid, int(match["size"]), bool(match["extensions"]))
