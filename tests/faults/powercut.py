"""What a power cut would leave, told from the calls that were made.

A file's bytes are safe once the file was fsynced behind its last write; a name
is safe once its directory was fsynced behind the link, rename or mkdir that
made it. Of two calls that overlap in different threads, neither is behind the
other. A failed fsync makes nothing safe, and the bytes it was for are lost: a
later fsync of the same file does not bring them back. That is less than most
file systems promise, and all that POSIX does.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable

from tests.faults.scene import Scene
from tests.faults.tracer import Call

_SYNCS = frozenset({"fsync", "fdatasync"})
_WRITES = frozenset(
    {"write", "pwrite64", "pwritev", "writev", "ftruncate", "fallocate", "copy_file_range"}
)
_WRITTEN = {"copy_file_range": 1}  # which of its descriptors is the one that is written


class PowerCut:
    """Which names and bytes below `root` are not safe. Feed it calls in the order they ended."""

    def __init__(self, root: str) -> None:
        self.root = root
        # Path -> how many calls had ended when it was last changed.
        self.names: dict[str, int] = {}
        self.bytes: dict[str, int] = {}
        self.lost: set[str] = set()
        self._ended = 0

    def feed(self, calls: Iterable[Call]) -> PowerCut:
        """Take calls into account; itself."""
        for call in calls:
            self._ended += 1
            if call.name in _SYNCS:
                # What changed while it was under way may have come too late for it.
                before = self._ended - 1 - call.overlap
                self._sync(call.paths[0], call.result == 0, before)
            elif call.result is not None and call.result >= 0:
                self._change(call)
        return self

    def would_lose(self, path: str) -> list[str]:
        """What of `path` is not safe: its bytes, its name, or that of a directory above it."""
        lost = [f"the bytes of {path}"] if path in self.bytes or path in self.lost else []
        while path.startswith(self.root):
            if path in self.names:
                lost.append(f"the name {path}")
            path = os.path.dirname(path)
        return lost

    def _sync(self, path: str, worked: bool, before: int) -> None:
        if not worked:
            self.lost |= {path} & self.bytes.keys()
            return
        if self.bytes.get(path, before + 1) <= before:
            del self.bytes[path]
        self.names = {
            name: ended
            for name, ended in self.names.items()
            if os.path.dirname(name) != path or ended > before
        }

    def _change(self, call: Call) -> None:
        if call.name in _WRITES:
            self.bytes[call.paths[_WRITTEN.get(call.name, 0)]] = self._ended
        elif call.name == "ioctl":
            if "FICLONE" in call.arguments:
                self.bytes[call.paths[0]] = self._ended
        elif call.name == "openat" and "O_EXCL" in call.arguments and call.opened:
            self.names[call.opened] = self._ended
        elif call.name == "mkdirat" or call.name == "mkdir":
            self.names[_joined(call, 0)] = self._ended
        elif call.name.startswith(("rename", "link")):
            self._named(_joined(call, 0), _joined(call, 1), call.name.startswith("rename"))
        elif call.name.startswith("unlink"):
            self._forget(_joined(call, 0))

    def _named(self, old: str, new: str, moved: bool) -> None:
        changed, lost = self.bytes.get(old), old in self.lost
        self._forget(new)
        self.names[new] = self._ended
        if changed is not None:
            self.bytes[new] = changed
        if lost:
            self.lost.add(new)
        if moved:
            self._forget(old)

    def _forget(self, path: str) -> None:
        self.names.pop(path, None)
        self.bytes.pop(path, None)
        self.lost.discard(path)


def _joined(call: Call, index: int) -> str:
    """The path of the call's first or second name."""
    name = call.texts[index]
    at = call.paths[index] if len(call.paths) > index else ""
    return os.path.normpath(os.path.join(at, name))


def losses(scene: Scene, cut: PowerCut, store: str = "registry") -> list[str]:
    """What of a store's ledger, and of every blob that refers to, a power cut would take."""
    root = scene.folder / store
    ledger = sorted((root / "ledger").rglob("*.json"))
    needed: list[str] = [str(path) for path in ledger]
    for entry in (json.loads(path.read_bytes()) for path in ledger):
        for event in entry["events"]:
            for field in ("artifacts", "bundles", "keys"):
                needed += [str(scene.blob(digest, store)) for digest in event.get(field, [])]
            for digest in event.get("artifacts", []):
                files = scene.files_of(digest, store)
                needed += [str(scene.blob(f"sha256:{d}", store)) for d in files]
    return list(dict.fromkeys(line for path in needed for line in cut.would_lose(path)))
