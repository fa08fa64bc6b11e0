"""Compressed bytes as a source: expanded as far as is asked for, never kept whole.

Reading backwards begins anew, and all that comes out is counted.
"""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Iterator
from typing import Any

from stemma_registry.formats.findings import Budget, Stop
from stemma_registry.formats.sources import BLOCK, Source

HEAD = TAIL = 128 * 1024
_MEMORY = 256 * 1024**2  # that an xz stream may ask for
_WINDOW = 128 * 1024**2  # that a zstandard frame may ask for
# Format -> how its streams begin: several may follow each other.
BEGINNINGS = {
    "gzip": (b"\x1f\x8b\x08",),
    "bzip2": (b"BZh",),
    "xz": (b"\xfd7zXZ\x00",),
    "lzma": (b"\x5d\x00\x00",),
    "zstd": (b"\x28\xb5\x2f\xfd",),
    "zlib": (),
    "deflate": (),
}


class Expanded:
    """What comes out of compressed bytes.

    Raises Stop for what is damaged, ends early, or expands too far.
    """

    def __init__(self, source: Source, form: str, budget: Budget) -> None:
        self._source, self._form, self._budget = source, form, budget
        self._size: int | None = None
        self._head, self._tail, self._tail_at = b"", b"", 0
        self._begin()

    def _begin(self) -> None:
        self._pieces = _pieces(self._source, self._form)
        self._piece, self._at = b"", 0

    @property
    def size(self) -> int:
        """How many bytes come out; all of them are expanded to know it."""
        while self._size is None:
            self._advance()
        return self._size

    def read_at(self, start: int, length: int) -> bytes:
        """Bytes that come out."""
        if start + length <= len(self._head):
            return self._head[start : start + length]
        if self._size is not None and start >= self._tail_at:
            return self._tail[start - self._tail_at :][:length]
        if start < self._at:
            self._begin()
        found = []
        while length > 0:
            if start < self._at + len(self._piece):
                data = self._piece[start - self._at :][:length]
                found.append(data)
                start, length = start + len(data), length - len(data)
            elif not self._advance():
                break
        return b"".join(found)

    def _advance(self) -> bool:
        """The next piece; False where there is none."""
        self._at += len(self._piece)
        self._piece = next(self._pieces, b"")
        if not self._piece:
            self._size = self._at
            return False
        self._budget.spend("expanded", len(self._piece), "expands-too-far")
        end, bounds = self._at + len(self._piece), self._budget.bounds
        if end > max(bounds.ratio_floor, bounds.ratio * self._source.size):
            raise Stop("expands-too-far", f"more than {bounds.ratio} bytes for each")
        if self._size is None:
            if self._at == len(self._head) < HEAD:
                self._head += self._piece[: HEAD - len(self._head)]
            joined = self._tail + self._piece
            self._tail = joined[-TAIL:]
            self._tail_at = end - len(self._tail)
        return True


def _pieces(source: Source, form: str) -> Iterator[bytes]:
    try:
        yield from _zstd(source) if form == "zstd" else _streams(source, form)
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, MemoryError) as error:
        raise Stop("compressed-malformed", f"{form}: {error or type(error).__name__}") from error


def _streams(source: Source, form: str) -> Iterator[bytes]:
    """One stream after the other."""
    position, waiting, engine = 0, b"", _engine(form)
    while True:
        ended = False
        if not waiting and getattr(engine, "needs_input", True):
            waiting = source.read_at(position, BLOCK)
            position += len(waiting)
            ended = not waiting
        piece = engine.decompress(waiting, BLOCK)
        waiting = getattr(engine, "unconsumed_tail", b"")
        if piece:
            yield piece
        elif ended and not engine.eof:
            raise EOFError("it ends early")
        if engine.eof:
            waiting = engine.unused_data or source.read_at(position, BLOCK)
            position += 0 if engine.unused_data else len(waiting)
            if not waiting:
                return
            if not waiting.startswith(BEGINNINGS[form] or (b"\0never",)):
                raise ValueError("other bytes behind it")
            engine = _engine(form)


def _engine(form: str) -> Any:
    if form == "bzip2":
        return bz2.BZ2Decompressor()
    if form in ("xz", "lzma"):
        return lzma.LZMADecompressor(memlimit=_MEMORY)
    return zlib.decompressobj({"gzip": 31, "zlib": 15, "deflate": -15}[form])


def _zstd(source: Source) -> Iterator[bytes]:
    import zstandard  # lazily: few files are

    from stemma_registry.formats.sources import AsFile

    engine = zstandard.ZstdDecompressor(max_window_size=_WINDOW)
    file: Any = AsFile(source, _WINDOW)
    try:
        with engine.stream_reader(file, BLOCK, read_across_frames=True) as out:
            while piece := out.read(BLOCK):
                yield piece
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
