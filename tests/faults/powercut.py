"""What a power cut would leave, told from the calls that were made.

A file's bytes are safe once the file was fsynced behind its last write; a name
is safe once its directory was fsynced behind the link, rename or mkdir that
made it. A failed fsync makes nothing safe, and the bytes it was for are lost:
a later fsync of the same file does not bring them back. That is less than most
file systems promise, and all that POSIX does.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from tests.faults.scene import Scene
from tests.faults.tracer import Call

_SYNCS = frozenset({"fsync", "fdatasync"})
_WRITES = frozenset({"write", "pwrite64", "pwritev", "writev", "ftruncate", "fallocate"})


class PowerCut:
    """Which names and bytes below `root` are not safe. Feed it calls in their order."""

    def __init__(self, root: str) -> None:
        self.root = root
        self.names: set[str] = set()
        self.bytes: set[str] = set()
        self.lost: set[str] = set()

    def feed(self, calls: Iterable[Call]) -> PowerCut:
        """Take calls into account; itself."""
        for call in calls:
            if call.name in _SYNCS:
                self._sync(call.paths[0], call.result == 0)
            elif call.result is not None and call.result >= 0:
                self._change(call)
        return self

    def would_lose(self, path: str) -> list[str]:
        """What of `path` is not safe: its bytes, its name, or that of a directory above it."""
        lost = [f"the bytes of {path}"] if path in self.bytes | self.lost else []
        while path.startswith(self.root):
            if path in self.names:
                lost.append(f"the name {path}")
            path = os.path.dirname(path)
        return lost

    def _sync(self, path: str, worked: bool) -> None:
        if not worked:
            self.lost |= {path} & self.bytes
            return
        self.bytes.discard(path)
        self.names = {name for name in self.names if os.path.dirname(name) != path}

    def _change(self, call: Call) -> None:
        if call.name in _WRITES:
            self.bytes.add(call.paths[0])
        elif call.name == "openat" and "O_EXCL" in call.arguments and call.opened:
            self.names.add(call.opened)
        elif call.name == "mkdirat" or call.name == "mkdir":
            self.names.add(_joined(call, 0))
        elif call.name.startswith(("rename", "link")):
            self._named(_joined(call, 0), _joined(call, 1), call.name.startswith("rename"))
        elif call.name.startswith("unlink"):
            self._forget(_joined(call, 0))

    def _named(self, old: str, new: str, moved: bool) -> None:
        unsafe, lost = old in self.bytes, old in self.lost
        self._forget(new)
        self.names.add(new)
        if unsafe:
            self.bytes.add(new)
        if lost:
            self.lost.add(new)
        if moved:
            self._forget(old)

    def _forget(self, path: str) -> None:
        for known in (self.names, self.bytes, self.lost):
            known.discard(path)


def _joined(call: Call, index: int) -> str:
    """The path of the call's first or second name."""
    name = call.texts[index]
    at = call.paths[index] if len(call.paths) > index else ""
    return os.path.normpath(os.path.join(at, name))


def losses(scene: Scene, cut: PowerCut) -> list[str]:
    """What of the ledger, and of every blob it refers to, a power cut would take."""
    needed: list[str] = [str(path) for path in sorted((scene.registry / "ledger").rglob("*.json"))]
    for entry in scene.entries():
        for event in entry["events"]:
            for field in ("artifacts", "bundles", "keys"):
                needed += [str(scene.blob(digest)) for digest in event.get(field, [])]
            for digest in event.get("artifacts", []):
                needed += [str(scene.blob(f"sha256:{d}")) for d in scene.files_of(digest)]
    return list(dict.fromkeys(line for path in needed for line in cut.would_lose(path)))
