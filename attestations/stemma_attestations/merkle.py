"""RFC 6962 Merkle trees: the root over a growing list, in O(log n) memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

EMPTY_ROOT = hashlib.sha256(b"").hexdigest()


def leaf_hash(data: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 6962 section 2.1: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass
class Frontier:
    """The right edge of a tree of `size` leaves: enough to append and to give the root.

    `peaks` are the roots of the perfect subtrees, largest first; there is one
    for each bit set in `size`.
    """

    size: int = 0
    peaks: list[bytes] = field(default_factory=list)

    def append(self, data: bytes) -> None:
        """Add one leaf of raw `data`."""
        node = leaf_hash(data)
        size = self.size
        while size & 1:
            node = node_hash(self.peaks.pop(), node)
            size >>= 1
        self.peaks.append(node)
        self.size += 1

    @property
    def root(self) -> str:
        """The root as hex; of no leaves, the hash of nothing."""
        if not self.peaks:
            return EMPTY_ROOT
        node = self.peaks[-1]
        for peak in reversed(self.peaks[:-1]):
            node = node_hash(peak, node)
        return node.hex()

    def copy(self) -> Frontier:
        """An independent copy."""
        return Frontier(self.size, list(self.peaks))


class Proofs:
    """Inclusion proofs in a tree over leaf hashes; each perfect subtree is hashed once."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self._levels: list[Sequence[bytes]] = [leaves]
        while len(last := self._levels[-1]) > 1:
            paired = [node_hash(last[i], last[i + 1]) for i in range(0, len(last) - 1, 2)]
            # The last of an odd level has no sibling there, and goes up as it is.
            self._levels.append([*paired, last[-1]] if len(last) % 2 else paired)

    def path(self, index: int) -> list[bytes]:
        """From the leaf upward (RFC 6962 section 2.1.1). Raises IndexError."""
        if not 0 <= index < len(self._levels[0]):
            raise IndexError(index)
        found = []
        for level in self._levels[:-1]:
            if index ^ 1 < len(level):
                found.append(level[index ^ 1])
            index >>= 1
        return found


def root_of_path(index: int, size: int, leaf: bytes, path: Sequence[bytes]) -> bytes | None:
    """The root that an inclusion proof leads to (RFC 9162 section 2.1.3.2).

    `leaf` is the hash of the leaf at `index` of a tree of `size`, `path` the proof from
    the leaf upward. None where the proof is not as long as such a tree's.
    """
    if not 0 <= index < size:
        return None
    node, number, last = leaf, index, size - 1
    for sibling in path:
        if last == 0:
            return None
        if number & 1 or number == last:
            node = node_hash(sibling, node)
            while number and not number & 1:
                number, last = number >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        number, last = number >> 1, last >> 1
    return node if last == 0 else None


def root(leaves: Iterable[bytes]) -> str:
    """The root over all `leaves`, as hex."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root
