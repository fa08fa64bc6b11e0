"""Bytes in memory that nobody can change, not even who made them: memfd_create(2), sealed."""

from __future__ import annotations

import fcntl
import os
import sys
from typing import BinaryIO

from stemma_attestations.digest import Digest
from stemma_registry.blobs.streams import hash_stream, write_all
from stemma_registry.errors import Damaged, Unavailable


def available() -> bool:
    """Whether this system has them."""
    return sys.platform == "linux" and hasattr(os, "memfd_create")


def sealed_copy(source: BinaryIO, digest: Digest, size: int) -> BinaryIO:
    """The bytes of a file in a sealed one, hashed on their way there.

    Raises Damaged for other bytes, and Unavailable where there is no room or no such thing.
    """
    try:
        fd = os.memfd_create("stemma", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    except OSError as error:
        raise Unavailable(f"cannot make a file in memory: {error.strerror}") from error
    target = os.fdopen(fd, "rb")
    try:
        _fill(fd, source, digest, size)
        target.seek(0)
    except OSError as error:
        target.close()
        raise Unavailable(f"cannot fill a file in memory: {error.strerror}") from error
    except BaseException:
        target.close()
        raise
    return target


def _fill(fd: int, source: BinaryIO, digest: Digest, size: int) -> None:
    found, count = hash_stream(source, size, lambda piece: write_all(fd, piece))
    if (found, count) != (digest, size):
        raise Damaged("the bytes are not those that were judged")
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
