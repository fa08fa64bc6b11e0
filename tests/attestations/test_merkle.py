"""RFC 6962 trees, against the definition and the published roots."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.merkle import (
    EMPTY_ROOT,
    Frontier,
    Proofs,
    leaf_hash,
    node_hash,
    root,
    root_of_path,
)
from tests.building import examples


def naive(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962, section 2.1, word for word."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive(leaves[:k]) + naive(leaves[k:])).digest()


# The leaves and roots of Certificate Transparency's reference tests.
LEAVES = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243")
    + ("5051525354555657", "606162636465666768696a6b6c6d6e6f")
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    assert root(LEAVES[:size]) == ROOTS[size]
    assert naive(LEAVES[:size]).hex() == ROOTS[size]


def test_sizes_0_to_70_against_the_definition() -> None:
    leaves = [b"leaf %d" % i for i in range(70)]
    growing = Frontier()
    assert growing.root == EMPTY_ROOT == naive([]).hex()
    for size, leaf in enumerate(leaves, 1):
        growing.append(leaf)
        assert growing.size == size
        assert growing.root == naive(leaves[:size]).hex()
        assert len(growing.peaks) == size.bit_count()


@examples(100)
@given(st.lists(st.binary(max_size=5), max_size=40))
def test_any_leaves(leaves: list[bytes]) -> None:
    assert root(iter(leaves)) == naive(leaves).hex()


@examples(100)
@given(st.lists(st.binary(max_size=3), min_size=1, max_size=12), st.data())
def test_any_changed_dropped_or_moved_leaf_changes_the_root(
    leaves: list[bytes], data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    assert root(leaves[:index] + [leaves[index] + b"x"] + leaves[index + 1 :]) != root(leaves)
    assert root(leaves[:index] + leaves[index + 1 :]) != root(leaves)
    moved = leaves[:index] + leaves[index + 1 :] + [leaves[index]]
    assert (root(moved) == root(leaves)) is (moved == leaves)


def test_leaves_and_nodes_are_told_apart() -> None:
    """A node's two halves as one leaf must not give the node's hash."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert root([b"a", b"b"]) == node_hash(left, right).hex()
    assert root([left + right]) != root([b"a", b"b"])


def test_a_copy_is_independent() -> None:
    one = Frontier()
    one.append(b"a")
    two = one.copy()
    two.append(b"b")
    assert one.root == root([b"a"])
    assert two.root == root([b"a", b"b"])
    one.append(b"c")
    assert two.root == root([b"a", b"b"])


def path_of(index: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962, section 2.1.1, word for word."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if index < k:
        return [*path_of(index, leaves[:k]), naive(leaves[k:])]
    return [*path_of(index - k, leaves[k:]), naive(leaves[:k])]


@pytest.mark.parametrize("size", range(1, 18))
def test_inclusion_proofs_lead_to_the_root_and_others_do_not(size: int) -> None:
    leaves = [bytes([n]) for n in range(size)]
    expected = naive(leaves)
    tree = Proofs([leaf_hash(leaf) for leaf in leaves])
    for index in (-1, size):
        with pytest.raises(IndexError):
            tree.path(index)
    for index, leaf in enumerate(leaves):
        path, hashed = path_of(index, leaves), leaf_hash(leaf)
        assert tree.path(index) == path
        assert root_of_path(index, size, hashed, path) == expected
        assert root_of_path(index, size, leaf_hash(b"other"), path) != expected
        assert root_of_path(index, size, hashed, [*path, b"x" * 32]) is None
        assert not path or root_of_path(index, size, hashed, path[:-1]) is None
        for other in set(range(-1, size + 1)) - {index}:
            assert root_of_path(other, size, hashed, path) != expected
        for at in range(len(path)):
            wrong = [*path[:at], b"x" * 32, *path[at + 1 :]]
            assert root_of_path(index, size, hashed, wrong) != expected
