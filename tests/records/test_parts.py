"""How the row groups of a Parquet file are shared by the processes that read it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_registry.records import building


def shares(sizes: list[int], processes: int = 2) -> list[int]:
    """The rows of each part."""
    return [sum(sizes[start:end]) for start, end in building._parts(sizes, processes)]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([0, 0], [0]),
        ([50_000, 50_000], [100_000]),
        ([100_000] * 4, [200_000, 200_000]),
        ([100_000] * 10, [300_000, 200_000, 200_000, 200_000, 100_000]),
        ([100_000] * 20, [500_000, 500_000, 300_000, 200_000, 200_000, 200_000, 100_000]),
        ([1_048_576, 1_048_576, 5], [1_048_576, 1_048_581]),
    ],
)
def test_what_is_read_last_is_small(sizes: list[int], expected: list[int]) -> None:
    assert shares(sizes) == expected


@given(st.lists(st.integers(0, 2_000_000), max_size=40), st.integers(1, 4))
def test_each_group_is_read_once(sizes: list[int], processes: int) -> None:
    parts = [*building._parts(sizes, processes)]
    assert [number for part in parts for number in range(*part)] == [*range(len(sizes))]
    room = 1.5 * building._MOST + max(sizes, default=0)
    assert all(rows <= room for rows in shares(sizes, processes))
