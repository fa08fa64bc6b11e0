"""On which file systems what `stat` says can stand for the bytes.

A file that is changed in memory (mmap) gets a new change time when its page is first
written after it was written out: ext4 and its like do that, tmpfs does not, and of network
file systems and FUSE nobody here can tell.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

LEAVE_TRACES = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs"})
_MOUNTS = Path("/proc/self/mountinfo")


def mounted() -> Mapping[int, str]:
    """Device number (`st_dev`) -> type of the file system; nothing where it cannot be told."""
    try:
        return parse(_MOUNTS.read_text(errors="replace"))
    except OSError:
        return {}


def parse(text: str) -> dict[int, str]:
    """The same, of the lines of proc(5)'s mountinfo; what is not such a line is passed over."""
    found: dict[int, str] = {}
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, kind = left.split(" "), right.split(" ")[0]
        major, colon, minor = (fields[2] if len(fields) > 2 else "").partition(":")
        if colon and kind and major.isdecimal() and minor.isdecimal():
            found[os.makedev(int(major), int(minor))] = kind
    return found
