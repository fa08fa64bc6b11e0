"""A layout is read as it was written, and nothing else is one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import git_layout
from stemma_attestations.predicates.git_layout import MAX_BYTES, MAX_PATHS, Layout

paths = st.frozensets(st.text(min_size=1, max_size=6), max_size=6)


@settings(max_examples=30)
@given(pointers=paths, plain=paths, programs=paths)
def test_it_is_read_as_it_was_written(
    pointers: frozenset[str], plain: frozenset[str], programs: frozenset[str]
) -> None:
    plain -= pointers
    layout = git_layout.of(pointers, plain, programs)
    if layout is None:
        assert not programs
        assert not pointers or not plain
        return
    assert git_layout.parse(git_layout.build(layout)) == layout
    assert {path for path in pointers | plain if layout.is_pointer(path)} == pointers
    assert len(layout.listed) == min(len(pointers), len(plain))


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"pointers": [], "plain": []},
        {"pointers": "a"},
        {"pointers": [1]},
        {"plain": None},
        {"plain": ["a"], "executable": {}},
        {"pointers": [str(n) for n in range(MAX_PATHS + 1)]},
        {"pointers": ["a" * (MAX_BYTES // 2)], "executable": ["b" * (MAX_BYTES // 2 + 1)]},
    ],
)
def test_what_is_none_is_refused(predicate: dict[str, object]) -> None:
    with pytest.raises(BadStatement):
        git_layout.parse(predicate)


def test_what_is_too_long_is_not_written() -> None:
    with pytest.raises(BadStatement, match="at most"):
        git_layout.build(Layout(frozenset(map(str, range(MAX_PATHS + 1)))))
