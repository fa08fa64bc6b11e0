"""Which paths a manifest may hold.

A manifest is unpacked on machines that are not ours: Linux, macOS, Windows,
case-folding and normalising file systems, and inside Git checkouts. A path is
refused if it would mean something else, or the same as another, on any of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable

from stemma_attestations.errors import BadPath

MAX_COMPONENT_BYTES = 255
MAX_PATH_BYTES = 4096
MAX_FOLDERS = 500_000  # different ones among the paths that are checked together

_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What HFS+ leaves out when it compares names; git refuses `.g<ZWNJ>it` for this reason.
_IGNORABLE = dict.fromkeys(
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF]
)
_DEVICE = re.compile(
    r"(?:con|prn|aux|nul|conin\$|conout\$|com[0-9\u00b9\u00b2\u00b3]|lpt[0-9\u00b9\u00b2\u00b3])"
    r"[ ]*(?:\..*)?\Z",
    re.IGNORECASE | re.DOTALL,
)
_GIT = re.compile(r"(?:\.git|git~[0-9]+)\Z")


def check_path(path: str) -> str:
    """Return `path` (relative, `/` between components), or raise BadPath."""
    try:
        encoded = path.encode("utf-8")
    except UnicodeEncodeError as error:
        raise BadPath(f"path {path!r:.80} is not Unicode text") from error
    if not path:
        raise BadPath("an empty path")
    if len(encoded) > MAX_PATH_BYTES:
        raise BadPath(f"path {path!r:.60} is longer than {MAX_PATH_BYTES} bytes")
    reason = _bad_characters(path)
    if reason is None:
        reason = next(filter(None, map(_bad_component, path.split("/"))), None)
    if reason is not None:
        raise BadPath(f"path {path!r:.80}: {reason}")
    return path


def _bad_characters(path: str) -> str | None:
    if path.startswith("/"):
        return "absolute paths are refused"
    if "\\" in path:
        return "a backslash is a separator on Windows"
    if ":" in path:
        return "a colon is a drive or a stream on Windows"
    for character in path:
        if character in _BIDI:
            return f"bidirectional control character U+{ord(character):04X}"
        if unicodedata.category(character) in ("Cc", "Zl", "Zp"):
            return f"control character U+{ord(character):04X}"
    return None


def _bad_component(component: str) -> str | None:
    if component in ("", ".", ".."):
        return "empty, . and .. components are refused"
    if len(component.encode("utf-8")) > MAX_COMPONENT_BYTES:
        return f"a component is longer than {MAX_COMPONENT_BYTES} bytes"
    if component[-1] in ". ":
        return "a component ends with a dot or a space, which Windows drops"
    if _DEVICE.match(component):
        return "a component is a device on Windows"
    if _GIT.match(folded(component.translate(_IGNORABLE))):
        return "a component is .git, by one of its spellings"
    return None


def folded(path: str) -> str:
    """The form in which two paths collide on a case-folding, normalising file system."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


class _Folder:
    """What was met in one directory: folded name -> the name as written, and what it is."""

    __slots__ = ("files", "folders", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.files: dict[str, str] = {}
        self.folders: dict[str, _Folder] = {}


def check_paths(paths: Iterable[str]) -> None:
    """Check each path, and that none would replace another. Raises BadPath."""
    top, folders = _Folder(""), 0
    for path in paths:
        *parents, name = check_path(path).split("/")
        here = top
        for parent in parents:
            key = folded(parent)
            below = here.folders.get(key)
            if below is None:
                below = here.folders[key] = _Folder(parent)
                folders += 1
                if folders > MAX_FOLDERS:
                    raise BadPath(f"more than {MAX_FOLDERS} different folders")
            if below.name != parent:
                raise BadPath(
                    f"directories {below.name!r:.80} and {parent!r:.80} of {path!r:.80} are one "
                    "on some file systems"
                )
            if key in here.files:
                raise BadPath(f"path {here.files[key]!r:.80} is a file and a directory")
            here = below
        key = folded(name)
        if key in here.folders:
            raise BadPath(f"path {path!r:.80} is a file and a directory")
        other = here.files.get(key)
        if other is not None:
            raise BadPath(f"paths {other!r:.80} and {path!r:.80} are one on some file systems")
        here.files[key] = path
