"""GGUF, versions 2 and 3: a header of keys and values, tensors by offset, and their data.

https://github.com/ggml-org/ggml/blob/master/docs/gguf.md . Only the header is read. The
tensors must follow each other as llama.cpp demands: each aligned, without a gap.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from stemma_registry.formats.findings import Look
from stemma_registry.formats.sources import Cursor, Source

MAGIC = b"GGUF"
MAX_KEYS, MAX_TENSORS, MAX_DIMENSIONS = 65_536, 1_000_000, 4
MAX_KEY, MAX_NAME = 65_535, 1_024
MAX_STRINGS = 4_000_000  # of all arrays
TEMPLATE = "tokenizer.chat_template"
_STRING, _ARRAY, _UINT32 = 8, 9, 4
_WIDTHS = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}
# Type of a tensor -> items and bytes of a block.
BLOCKS: Mapping[int, tuple[int, int]] = {
    0: (1, 4),
    1: (1, 2),
    2: (32, 18),
    3: (32, 20),
    6: (32, 22),
    7: (32, 24),
    8: (32, 34),
    9: (32, 36),
    10: (256, 84),
    11: (256, 110),
    12: (256, 144),
    13: (256, 176),
    14: (256, 210),
    15: (256, 292),
    16: (256, 66),
    17: (256, 74),
    18: (256, 98),
    19: (256, 50),
    20: (32, 18),
    21: (256, 110),
    22: (256, 82),
    23: (256, 136),
    24: (1, 1),
    25: (1, 2),
    26: (1, 4),
    27: (1, 8),
    28: (1, 8),
    29: (256, 56),
    30: (1, 2),
    34: (256, 54),
    35: (256, 66),
    39: (32, 17),
}
_RULE = "gguf-malformed"


class Malformed(ValueError):
    """Breaks a rule of the header."""


@dataclass(frozen=True)
class Described:
    """A tensor: its bytes from `start` to before `end` of the file, its type, the dimensions.

    The first dimension is the one whose items lie next to each other.
    """

    name: str
    start: int
    end: int
    kind: int
    shape: tuple[int, ...]


def look(look: Look, source: Source) -> None:
    """Check the header, and the tensors' offsets against the file's size."""
    try:
        _Header(source, look).check()
    except Malformed as error:
        look.add(_RULE, str(error))
    except EOFError:
        look.add(_RULE, "it ends within the header")


def tensors(source: Source) -> list[Described]:
    """What the header says of each tensor, checked. Raises Malformed, EOFError."""
    return _Header(source).check()


class _Header:
    def __init__(self, source: Source, look: Look | None = None) -> None:
        self.look, self.source = look, source
        self.cursor = Cursor(source, len(MAGIC))
        self.alignment = 32
        self.strings = 0

    def number(self, width: int) -> int:
        return int.from_bytes(self.cursor.take(width), "little")

    def text(self, limit: int) -> str:
        length = self.number(8)
        if length > limit:
            raise Malformed(f"a name of {length} bytes")
        try:
            return self.cursor.take(length).decode("utf-8")
        except UnicodeDecodeError as error:
            raise Malformed("a name that is not UTF-8") from error

    def check(self) -> list[Described]:
        version = self.number(4)
        if version not in (2, 3):
            raise Malformed(f"version {version}: 2 and 3 (little-endian) are read")
        tensors, keys = self.number(8), self.number(8)
        if keys > MAX_KEYS or tensors > MAX_TENSORS:
            raise Malformed(f"{keys} keys and {tensors} tensors")
        seen: set[str] = set()
        for _ in range(keys):
            key = self.text(MAX_KEY)
            if key in seen:
                raise Malformed(f"the key {key!r:.80} is there twice")
            seen.add(key)
            self.value(key)
        return self.tensors(tensors)

    def value(self, key: str) -> None:
        kind = self.number(4)
        if key == "general.alignment":
            self.alignment = self.number(4) if kind == _UINT32 else 0
            if not 8 <= self.alignment <= 1 << 20 or self.alignment & (self.alignment - 1):
                raise Malformed("general.alignment is a power of two")
        elif kind == _ARRAY:
            self.array(key)
        else:
            self.one(kind)
        if self.look is not None and (key == TEMPLATE or key.startswith(f"{TEMPLATE}.")):
            self.look.add("chat-template", key[:80])

    def one(self, kind: int) -> None:
        if kind == _STRING:
            self.cursor.skip(self.number(8))
        elif kind in _WIDTHS:
            self.cursor.skip(_WIDTHS[kind])
        else:
            raise Malformed(f"a value of type {kind}")

    def array(self, key: str) -> None:
        kind, count = self.number(4), self.number(8)
        if kind in _WIDTHS:
            self.cursor.skip(count * _WIDTHS[kind])
            return
        self.strings += count
        if kind != _STRING or self.strings > MAX_STRINGS:
            raise Malformed(f"{key!r:.80} is an array of {count} values of type {kind}")
        for _ in range(count):
            self.cursor.skip(self.number(8))

    def tensors(self, count: int) -> list[Described]:
        found, seen = [], set[str]()
        for _ in range(count):
            name = self.text(MAX_NAME)
            if name in seen:
                raise Malformed(f"the tensor {name!r:.80} is there twice")
            seen.add(name)
            found.append(self.tensor(name))
        start = self.aligned(self.cursor.position)
        reached = 0
        for one in sorted(found, key=lambda one: (one.start, one.end, one.name)):
            if one.start != reached:
                raise Malformed(
                    f"{one.name!r:.80} is at {one.start}, and {reached} is the next place"
                )
            reached = self.aligned(one.end)
            if start + one.end > self.source.size:
                raise Malformed(f"{one.name!r:.80} ends behind the end of the file")
        if found and self.source.size > start + reached:
            raise Malformed(f"{self.source.size - start - reached} bytes behind the last tensor")
        return [replace(one, start=start + one.start, end=start + one.end) for one in found]

    def tensor(self, name: str) -> Described:
        """A tensor; its bytes are counted from the first tensor's on."""
        dimensions = self.number(4)
        if dimensions > MAX_DIMENSIONS:
            raise Malformed(f"{name!r:.80} has {dimensions} dimensions")
        shape = [self.number(8) for _ in range(dimensions)]
        kind, offset = self.number(4), self.number(8)
        if kind not in BLOCKS:
            raise Malformed(f"{name!r:.80} is of type {kind}")
        items, size = BLOCKS[kind]
        if shape and shape[0] % items:
            raise Malformed(f"{name!r:.80} has rows that are no whole blocks")
        total = math.prod(shape)
        if total >= 1 << 60:
            raise Malformed(f"{name!r:.80} has {total} items")
        return Described(name, offset, offset + total // items * size, kind, tuple(shape))

    def aligned(self, position: int) -> int:
        return -(-position // self.alignment) * self.alignment
