"""The secret with which records are hashed, so that nobody else can guess them from an index.

`record.key` in the home, mode 0600: a line for each secret. New indexes are made with the
first; the others read what somebody else made. A team copies it.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stemma_registry import files
from stemma_registry.config import Home
from stemma_registry.errors import Refused, Unavailable
from stemma_registry.records.runs import KEY_BLOCK

PUBLIC = "public"
_PUBLIC_BLOCK = b"urn:stemma:record:v0.1".ljust(KEY_BLOCK, b"\0")
_ID = b"urn:stemma:record-key-id:v0.1\0"
_LINE = re.compile(r"stemma-record-key:([0-9a-f]{64})\Z")
_MAX = 64 * 1024


@dataclass(frozen=True)
class RecordKey:
    """A secret of 32 bytes, or what stands for none. `id` says which, and gives nothing away."""

    id: str
    block: bytes

    @classmethod
    def of(cls, secret: bytes) -> RecordKey:
        """From the secret's bytes."""
        return cls(hashlib.sha256(_ID + secret).hexdigest()[:16], secret.ljust(KEY_BLOCK, b"\0"))


NO_KEY = RecordKey(PUBLIC, _PUBLIC_BLOCK)


def held(home: Home) -> list[RecordKey]:
    """The home's keys, the one for new indexes first. Raises Refused, Unavailable."""
    path = home.record_key
    if not path.exists():
        return []
    return [RecordKey.of(secret) for secret in _parse(path)]


def for_writing(home: Home) -> RecordKey:
    """The key for new indexes, made where there is none yet. Raises Refused, Unavailable."""
    known = held(home)
    if known:
        return known[0]
    secret = secrets.token_bytes(32)
    _write(home.record_key, [secret])
    return RecordKey.of(secret)


def add(home: Home, source: Path) -> list[RecordKey]:
    """Take the keys of a file too; they come first where there was none. Raises Refused."""
    own = _parse(home.record_key) if home.record_key.exists() else []
    both = list(dict.fromkeys([*own, *_parse(source)]))
    _write(home.record_key, both)
    return [RecordKey.of(secret) for secret in both]


def _parse(path: Path) -> list[bytes]:
    try:
        lines = files.read(path, "record key", _MAX).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is no file of record keys") from error
    found = [_LINE.match(line.strip()) for line in lines if line.strip()]
    if not found or None in found:
        raise Refused(f"{path} is no file of record keys")
    return [bytes.fromhex(match[1]) for match in found if match]


def _write(path: Path, keys: Sequence[bytes]) -> None:
    text = "".join(f"stemma-record-key:{key.hex()}\n" for key in keys)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        files.make_directory(path.parent)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as out:
            out.write(text)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, path)
    except OSError as error:
        raise Unavailable(f"cannot write {path}: {error.strerror}") from error
