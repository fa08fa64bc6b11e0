"""NumPy's .npy: a header, and an array or, of objects, a pickle.

https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html . A header is a
Python literal; it is read as NumPy reads it, by `ast.literal_eval`, and no longer than NumPy
allows (10,000 characters).
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

from stemma_registry.formats.findings import Look, Stop
from stemma_registry.formats.joblib_arrays import MAX_DIMENSIONS, item_size
from stemma_registry.formats.sources import Source

MAGIC = b"\x93NUMPY"
MAX_HEADER = 10_000


class Malformed(ValueError):
    """Not an .npy header."""


@dataclass(frozen=True)
class Header:
    """A header: the type as it is written, the shape, and where the data begins."""

    type: Any
    shape: tuple[int, ...]
    data: int

    @property
    def has_objects(self) -> bool:
        """Whether the data is a pickle."""
        return _has_objects(self.type)


def read(source: Source) -> Header:
    """The header. Raises Malformed."""
    head = source.read_at(0, 12)
    width = {1: 2, 2: 4, 3: 4}.get(head[6]) if len(head) == 12 else None
    if width is None or head[7]:
        raise Malformed("a version of .npy that is not known")
    length = int.from_bytes(head[8 : 8 + width], "little")
    raw = source.read_at(8 + width, min(length, MAX_HEADER))
    if len(raw) != length:
        raise Malformed(f"a header of {length} bytes")
    try:
        document = ast.literal_eval(raw.decode("utf-8" if head[6] == 3 else "latin-1").strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise Malformed("a header that is no literal") from error
    if not isinstance(document, dict) or set(document) != {"descr", "fortran_order", "shape"}:
        raise Malformed("a header is of descr, fortran_order and shape")
    shape = document["shape"]
    if not isinstance(shape, tuple) or len(shape) > MAX_DIMENSIONS:
        raise Malformed("a shape is a tuple")
    if not all(type(n) is int and 0 <= n < 1 << 62 for n in shape):
        raise Malformed("a shape is of lengths")
    return Header(document["descr"], shape, 8 + width + length)


def look(look: Look, source: Source) -> Header | None:
    """Check that header and data agree. None where there is no header."""
    try:
        header = read(source)
    except Malformed as error:
        look.add("numpy-malformed", str(error))
        return None
    if header.has_objects:
        return header
    try:
        size = item_size(header.type)
    except Stop:
        return header  # a structure: its length is the reader's
    expected = (size or 0) * math.prod(header.shape)
    found = source.size - header.data
    if found != expected:
        look.add("numpy-malformed", f"{found} bytes of data, {expected} are described")
    return header


def _has_objects(kind: Any, depth: int = 0) -> bool:
    if isinstance(kind, str):
        return "O" in kind
    if isinstance(kind, list | tuple) and depth < 16:
        return any(_has_objects(part, depth + 1) for part in kind)
    return depth >= 16
