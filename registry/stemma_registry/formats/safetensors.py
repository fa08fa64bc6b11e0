"""safetensors: eight bytes of length, a JSON header, and nothing but tensors behind it.

https://github.com/huggingface/safetensors#format . Only the header is read. What the
reference implementation refuses is refused here: gaps, overlaps, bytes left over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from stemma_attestations import json_strict
from stemma_attestations.errors import BadJSON
from stemma_registry.formats.findings import Look
from stemma_registry.formats.sources import Source

MAX_HEADER = 100_000_000  # the reference's own limit
BITS: Mapping[str, int] = {
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "I64": 64,
    "U64": 64,
    "F64": 64,
    "C64": 64,
}
_RULE = "safetensors-malformed"
_FIELDS = {"dtype", "shape", "data_offsets"}


class Malformed(ValueError):
    """Breaks a rule of the header."""


class TooMuch(ValueError):
    """A header that is longer than what is read."""


def is_one(source: Source) -> bool:
    """Whether the file begins as one: a length that fits, and an object."""
    head = source.read_at(0, 10)
    if len(head) < 10 or head[8:9] != b"{" or head[9:10] not in b'"} \n\t\r':
        return False
    length = int.from_bytes(head[:8], "little")
    return 2 <= length <= MAX_HEADER


def look(look: Look, source: Source) -> None:
    """Check the header against the file's size."""
    try:
        tensors(source)
    except TooMuch as error:
        look.add("too-much", str(error))
    except Malformed as error:
        look.add(_RULE, str(error)[:200])


def tensors(source: Source) -> tuple[dict[str, Any], int]:
    """What the header says of each tensor, checked, and where the first of them begins.

    Raises Malformed, TooMuch.
    """
    length = int.from_bytes(source.read_at(0, 8), "little")
    if source.size < 8 or not 2 <= length <= MAX_HEADER or 8 + length > source.size:
        raise Malformed(f"a header of {length} bytes in a file of {source.size}")
    if length > json_strict.MAX_BYTES:
        raise TooMuch(f"a header of {length} bytes")
    raw = source.read_at(8, length)
    if not raw.startswith(b"{"):
        raise Malformed("a header that does not begin with {")
    try:
        header = json_strict.load_object(raw)
    except BadJSON as error:
        raise Malformed(str(error)) from error
    _check(header, source.size - 8 - length)
    return header, 8 + length


def _check(header: dict[str, Any], size: int) -> None:
    """Hold a header against the bytes behind it, and leave nothing but tensors in it."""
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise Malformed("__metadata__ maps texts to texts")
    ranges = sorted((_range(name, said), name) for name, said in header.items())
    reached = 0
    for (start, end), name in ranges:
        if start < reached:
            raise Malformed(f"{name!r:.80} overlaps another tensor")
        if start > reached:
            raise Malformed(f"{start - reached} bytes of no tensor before {name!r:.80}")
        reached = end
    if reached != size:
        raise Malformed(f"{size} bytes of tensors, {reached} are described")


def _range(name: str, said: object) -> tuple[int, int]:
    if not isinstance(said, dict) or set(said) != _FIELDS:
        raise Malformed(f"{name!r:.80} is not described by dtype, shape and data_offsets")
    bits = BITS.get(said["dtype"]) if isinstance(said["dtype"], str) else None
    if bits is None:
        raise Malformed(f"{name!r:.80} is of no known dtype")
    shape, offsets = _numbers(name, said["shape"]), _numbers(name, said["data_offsets"])
    if len(offsets) != 2 or offsets[0] > offsets[1]:
        raise Malformed(f"{name!r:.80} has no range")
    # Checked on the way, as a product that overflows is how readers were led astray.
    product = math.prod(shape)
    if product * bits >= 1 << 64 or product * bits != (offsets[1] - offsets[0]) * 8:
        raise Malformed(f"{name!r:.80} has a shape and a range that do not agree")
    return offsets[0], offsets[1]


def _numbers(name: str, value: object) -> list[int]:
    if not isinstance(value, list) or len(value) > 64:
        raise Malformed(f"{name!r:.80} has lists of numbers")
    if not all(type(n) is int and n >= 0 for n in value):
        raise Malformed(f"{name!r:.80} has a number that is none")
    return value
