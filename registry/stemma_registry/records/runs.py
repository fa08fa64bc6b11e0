"""Sorted runs of truncated hashes, each with an approximate filter in front.

See docs/formats/record-index.md. A stranger may have made one: nothing in it is believed
before it was held against its size, and no row before it was read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from stemma_attestations.errors import Malformed
from stemma_attestations.predicates.record_index import Run

KEY_BLOCK = 64  # bytes of SHA-256's block, which the key fills
HASH, ROW = 8, 4  # bytes of each in a run
_PER_RECORD = 8  # bits of the filter, at least
_MIN_BITS, _MAX_BITS = 6, 40
# What the filter multiplies a hash with, for each of its four bits.
_FACTORS = (0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93)


class BadRuns(Malformed):
    """An index that is none."""


def hashes(messages: Iterable[bytes], block: bytes) -> Any:
    """The first 64 bits of the SHA-256 of the block and each message (numpy, uint64)."""
    import numpy as np

    begun = hashlib.sha256(block).copy  # polars-hash takes as long for messages of 500 bytes
    found = []
    for message in messages:
        state = begun()
        state.update(message)
        found.append(state.digest())
    return np.frombuffer(b"".join(found), ">u8")[::4].astype(np.uint64)


def build(found: Any, rows: Any) -> tuple[int, bytes, bytes]:
    """One run of hashes and rows (numpy; rows from 1): its first row, filter, hashes with rows."""
    import numpy as np

    order, found = _order(found)
    first = int(rows.min())
    bits = max(_MIN_BITS, (_PER_RECORD * len(found) - 1).bit_length())
    marks = np.zeros(1 << bits, bool)
    for place in _places(found, bits):
        marks[place.view(np.int64)] = True  # what numpy takes places as: no copy
    packed = np.packbits(marks, bitorder="little").tobytes()
    body = found.astype("<u8", copy=False).tobytes() + (rows[order] - first).astype("<u4").tobytes()
    return first, packed, body


def _order(found: Any) -> tuple[Any, Any]:
    """Places of the hashes in ascending order, of equal ones the first first; and the hashes so.

    Numbers are sorted several times as fast as places of numbers, so the place is put into the
    low bits. What that loses is almost never missed; where it is, they are sorted as usual.
    """
    import numpy as np

    low = np.uint64((1 << (len(found) - 1).bit_length()) - 1)
    both = np.sort((found & ~low) | np.arange(len(found), dtype=np.uint64))
    order = (both & low).view(np.int64)
    ranked = found[order]
    if (ranked[1:] < ranked[:-1]).any():
        order = np.argsort(found, kind="stable")
        ranked = found[order]
    return order, ranked


def likely(packed: bytes, wanted: Any) -> Any:
    """Which hashes may be in the run of a filter (numpy, bool). Raises BadRuns."""
    import numpy as np

    bits = (len(packed) * 8).bit_length() - 1
    if len(packed) * 8 != 1 << bits or not _MIN_BITS <= bits <= _MAX_BITS:
        raise BadRuns("a filter whose size is no power of two")
    marks = np.frombuffer(packed, np.uint8)
    found = np.ones(len(wanted), bool)
    for place in _places(wanted, bits):
        octets = marks[(place >> np.uint64(3)).astype(np.int64)]
        found &= ((octets >> (place & np.uint64(7)).astype(np.uint8)) & 1).astype(bool)
    return found


def locate(run: Run, body: bytes, wanted: Any, most: int) -> list[tuple[int, list[int], int]]:
    """Where hashes are: (place in `wanted`, at most `most` rows, how many there are).

    Raises BadRuns.
    """
    import numpy as np

    if len(body) != run.records * (HASH + ROW):
        raise BadRuns("a run that is not as long as it says")
    sorted_hashes = np.frombuffer(body, "<u8", run.records)
    rows = np.frombuffer(body, "<u4", run.records, run.records * HASH)
    low = np.searchsorted(sorted_hashes, wanted, "left")
    high = np.searchsorted(sorted_hashes, wanted, "right")
    return [
        (
            int(place),
            [run.first + int(row) for row in rows[low[place] : high[place]][:most]],
            int(high[place] - low[place]),
        )
        for place in np.flatnonzero(high > low)
    ]


def _places(found: Any, bits: int) -> Iterable[Any]:
    """Which bits of a filter stand for the hashes."""
    import numpy as np

    for factor in _FACTORS:
        yield (found * np.uint64(factor)) >> np.uint64(64 - bits)
