"""The index of one file: sorted runs of truncated hashes, a filter and fences in front.

See docs/formats/record-index.md. A stranger may have made one: nothing in it is believed
before it was held against its size.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from stemma_attestations import canonical as canonical_json
from stemma_attestations import json_strict
from stemma_attestations.errors import Malformed
from stemma_registry.config import LIMITS

FORMAT = "urn:stemma:record-runs:v0.1"
MAGIC = b"STEMMARR"
BLOCK = 1_024  # hashes behind one fence
KEY_BLOCK = 64  # bytes of SHA-256's block, which the key fills
_PER_RECORD = 8  # bits of the filter, at least
# What the filter multiplies a hash with, for each of its four bits.
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)
_TAIL = 16  # bytes: the magic, and how long the header is
ReadRange = Callable[[int, int], bytes]


class BadRuns(Malformed):
    """An index that is none."""


@dataclass(frozen=True)
class Run:
    """`records` hashes that are sorted, of rows from `first` on; `bits`: log2 of its filter."""

    first: int
    records: int
    bits: int

    @property
    def fences(self) -> int:
        """How many fences it has."""
        return -(-self.records // BLOCK)

    @property
    def front(self) -> int:
        """Bytes of its filter and its fences."""
        return (1 << self.bits) // 8 + 8 * self.fences


@dataclass(frozen=True)
class Header:
    """What an index begins with. `shard` is the digest (hex) of the file it is of."""

    shard: str
    key: str
    canonical: str
    fields: tuple[str, ...] | None
    runs: tuple[Run, ...]
    size: int  # bytes, of the header with all before it

    def build(self) -> bytes:
        """The bytes, which `size` says nothing to."""
        document = {
            "format": FORMAT,
            "shard": self.shard,
            "key": self.key,
            "canonical": self.canonical,
            "fields": None if self.fields is None else list(self.fields),
            "runs": [[run.first, run.records, run.bits] for run in self.runs],
        }
        raw = canonical_json.dumps(document)
        raw += b" " * (-len(raw) % 8)
        return MAGIC + len(raw).to_bytes(8, "little") + raw


def hashes(messages: Sequence[bytes]) -> Any:
    """The first 64 bits of the SHA-256 of each message (numpy, uint64)."""
    import numpy as np

    sha256 = hashlib.sha256
    joined = b"".join([sha256(message).digest() for message in messages])
    return np.frombuffer(joined, ">u8").reshape(-1, 4)[:, 0].astype(np.uint64)


def write_run(out: BinaryIO, found: Any, rows: Any) -> Run:
    """Write one run: its filter, fences, hashes and rows. `rows` are numbers from 1."""
    import numpy as np

    order = np.argsort(found, kind="stable")
    found, first = found[order], int(rows.min())
    bits = max(6, (_PER_RECORD * len(found) - 1).bit_length())
    marks = np.zeros(1 << bits, bool)
    for place in _places(found, bits):
        marks[place] = True
    out.write(np.packbits(marks, bitorder="little").tobytes())
    out.write(found[::BLOCK].astype("<u8").tobytes())
    out.write(found.astype("<u8").tobytes())
    out.write((rows[order] - first).astype("<u4").tobytes())
    return Run(first, len(found), bits)


def _places(found: Any, bits: int) -> Iterable[Any]:
    """Which bits of a filter stand for the hashes."""
    import numpy as np

    for factor in _FACTORS:
        yield (found * np.uint64(factor)) >> np.uint64(64 - bits)


def join(out: BinaryIO, header: Header, parts: Sequence[tuple[Run, BinaryIO]]) -> None:
    """Put what `write_run` wrote behind a header: all fronts first, then all bodies."""
    out.write(header.build())
    for run, part in parts:
        _copy(part, out, 0, run.front)
    for run, part in parts:
        _copy(part, out, run.front, 12 * run.records)


def _copy(source: BinaryIO, out: BinaryIO, start: int, count: int) -> None:
    source.seek(start)
    while count:
        chunk = source.read(min(count, 1024 * 1024))
        if not chunk:
            raise BadRuns("a run is cut off")
        out.write(chunk)
        count -= len(chunk)


def read_header(read: ReadRange, size: int) -> Header:
    """The header of an index of `size` bytes. Raises BadRuns."""
    start = read(0, _TAIL)
    if len(start) < _TAIL or start[: len(MAGIC)] != MAGIC:
        raise BadRuns("not an index of records")
    length = int.from_bytes(start[len(MAGIC) :], "little")
    if length > LIMITS.record_header:
        raise BadRuns("the header of an index is too long")
    try:
        said = json_strict.load_object(read(_TAIL, length).rstrip(b" "))
        fields = said["fields"]
        header = Header(
            _text(said["shard"]),
            _text(said["key"]),
            _text(said["canonical"]),
            None if fields is None else tuple(map(_text, fields)),
            tuple(_run(run) for run in said["runs"]),
            _TAIL + length,
        )
    except (Malformed, KeyError, TypeError, ValueError, json.JSONDecodeError) as error:
        raise BadRuns(f"the header of an index: {error}") from error
    if said.get("format") != FORMAT:
        raise BadRuns(f"an index of an unknown format {said.get('format')!r:.60}")
    if header.size + sum(run.front + 12 * run.records for run in header.runs) != size:
        raise BadRuns("an index that is not as long as it says")
    return header


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("a text is expected")
    return value


def _run(value: Any) -> Run:
    first, records, bits = value
    if any(type(number) is not int or number < 0 for number in value):
        raise ValueError("a run is three numbers")
    if not 0 < records <= LIMITS.record_run or not 6 <= bits <= 40:  # noqa: PLR2004
        raise ValueError("a run of an impossible size")
    return Run(first, records, bits)


def lookup(read: ReadRange, header: Header, wanted: Any) -> list[tuple[int, int]]:
    """Where hashes are: (place in `wanted`, row), as the index says. Raises BadRuns."""
    import numpy as np

    found: list[tuple[int, int]] = []
    front, body = header.size, header.size + sum(run.front for run in header.runs)
    for run in header.runs:
        marks = np.frombuffer(_exactly(read, front, (1 << run.bits) // 8), np.uint8)
        likely = np.ones(len(wanted), bool)
        for place in _places(wanted, run.bits):
            octet = marks[(place >> np.uint64(3)).astype(np.int64)]
            likely &= ((octet >> (place & np.uint64(7)).astype(np.uint8)) & 1).astype(bool)
        if likely.any():
            at = front + (1 << run.bits) // 8
            fences = np.frombuffer(_exactly(read, at, 8 * run.fences), "<u8")
            for place in np.flatnonzero(likely):
                found += [
                    (int(place), run.first + row)
                    for row in _in_run(read, (run, body), fences, wanted[place])
                ]
        front, body = front + run.front, body + 12 * run.records
    return found


def _in_run(read: ReadRange, where: tuple[Run, int], fences: Any, wanted: Any) -> list[int]:
    """The rows of a hash, at most `LIMITS.record_rows`."""
    import numpy as np

    run, body = where
    # The blocks from the one that may end with it to the last one that begins with it.
    low = max(int(np.searchsorted(fences, wanted, "left")) - 1, 0) * BLOCK
    high = int(np.searchsorted(fences, wanted, "right")) * BLOCK
    high = min(high, run.records, low + LIMITS.record_rows + 2 * BLOCK)
    if high <= low:
        return []
    block = np.frombuffer(_exactly(read, body + 8 * low, 8 * (high - low)), "<u8")
    begin, end = (int(np.searchsorted(block, wanted, side)) for side in ("left", "right"))
    end = min(end, begin + LIMITS.record_rows)
    if end <= begin:
        return []
    at = body + 8 * run.records + 4 * (low + begin)
    return [int(row) for row in np.frombuffer(_exactly(read, at, 4 * (end - begin)), "<u4")]


def _exactly(read: ReadRange, start: int, count: int) -> bytes:
    data = read(start, count)
    if len(data) != count:
        raise BadRuns("an index is cut off")
    return data
