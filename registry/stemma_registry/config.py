"""Where things are, and every limit by its name."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Limits:
    """Bounds on time and memory. Past one, the answer is an error, never a guess."""

    append_seconds: float = 120.0  # how long an append competes for its place in the ledger
    busy_seconds: float = 60.0  # how long a catalogue write waits for another
    small_object_bytes: int = 96 * 1024 * 1024  # bundles, keys, entries, status files
    manifest_bytes: int = 128 * 1024 * 1024
    ancestors: int = 1_000_000  # states one verdict may visit
    paths: int = 10  # evidence paths that are listed
    packages: int = 5_000  # packages of an environment that go into a BOM
    stale_temporary_seconds: float = 24 * 3600.0  # older temporary files are swept
    transfers: int = 8  # files that are read or written at once
    racy_seconds: float = 2.0  # the coarsest time stamps of a file system, FAT's
    stale_stats_seconds: float = 90 * 24 * 3600.0  # a stat cache that nobody used for so long
    snapshot_tries: int = 100  # while others empty the catalogue
    # Part of the protocol (docs/store.md): how long nobody relies on a blob that may be being
    # deleted, and how long a deleter starts deletions. Never make the first shorter.
    collect_lease_seconds: float = 300.0
    collect_start_seconds: float = 150.0
    collect_poll_seconds: float = 0.2  # how soon a waiting writer looks again, at first
    collect_batch: int = 1_000  # blobs that one entry condemns or collects
    collect_grace_seconds: float = 7 * 24 * 3600.0  # from condemned to deleted
    restore_tries: int = 10  # how often a writer puts what was collected under its hands


LIMITS = Limits()


@dataclass(frozen=True)
class Home:
    """What belongs to this user on this machine: key, trust root, heads seen."""

    path: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Home:
        """`$STEMMA_HOME`, else `~/.stemma` of `$HOME`, else of the password database."""
        named = environ.get("STEMMA_HOME")
        if named:
            return cls(Path(named).absolute())
        home = environ.get("HOME")
        return cls((Path(home) if home else Path.home()).absolute() / ".stemma")

    @property
    def registry(self) -> Path:
        """The default registry."""
        return self.path / "registry"

    @property
    def key(self) -> Path:
        """The signing key, mode 0600."""
        return self.path / "key.pem"

    @property
    def public_key(self) -> Path:
        """The public half, to give to others."""
        return self.path / "key.pub"

    @property
    def trust(self) -> Path:
        """The trust root."""
        return self.path / "trust.yaml"

    @property
    def heads(self) -> Path:
        """The highest ledger head seen of each registry."""
        return self.path / "heads"

    @property
    def configuration(self) -> Path:
        """How stores are used from here."""
        return self.path / "config.yaml"

    @property
    def cache(self) -> Path:
        """Blobs of remote stores that were read."""
        return self.path / "cache"

    @property
    def stats(self) -> Path:
        """What files looked like when they were hashed, one file for each directory pushed."""
        return self.path / "stats"

    def catalogue(self, location: str) -> Path:
        """The catalogue of the registry at `location`.

        It is this user's, not the registry's: what the gate believes about
        quarantine is read from it, and whoever can write to a shared store
        must not be able to edit that.
        """
        name = hashlib.sha256(location.encode()).hexdigest()[:32]
        return self.path / "catalogues" / f"{name}.sqlite3"
