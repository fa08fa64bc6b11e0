"""Tensors hashed while their file is read: the bytes come once, in order, piece by piece.

Nothing is unpickled, and nothing is kept but the header and one hash. Whatever a header does,
the reading goes on: a file whose tensors cannot be told apart gets a note that says why.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from dataclasses import dataclass

from stemma_attestations.digest import Digest
from stemma_attestations.tensor_table import TINY, Tensor, TensorFile, prefix
from stemma_registry.blobs.streams import Write
from stemma_registry.tensors import headers
from stemma_registry.tensors.headers import Placed

_AT_ONCE = 64 * 1024  # bytes that are compared to tell whether a tensor is constant
_PARSING = threading.Lock()  # one header at a time: a hostile one takes room


@dataclass(frozen=True)
class Told:
    """What was told of a file: its tensors, or why there are none. `format` is empty for others."""

    format: str = ""
    tensors: tuple[Tensor, ...] = ()
    note: str = ""

    def file(self, blob: Digest) -> TensorFile:
        """The tensors as those of a blob."""
        return TensorFile(blob, self.format, self.tensors)


class Reading:
    """One reading of a file of `size` bytes: called with each piece."""

    def __init__(self, size: int) -> None:
        self._size, self._position = size, 0
        self._head: bytearray | None = bytearray()
        self._needed = headers.SNIFFED
        self._format = ""
        self._left: deque[Placed] = deque()
        self._hash: _Hash | None = None
        self._done: list[Tensor] = []
        self._note = ""

    def __call__(self, piece: memoryview) -> None:
        """The next piece of the file."""
        start, self._position = self._position, self._position + len(piece)
        try:
            if self._head is not None:
                self._header(self._head, piece)
            elif self._left:
                self._body(piece, start)
        except headers.Refused as error:
            self._stop(str(error))
        except Exception as error:  # noqa: BLE001 - no header whatever stops who reads the file
            self._stop(f"its header cannot be read ({type(error).__name__})")

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to be told by the rest of the file."""
        return self._head is None and (not self._format or bool(self._note))

    def told(self) -> Told:
        """What was told, when all was read."""
        if self._format and not self._note:
            if self._position == self._size and self._head is None:
                self._body(memoryview(b""), self._size + 1)  # tensors of nothing, at the end
            if self._head is not None or self._left:
                self._note = "it ends before its tensors do"
        if self._note:
            return Told(self._format, (), self._note)
        return Told(self._format, tuple(self._done))

    def _stop(self, note: str) -> None:
        self._note, self._head, self._hash = note, None, None
        self._left.clear()
        self._done.clear()

    def _header(self, head: bytearray, piece: memoryview) -> None:
        head += piece
        if len(head) < min(self._needed, self._size):
            return
        data = bytes(head)
        if not self._format:
            self._format = headers.sniff(data) or ""
            if not self._format:
                self._head = None
                return
        try:
            with _PARSING:
                self._left.extend(headers.layout(self._format, data, self._size))
        except headers.More as more:
            self._needed = more.needed
            if more.needed > len(data):
                return
            raise headers.Refused("it ends within the header") from None
        self._head = None
        self._body(memoryview(data), 0)

    def _body(self, piece: memoryview, start: int) -> None:
        """Bytes of the file from `start` on, to the tensors that they are of."""
        end = start + len(piece)
        while self._left and self._left[0].start < end:
            one = self._left[0]
            if self._hash is None:
                self._hash = _Hash(one)
            low, high = max(one.start, start), min(one.end, end)
            if high > low:
                self._hash.update(piece[low - start : high - start])
            if one.end > end:
                return
            self._done.append(self._hash.tensor())
            self._hash = None
            self._left.popleft()


class _Hash:
    """The digest of one tensor, and whether it is constant."""

    def __init__(self, placed: Placed) -> None:
        self._placed = placed
        self._state = hashlib.sha256(prefix(placed.dtype, placed.shape))
        self._constant = placed.end - placed.start >= TINY
        self._unit, self._repeated, self._position = b"", b"", 0

    def update(self, piece: memoryview) -> None:
        self._state.update(piece)
        if self._constant:
            self._compare(piece)
        self._position += len(piece)

    def _compare(self, piece: memoryview) -> None:
        """Whether it still repeats its first item: told by the first bytes, of nearly all."""
        width, at = self._placed.width, 0
        if len(self._unit) < width:
            at = min(width - len(self._unit), len(piece))
            self._unit += bytes(piece[:at])
            self._repeated = self._unit * (_AT_ONCE // width + 2)
        while at < len(piece) and self._constant:
            count = min(len(piece) - at, _AT_ONCE if at else 4 * width)
            phase = (self._position + at) % width
            self._constant = bytes(piece[at : at + count]) == self._repeated[phase : phase + count]
            at += count

    def tensor(self) -> Tensor:
        placed = self._placed
        return Tensor(
            placed.name,
            placed.dtype,
            placed.shape,
            placed.end - placed.start,
            Digest("sha256", self._state.hexdigest()),
            self._constant,
        )


class Listener:
    """Listens to a file that is read, and may be read from the beginning again."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._last: Reading | None = None

    def begin(self) -> Write:
        """A reading begins: a `Tap`."""
        self._last = Reading(self._size)
        return self._last

    @property
    def told(self) -> Told | None:
        """What was told by the last one; None where nothing was read."""
        return self._last.told() if self._last is not None else None
