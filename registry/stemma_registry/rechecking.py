"""A directory that was whole before: files that look as they did then are not read again.

Only for `stemma verify DIR`, and only where the policy says `recheck: stat`. The first
check reads everything; what a file looked like when it was read is noted in the home, once
the whole directory had the bytes that were expected. A push has a cache of its own, which
is never asked here. What `stat` cannot tell is in docs/decisions/0022-what-is-remembered.md.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_attestations.manifest import Manifest
from stemma_attestations.observed import Observed, differences
from stemma_attestations.times import format_time, parse_time
from stemma_registry import directory, files, filesystems, stat_cache
from stemma_registry.blobs.streams import Progress
from stemma_registry.config import LIMITS, Home
from stemma_registry.errors import Unavailable

FORMAT = "urn:stemma:recheck:v0.1"
# Of a file: what `stat` said of it, its SHA-256, and when it was read.
Row = tuple[str, str, str]


@dataclass
class Checked:
    """What is known of the files of one directory. `path` is None where nothing is kept."""

    root: Path
    path: Path | None
    now: str
    distrusted: str | None = None
    _known: dict[str, Row] = field(default_factory=dict)
    _noted: dict[str, Row] = field(default_factory=dict)
    _unread: dict[str, str] = field(default_factory=dict)
    _unsettled: set[str] = field(default_factory=set)
    _mounted: Mapping[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, home: Home, root: Path, allowed: bool, now: datetime) -> Checked:
        """Of `root`; where it is not `allowed` every file is read, and nothing is kept."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
        path = home.rechecks / f"{name}.json"
        reason = files.written_by_others(path) if allowed else None
        if not allowed or reason is not None:
            return cls(root, None, format_time(now), reason)
        kept = cls(root, path, format_time(now), None, _read(path))
        kept._mounted = filesystems.mounted()
        return kept

    def observe(self, progress: Progress | None) -> Observed:
        """The directory as it is. Raises as `directory.scan` and `directory.observe`."""
        found = directory.observe(directory.scan(self.root), progress, cache=self)
        if not self._unread:
            return found
        since = parse_time(min(self._unread.values()))
        return replace(found, unread=len(self._unread), since=since)

    def keep(self, manifest: Manifest, observed: Observed) -> None:
        """Note what was read, where it is what was expected, all of it; else forget it."""
        if self.path is None:
            return
        with contextlib.suppress(OSError, Unavailable):
            if differences(manifest, observed):
                self.path.unlink(missing_ok=True)
            elif self._noted != self._known:
                document = {"format": FORMAT, "files": self._noted}
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                stat_cache.forget_old(self.path.parent)
                files.replace(self.path, "list of checked files", json.dumps(document).encode())

    @property
    def notes(self) -> tuple[str, ...]:
        """What people should know of it."""
        if self.distrusted is None:
            return ()
        return (f"every file was read: {self.distrusted}",)

    def recall(self, path: str, found: os.stat_result) -> Digest | None:
        """The digest of a file that looks as it did when it was read."""
        if self.path is None:
            return None
        known = self._known.get(path)
        if known is None or known[0] != stat_cache.looks(found):
            self._settle(path)
            return None
        self._noted[path] = known
        self._unread[path] = known[2]
        return Digest("sha256", known[1])

    def note(self, path: str, found: os.stat_result, digest: Digest, started: float) -> None:
        """A file was read, and looked so afterwards."""
        if self.path is None or path in self._unsettled:
            return
        if self._mounted.get(found.st_dev) not in filesystems.LEAVE_TRACES:
            return
        if stat_cache.is_settled(found, started):
            self._noted[path] = stat_cache.looks(found), digest.value, self.now

    def _settle(self, path: str) -> None:
        """Have a file written out before it is read.

        Whoever has it in his memory (mmap) could change a page that waits to be written
        without a trace in its times; the next change after this leaves one.
        """
        try:
            with directory.open_beneath(self.root, path) as source:
                os.fsync(source.fileno())
        except OSError:
            self._unsettled.add(path)


def _read(path: Path) -> dict[str, Row]:
    """What is written there; nothing where it cannot be read, or is not whole."""
    try:
        document = json_strict.load_object(path.read_bytes(), max_bytes=LIMITS.manifest_bytes)
        if document["format"] != FORMAT:
            return {}
        return {
            name: (str(looks), Digest("sha256", digest).value, format_time(parse_time(when)))
            for name, (looks, digest, when) in document["files"].items()
        }
    except (OSError, Malformed, KeyError, TypeError, ValueError, AttributeError):
        return {}
