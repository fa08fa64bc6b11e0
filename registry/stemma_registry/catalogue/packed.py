"""Millions of SHA-256 digests and their ids in memory, forty bytes each. Needs numpy.

What is new is sorted into a run of its own, and runs of like size become one: a digest is
sought in a few of them, and sorted a few times. The first eight bytes find it and all of
them decide, so that nobody who makes digests with a head in common gets another's id.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

_WORDS = 4  # of eight bytes each


class _Run(NamedTuple):
    """Sorted by the first word of the digest."""

    heads: Array  # uint64, one for each digest
    tails: Array  # uint64, three for each
    ids: Array  # int64


@dataclass
class Packed:
    """Ids by the hex of their digests."""

    runs: list[_Run] = field(default_factory=list)

    def __len__(self) -> int:
        return sum(len(run.ids) for run in self.runs)

    def add(self, ids: Mapping[str, int]) -> None:
        """Remember ids; one that is there already is there once."""
        import numpy as np

        if not ids:
            return
        words = _words(ids)
        order = np.argsort(words[:, 0])
        numbers = np.fromiter(ids.values(), np.int64, len(ids))
        run = _Run(words[order, 0], words[order, 1:], numbers[order])
        while self.runs and len(self.runs[-1].ids) <= 2 * len(run.ids):
            run = _merged(self.runs.pop(), run)
        self.runs.append(run)

    def find(self, values: Sequence[str]) -> list[int]:
        """The id of each, 0 for one that is not there, -1 for one that nobody can tell.

        That is one whose head another digest has.
        """
        import numpy as np

        words = _words(values)
        order = np.argsort(words[:, 0])  # neighbours lie in the same part of memory
        heads, tails = words[order, 0], words[order, 1:]
        found = np.zeros(len(values), np.int64)
        for run in self.runs:
            at = np.searchsorted(run.heads, heads)
            at[at == len(run.heads)] = 0
            alike = np.flatnonzero(run.heads[at] == heads)
            same = (run.tails[at[alike]] == tails[alike]).all(axis=1)
            ids = np.where(same, run.ids[at[alike]], -1)
            found[alike] = np.where(found[alike] > 0, found[alike], ids)
        answer = np.empty_like(found)
        answer[order] = found
        return list(answer.tolist())


def _words(values: Iterable[str]) -> Array:
    import numpy as np

    raw = np.frombuffer(bytes.fromhex("".join(values)), ">u8")
    return raw.astype(np.uint64).reshape(-1, _WORDS)


def _merged(old: _Run, new: _Run) -> _Run:
    """Both, still sorted; what is in both is there once, where its head is nobody else's."""
    import numpy as np

    at = np.searchsorted(old.heads, new.heads)
    at[at == len(old.heads)] = 0
    fresh = (old.heads[at] != new.heads) | (old.ids[at] != new.ids)
    new = _Run(*(column[fresh] for column in new))
    places = np.searchsorted(old.heads, new.heads, side="right") + np.arange(len(new.ids))
    others = np.ones(len(old.ids) + len(new.ids), bool)
    others[places] = False
    columns = []
    for before, more in zip(old, new, strict=True):
        both = np.empty((len(others), *before.shape[1:]), before.dtype)
        both[places], both[others] = more, before
        columns.append(both)
    return _Run(*columns)
