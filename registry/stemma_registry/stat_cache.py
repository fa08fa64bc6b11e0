"""What files looked like when they were hashed, so that a push reads only what changed.

The rule is Git's: what `stat` says of a file stands for its bytes, unless the
file was changed so shortly before it was read that a later change could carry
the same time. A push asks this cache, where `stat_cache` in the configuration is not
`off`. The gate has one of its own for what it has read itself (`rechecking`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import time
from pathlib import Path

from stemma_attestations import json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import Malformed
from stemma_registry.config import LIMITS, Home

FORMAT = "urn:stemma:stats:v0.1"


class StatCache:
    """The digests of the files of one directory, by what `stat` says of them."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._known = _read(path) if path else {}
        self._noted: dict[str, list[str]] = {}

    @classmethod
    def of(cls, home: Home, root: Path) -> StatCache:
        """The cache for the directory `root`."""
        name = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
        return cls(home.stats / f"{name}.json")

    @classmethod
    def off(cls) -> StatCache:
        """A cache that knows nothing and keeps nothing."""
        return cls(None)

    def recall(self, path: str, found: os.stat_result) -> Digest | None:
        """The digest of a file that looks as it did when it was hashed."""
        known = self._known.get(path)
        if known is None or known[0] != looks(found):
            return None
        self._noted[path] = known
        return Digest("sha256", known[1])

    def note(self, path: str, found: os.stat_result, digest: Digest, started: float) -> None:
        """Remember a digest, unless a change after the reading began could go unnoticed."""
        if self._path is None:
            return
        if is_settled(found, started):
            self._noted[path] = [looks(found), digest.value]

    def save(self) -> None:
        """Write down what was recalled and noted. A home that cannot be written is no error."""
        if self._path is None or self._noted == self._known:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            forget_old(self._path.parent)
            work = self._path.with_name(f".{self._path.name}.{secrets.token_hex(6)}")
            try:
                work.write_text(json.dumps({"format": FORMAT, "files": self._noted}))
                os.replace(work, self._path)
            finally:
                work.unlink(missing_ok=True)


def now() -> float:
    """The time that file systems stamp files with, in seconds."""
    return time.time()


def is_settled(found: os.stat_result, started: float) -> bool:
    """Whether a file was last changed so long before that another change has another time."""
    changed = max(found.st_mtime_ns, found.st_ctime_ns) / 1e9
    return changed < started - LIMITS.racy_seconds


def looks(found: os.stat_result) -> str:
    """All of what `stat` says that a change would change."""
    stamps = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return ":".join(map(str, stamps))


def _read(path: Path) -> dict[str, list[str]]:
    """What is written there; nothing where it cannot be read, or is not whole."""
    try:
        document = json_strict.load_object(path.read_bytes(), max_bytes=LIMITS.manifest_bytes)
        if document["format"] != FORMAT:
            return {}
        files = {
            p: [str(looks), Digest("sha256", d).value]
            for p, (looks, d) in document["files"].items()
        }
    except (OSError, Malformed, KeyError, TypeError, ValueError, AttributeError):
        return {}
    return files


def forget_old(folder: Path) -> None:
    """Take away what nobody has used for long. Raises OSError."""
    for path in folder.iterdir():
        if time.time() - path.stat().st_mtime > LIMITS.stale_stats_seconds:
            path.unlink(missing_ok=True)
