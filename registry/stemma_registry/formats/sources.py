"""Bytes to look at, by position: files, blobs of a store, and parts of either.

Whoever looks reads small pieces; nothing here reads a file whole.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any, BinaryIO, Protocol

from stemma_attestations.digest import Digest
from stemma_registry.blobs.contract import Store
from stemma_registry.formats.findings import Stop

BLOCK = 256 * 1024
FIRST_BLOCK = 4 * 1024  # what is read first of something that may be short
KEPT_BLOCKS = 8
LONGEST_LINE = 256 * 1024**2


class Source(Protocol):
    """Bytes by position. Raises Stop where they cannot be had."""

    @property
    def size(self) -> int:
        """How many there are."""
        ...

    def read_at(self, start: int, length: int) -> bytes:
        """At most `length` bytes from `start`; fewer only at the end."""
        ...


class Stored:
    """A blob of a store. What was read last is kept, a few blocks of it."""

    def __init__(self, store: Store, digest: Digest, size: int) -> None:
        self.size = size
        self._store, self._digest = store, digest
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes of the blob. Raises what the store raises."""
        if start >= self.size or length <= 0:
            return b""
        end = min(start + length, self.size)
        numbers = range(start // BLOCK, (end - 1) // BLOCK + 1)
        data = b"".join(map(self._block, numbers))
        return data[start - numbers[0] * BLOCK : end - numbers[0] * BLOCK]

    def _block(self, number: int) -> bytes:
        if number not in self._blocks:
            self._blocks[number] = self._store.read_range(self._digest, number * BLOCK, BLOCK)
            if len(self._blocks) > KEPT_BLOCKS:
                self._blocks.popitem(last=False)
        self._blocks.move_to_end(number)
        return self._blocks[number]


class Opened:
    """A seekable file."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.size = stream.seek(0, io.SEEK_END)

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes of the file. Raises OSError."""
        if start >= self.size or length <= 0:
            return b""
        self._stream.seek(start)
        wanted, pieces = min(length, self.size - start), []
        while wanted and (piece := self._stream.read(wanted)):
            pieces.append(piece)
            wanted -= len(piece)
        if wanted:
            raise Stop("unreadable", "the file became shorter while it was read")
        return b"".join(pieces)


class Window:
    """A part of another source."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        self._source, self._start, self.size = source, start, size

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes of the part."""
        length = min(length, self.size - start)
        return self._source.read_at(self._start + start, length) if length > 0 else b""


class Cursor:
    """Reading a source from a position on."""

    def __init__(self, source: Source, start: int = 0) -> None:
        self._source, self._base, self._at, self._data = source, start, 0, b""
        self._ahead = FIRST_BLOCK

    @property
    def position(self) -> int:
        """Where the next byte is read."""
        return self._base + self._at

    def _fill(self, count: int) -> None:
        """Have `count` bytes, or all there are."""
        while len(self._data) - self._at < count:
            end = self._base + len(self._data)
            missing = count - (len(self._data) - self._at)
            more = self._source.read_at(end, max(self._ahead, missing))
            if not more:
                return
            self._ahead = min(2 * self._ahead, BLOCK)
            self._data = self._data[self._at :] + more
            self._base, self._at = self._base + self._at, 0

    def take(self, count: int) -> bytes:
        """Exactly that many bytes (a small number). Raises EOFError."""
        self._fill(count)
        if len(self._data) - self._at < count:
            raise EOFError
        self._at += count
        return self._data[self._at - count : self._at]

    def line(self, limit: int) -> bytes | None:
        """Up to a newline, or the end; None for a line that is longer than `limit`.

        Raises EOFError at the end, Stop where no newline comes in `LONGEST_LINE`.
        """
        kept, passed = [], 0
        while True:
            self._fill(1)
            end = self._data.find(b"\n", self._at)
            if end >= 0:
                kept.append(self._data[self._at : end])
                self._at = end + 1
                return b"".join(kept) if passed + len(kept[-1]) <= limit else None
            if self._at == len(self._data):
                if not passed:
                    raise EOFError
                return b"".join(kept) if passed <= limit else None
            piece = self._data[self._at :]
            self._at, passed = len(self._data), passed + len(piece)
            if passed <= limit:
                kept.append(piece)
            elif passed > LONGEST_LINE:
                raise Stop("too-much", f"a line of more than {LONGEST_LINE} bytes")

    def skip(self, count: int) -> None:
        """Pass over that many bytes. Raises EOFError where there are fewer."""
        if count <= len(self._data) - self._at:
            self._at += count
            return
        target = self.position + count
        if target > self._source.size:
            raise EOFError
        self._base, self._at, self._data = target, 0, b""

    def left(self) -> int:
        """How many bytes are left."""
        return self._source.size - self.position


class AsFile(io.RawIOBase):
    """A source as a file, for the standard library's readers. Raises Stop for large reads."""

    def __init__(self, source: Source, limit: int) -> None:
        self._source, self._position, self._limit = source, 0, limit

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._source.size}
        self._position = max(0, base[whence] + offset)
        return self._position

    def tell(self) -> int:
        """Where it is."""
        return self._position

    def readinto(self, buffer: Any) -> int:
        """Read what fits."""
        view = memoryview(buffer)
        data = self._source.read_at(self._position, len(view))
        view[: len(data)] = data
        self._position += len(data)
        return len(data)

    def read(self, size: int | None = -1) -> bytes:
        """Read at most `size` bytes. Raises Stop where that is more than the limit."""
        left = max(0, self._source.size - self._position)
        wanted = left if size is None or size < 0 else min(size, left)
        if wanted > self._limit:
            raise Stop("too-much", f"a directory or header of more than {self._limit} bytes")
        data = self._source.read_at(self._position, wanted)
        self._position += len(data)
        return data
