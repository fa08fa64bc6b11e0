"""Signatures that were verified on this machine, so that the next verdict need not do it again.

A file of the user's own in the home (docs/decisions/0022-what-is-remembered.md). It maps a
bundle's digest to what `said.verify` made of its bytes, under everything else which that
depends on: the trust root, the Sigstore trusted roots at hand, and the versions of what
verifies. Only what verified and can be read is kept. What a signer may say, and what is in
force at the time of the question, is never in it.

It is an index: a file that is damaged, or of another format, is made anew; one that others
could have written is not read, and that is said. Nothing about it is ever an error.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stemma_attestations import __version__
from stemma_attestations.digest import Digest
from stemma_attestations.trust import TrustRoot
from stemma_registry import files
from stemma_registry.config import LIMITS, Home
from stemma_registry.lineage.said import Said

FORMAT = 2  # of the rows, and of what `said` makes of a bundle
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS said (id INTEGER PRIMARY KEY AUTOINCREMENT, "
    "context BLOB NOT NULL, bundle BLOB NOT NULL, value BLOB NOT NULL, checksum BLOB NOT NULL, "
    "UNIQUE (context, bundle))"
)
_SELECT = "SELECT bundle, value, checksum FROM said WHERE context = ? AND bundle IN ({})"
_INSERT = "INSERT OR REPLACE INTO said (context, bundle, value, checksum) VALUES (?, ?, ?, ?)"
_OLDER_HALF = "DELETE FROM said WHERE id <= (SELECT (min(id) + max(id)) / 2 FROM said)"
_BATCH = 500
_SUFFIXES = ("", "-wal", "-shm", "-journal")
_BUSY_SECONDS = 1.0  # it is only a memory: nobody waits long for it


@dataclass
class Remembered:
    """What is known of bundles in one context. `path` is None where nothing is kept."""

    path: Path | None
    context: bytes = b""
    distrusted: str | None = None  # why the file that is there is not read
    _known: dict[Digest, Said] = field(default_factory=dict)
    _new: dict[Digest, Said] = field(default_factory=dict)

    @classmethod
    def off(cls) -> Remembered:
        """One that keeps nothing beyond the process."""
        return cls(None)

    @classmethod
    def of(cls, home: Home, trust: TrustRoot, roots: Mapping[Digest, bytes]) -> Remembered:
        """What this home remembers under a trust root and the Sigstore roots at hand."""
        path = home.verified / "signatures.sqlite3"
        reason = files.written_by_others(path)
        return cls(None if reason else path, context_of(trust, roots), reason)

    def recall(self, bundles: Iterable[Digest]) -> None:
        """Read what is known of these, all at once."""
        wanted = [one for one in bundles if one not in self._known]
        if self.path is None or not wanted or not self.path.exists():
            return
        self._with(lambda connection: self._read(connection, wanted))

    def get(self, bundle: Digest) -> Said | None:
        """What is known of a bundle, after `recall`."""
        return self._known.get(bundle)

    def note(self, bundle: Digest, said: Said) -> None:
        """Remember what was just verified."""
        self._known[bundle] = said
        if self.path is not None and said.unreadable is None:
            self._new[bundle] = said

    def save(self) -> None:
        """Write down what is new; the older half goes where there is too much."""
        if self.path is None or not self._new:
            return
        new, self._new = self._new, {}
        rows, room = list[tuple[bytes, ...]](), LIMITS.remembered_bytes // 2
        for bundle, said in new.items():
            value = said.encode()
            if len(value) <= min(LIMITS.remembered_statement_bytes, room):
                room -= len(value)
                key = bytes.fromhex(bundle.value)
                rows.append((self.context, key, value, self._checksum(key, value)))
        self._with(lambda connection: _write(connection, rows))

    def _read(self, connection: sqlite3.Connection, wanted: list[Digest]) -> None:
        for start in range(0, len(wanted), _BATCH):
            keys = [bytes.fromhex(one.value) for one in wanted[start : start + _BATCH]]
            query = _SELECT.format(",".join("?" * len(keys)))
            for key, value, checksum in connection.execute(query, (self.context, *keys)):
                # Against accidents: what was half written when the power went.
                if self._checksum(key, value) == checksum:
                    with contextlib.suppress(Exception):  # then it is verified again
                        self._known[Digest("sha256", key.hex())] = Said.decode(value)

    def _checksum(self, key: bytes, value: bytes) -> bytes:
        return hashlib.sha256(self.context + key + value).digest()

    def _with(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Work on the database; what goes wrong is passed over, and a broken one made anew."""
        if self.path is None:
            return
        try:
            with contextlib.closing(_connect(self.path)) as connection:
                work(connection)
        except OSError:
            return
        except sqlite3.OperationalError as error:
            if not _is_foreign(error):
                return  # busy, no room, a disk that can only be read
            _drop(self.path)
        except (sqlite3.Error, TypeError, ValueError):
            _drop(self.path)


def context_of(trust: TrustRoot, roots: Mapping[Digest, bytes]) -> bytes:
    """A digest over everything that an outcome depends on, besides the bundle itself."""
    import cryptography

    parts = [str(FORMAT), __version__, str(trust.digest), *sorted(map(str, roots))]
    # What an upgrade has mended is verified again.
    parts += [cryptography.__version__, _installed("sigstore")]
    return hashlib.sha256("\n".join(parts).encode()).digest()


def _installed(name: str) -> str:
    """The version of a library that takes a second to import; empty where nothing tells."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _connect(path: Path) -> sqlite3.Connection:
    """Open or make the file, readable by its owner only. Raises sqlite3.Error, OSError."""
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
    try:
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL"):
            connection.execute(f"PRAGMA {pragma}")
        _prepare(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _write(connection: sqlite3.Connection, rows: list[tuple[bytes, ...]]) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if _size(connection) > LIMITS.remembered_bytes:
        connection.execute(_OLDER_HALF)
    connection.executemany(_INSERT, rows)
    connection.execute("COMMIT")


def _is_foreign(error: sqlite3.OperationalError) -> bool:
    """Whether somebody else's table stands where ours should."""
    return "no such" in str(error) or "has no column" in str(error)


def _size(connection: sqlite3.Connection) -> int:
    """How many bytes of the file are in use."""
    asked = ("page_count", "freelist_count", "page_size")
    pages, free, size = (connection.execute(f"PRAGMA {one}").fetchone()[0] for one in asked)
    return int((pages - free) * size)


def _prepare(connection: sqlite3.Connection) -> None:
    """Make the table in a new file. Raises sqlite3.DatabaseError for what is not ours."""
    found = connection.execute("PRAGMA user_version").fetchone()[0]
    if found not in (0, FORMAT):
        raise sqlite3.DatabaseError("of another format")
    if found == 0:
        connection.execute(_SCHEMA)
        connection.execute(f"PRAGMA user_version={FORMAT}")


def _drop(path: Path) -> None:
    for suffix in _SUFFIXES:
        with contextlib.suppress(OSError):
            path.with_name(path.name + suffix).unlink(missing_ok=True)
