"""Where the tensors of a file lie, told from its first bytes: safetensors and GGUF.

The headers are read by the code that the format checks use. GGUF writes the dimensions of a
shape the other way round; here they are as in safetensors. The types that both formats have
go by the names of safetensors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from stemma_attestations import json_strict, tensor_table
from stemma_registry.config import LIMITS
from stemma_registry.formats import gguf, safetensors

SNIFFED = 10  # bytes that tell the format
# Type of GGUF -> name. What is written by blocks of its own goes by ggml's names.
_GGUF: Mapping[int, str] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    6: "Q5_0",
    7: "Q5_1",
    8: "Q8_0",
    9: "Q8_1",
    10: "Q2_K",
    11: "Q3_K",
    12: "Q4_K",
    13: "Q5_K",
    14: "Q6_K",
    15: "Q8_K",
    16: "IQ2_XXS",
    17: "IQ2_XS",
    18: "IQ3_XXS",
    19: "IQ1_S",
    20: "IQ4_NL",
    21: "IQ3_S",
    22: "IQ2_S",
    23: "IQ4_XS",
    24: "I8",
    25: "I16",
    26: "I32",
    27: "I64",
    28: "F64",
    29: "IQ1_M",
    30: "BF16",
    34: "TQ1_0",
    35: "TQ2_0",
    39: "MXFP4",
}


class Refused(ValueError):
    """A header that breaks a rule of its format, or a limit: its tensors are not told apart."""


class More(Exception):
    """The header is longer than what is there: so many bytes of the file are needed."""

    def __init__(self, needed: int) -> None:
        super().__init__(needed)
        self.needed = needed


@dataclass(frozen=True)
class Placed:
    """A tensor and its bytes in the file, from `start` to before `end`.

    `width` is the length of what a constant one repeats, in bytes.
    """

    start: int
    end: int
    name: str
    dtype: str
    shape: tuple[int, ...]
    width: int


@dataclass(frozen=True)
class _Beginning:
    """The first bytes of a file of `size` bytes."""

    data: bytes
    size: int

    def read_at(self, start: int, length: int) -> bytes:
        found = self.data[start : start + max(0, length)]
        if not found and length > 0 and start < self.size:
            raise More(start + 1)
        return found


def sniff(data: bytes) -> str | None:
    """The format of a file with tensors, by its first bytes."""
    if data[:4] == gguf.MAGIC:
        return "gguf"
    return "safetensors" if safetensors.is_one(_Beginning(data, len(data))) else None


def layout(form: str, data: bytes, size: int) -> tuple[Placed, ...]:
    """The tensors of a file of `size` bytes that begins with `data`, in the order of their bytes.

    Raises Refused, and More where the header goes on behind `data`.
    """
    try:
        found = (_gguf if form == "gguf" else _safetensors)(_Beginning(data, size))
    except (safetensors.Malformed, safetensors.TooMuch, gguf.Malformed) as error:
        raise Refused(str(error)[:200]) from error
    except EOFError as error:
        raise Refused("it ends within the header") from error
    if len(found) > tensor_table.MAX_TENSORS:
        raise Refused(f"{len(found)} tensors; at most {tensor_table.MAX_TENSORS}")
    for one in found:
        # A dimension of nothing may be as long as it likes.
        if max(one.shape, default=0) > json_strict.MAX_INTEGER:
            raise Refused(f"{one.name!r:.80} has a dimension beyond 2^53")
    return tuple(sorted(found, key=lambda one: (one.start, one.end, one.name)))


def _safetensors(source: _Beginning) -> list[Placed]:
    end = 8 + int.from_bytes(source.data[:8], "little")
    if len(source.data) < end <= min(source.size, LIMITS.tensor_header_bytes):
        raise More(end)
    header, start = safetensors.tensors(source)
    return [
        Placed(
            start + said["data_offsets"][0],
            start + said["data_offsets"][1],
            name,
            said["dtype"],
            tuple(said["shape"]),
            -(-safetensors.BITS[said["dtype"]] // 8),
        )
        for name, said in header.items()
    ]


def _gguf(source: _Beginning) -> list[Placed]:
    try:
        found = gguf.tensors(source)
    except More as more:
        limit = LIMITS.tensor_header_bytes
        if more.needed > limit:
            raise Refused(f"a header of more than {limit} bytes") from more
        # It is read from its beginning each time: not too often.
        raise More(min(max(more.needed, 2 * len(source.data)), limit, source.size)) from None
    return [
        Placed(
            one.start,
            one.end,
            one.name,
            _GGUF[one.kind],
            one.shape[::-1],
            gguf.BLOCKS[one.kind][1],
        )
        for one in found
    ]
