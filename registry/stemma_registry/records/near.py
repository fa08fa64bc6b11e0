"""What records share with records that are nearly the same: MinHash of a text, in keyed bands.

See docs/formats/record-index.md. Everything is derived from the canonical form of a record, so
the same record has the same bands whatever format it was kept in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

VERSION = "1+near-1"  # the form of a record, and of what is made of it
BANDS, ROWS = 16, 5
WINDOW = 8  # bytes of a shingle
MAX_TEXT = 1024 * 1024  # bytes of the values; what is behind is not looked at
LEAST = 0.5  # similar records that are less so are mostly missed
USUAL = 0.8
_SEED = b"urn:stemma:near:v0.1"
_AT_ONCE = 1 << 20  # bytes of texts
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)  # of splitmix64


def pieces(message: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The fields of a canonical record: names and values."""
    position, held = 0, b""
    while position < len(message):
        colon = message.index(b":", position)
        end = colon + 1 + int(message[position:colon])
        piece, position = message[colon + 1 : end], end
        if held:
            yield held, piece
            held = b""
        else:
            held = piece


def text(message: bytes, fields: Collection[str] | None = None) -> bytes:
    """What of a canonical record is compared: its values as one text, without case and space."""
    wanted = None if fields is None else {name.encode() for name in fields}
    said = [value for name, value in pieces(message) if wanted is None or name in wanted]
    folded = b"\n".join(said)[:MAX_TEXT].decode("utf-8", "ignore").casefold()
    return " ".join(folded.split()).encode()


@dataclass(frozen=True)
class Seeds:
    """What a key makes of MinHash: the block itself, a mask, factors and terms (numpy)."""

    block: bytes
    mask: Any
    factors: Any
    terms: Any

    @classmethod
    def of(cls, block: bytes) -> Seeds:
        """From the 64 bytes of a record key."""
        import numpy as np

        count = BANDS * ROWS
        drawn = b"".join(
            hashlib.sha256(block + _SEED + number.to_bytes(4, "little")).digest()[:8]
            for number in range(count + 1)
        )
        numbers = np.frombuffer(drawn, "<u4").reshape(-1, 2).astype(np.uint32)
        mask = np.frombuffer(drawn[-8:], "<u8").astype(np.uint64)[0]
        return cls(block, mask, numbers[:count, 0] | np.uint32(1), numbers[:count, 1])


def bands(texts: Sequence[bytes], seeds: Seeds) -> tuple[Any, Any]:
    """Which texts are long enough to have bands, and those: uint64, BANDS of each (numpy)."""
    import numpy as np

    places = [place for place, one in enumerate(texts) if len(one) >= WINDOW]
    found, start = [np.zeros((0, BANDS), np.uint64)], 0
    while start < len(places):
        end, held = start, 0
        while end < len(places) and (end == start or held + len(texts[places[end]]) <= _AT_ONCE):
            held += len(texts[places[end]])
            end += 1
        found.append(_bands([texts[place] for place in places[start:end]], seeds))
        start = end
    return np.array(places, np.int64), np.concatenate(found)


def _bands(texts: list[bytes], seeds: Seeds) -> Any:
    import numpy as np

    least = minima(texts, seeds).reshape(-1, BANDS, ROWS).astype("<u4").tobytes()
    heads = [seeds.block + bytes([number]) for number in range(BANDS)]
    size, sha256 = ROWS * 4, hashlib.sha256
    joined = b"".join(
        [
            sha256(heads[number % BANDS] + least[number * size : number * size + size]).digest()[:8]
            for number in range(len(texts) * BANDS)
        ]
    )
    return np.frombuffer(joined, ">u8").astype(np.uint64).reshape(-1, BANDS)


def minima(texts: Sequence[bytes], seeds: Seeds) -> Any:
    """MinHash of texts that have a shingle each: uint32, BANDS * ROWS of each (numpy)."""
    import numpy as np

    lengths = np.array([len(one) for one in texts], np.int64)
    starts = np.cumsum(lengths) - lengths
    joined = b"".join([*texts, b"\0" * WINDOW])
    # Every window of the texts behind each other, as a number; those over an end are passed by.
    mixed = np.ndarray((len(joined) - WINDOW + 1,), "<u8", joined, 0, (1,)) ^ seeds.mask
    for factor, shift in zip(_MIX, (32, 29), strict=True):
        mixed *= np.uint64(factor)
        mixed ^= mixed >> np.uint64(shift)
    hashed = (mixed >> np.uint64(32)).astype(np.uint32)
    edges = np.stack([starts, starts + lengths - WINDOW + 1], axis=1).ravel()
    found = np.empty((len(texts), BANDS * ROWS), np.uint32)
    for number, (factor, term) in enumerate(zip(seeds.factors, seeds.terms, strict=True)):
        found[:, number] = np.minimum.reduceat(hashed * factor + term, edges)[::2]
    return found


def shingles(said: bytes) -> Any:
    """The different windows of a text, in ascending order (numpy)."""
    import numpy as np

    if len(said) < WINDOW:
        return np.zeros(0, np.uint64)
    return np.unique(np.ndarray((len(said) - WINDOW + 1,), "<u8", said, 0, (1,)))


def similarity(one: Any, other: Any) -> float:
    """The Jaccard similarity of shingles: how many of all that either has both have."""
    import numpy as np

    both = len(np.intersect1d(one, other, assume_unique=True))
    return both / max(len(one) + len(other) - both, 1)


def estimate(shared: int) -> float:
    """The similarity that is likely where so many bands are the same."""
    return float((shared / BANDS) ** (1 / ROWS))
