"""The secret with which records are hashed, so that nobody else can guess them from an index.

`record.key` in the home, mode 0600: a line for each secret. New indexes are made with the
first; the others read what somebody else made. A team copies it.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from stemma_registry import files
from stemma_registry.config import Home
from stemma_registry.errors import AlreadyThere, Refused
from stemma_registry.records.runs import KEY_BLOCK

PUBLIC = "public"
_PUBLIC_BLOCK = b"urn:stemma:record:v0.1".ljust(KEY_BLOCK, b"\0")
_ID = b"urn:stemma:record-key-id:v0.1\0"
_LINE = re.compile(r"stemma-record-key:([0-9a-f]{64})\Z")
_WHAT = "file of record keys"
_MAX = 64 * 1024


@dataclass(frozen=True)
class RecordKey:
    """A secret of 32 bytes, or what stands for none. `id` says which, and gives nothing away."""

    id: str
    block: bytes

    @classmethod
    def of(cls, secret: bytes) -> RecordKey:
        """From the secret's bytes."""
        name = hashlib.sha256(_ID + secret).hexdigest()[:16]
        return cls(name, secret.ljust(KEY_BLOCK, b"\0"))


NO_KEY = RecordKey(PUBLIC, _PUBLIC_BLOCK)


def held(home: Home) -> list[RecordKey]:
    """The home's keys, the one for new indexes first. Raises Refused, Unavailable."""
    if not home.record_key.exists():
        return []
    return [RecordKey.of(secret) for secret in _parse(home.record_key)]


def for_writing(home: Home) -> RecordKey:
    """The key for new indexes, made where there is none yet. Raises Refused, Unavailable."""
    if not home.record_key.exists():
        with contextlib.suppress(AlreadyThere):  # another push of the same moment made it
            line = f"stemma-record-key:{secrets.token_hex(32)}\n"
            files.write_new(home.record_key, _WHAT, line.encode(), 0o600)
    return held(home)[0]


def add(home: Home, source: Path) -> list[RecordKey]:
    """Take the keys of a file too, behind those that are there. Raises Refused, Unavailable."""
    own = _parse(home.record_key) if home.record_key.exists() else []
    both = list(dict.fromkeys([*own, *_parse(source)]))
    text = "".join(f"stemma-record-key:{secret.hex()}\n" for secret in both)
    files.replace(home.record_key, _WHAT, text.encode(), 0o600)
    return [RecordKey.of(secret) for secret in both]


def _parse(path: Path) -> list[bytes]:
    try:
        lines = files.read(path, _WHAT, _MAX).decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise Refused(f"{path} is no {_WHAT}") from error
    found = [_LINE.match(line.strip()) for line in lines if line.strip()]
    keys = [bytes.fromhex(match[1]) for match in found if match]
    if not keys or len(keys) < len(found):
        raise Refused(f"{path} is no {_WHAT}")
    return keys
