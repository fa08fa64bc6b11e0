"""The chain: each entry names the one before it and the tree over all of them."""

from __future__ import annotations

import pytest

from stemma_attestations.digest import Digest
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger.entry import LedgerEntry
from stemma_registry.ledger.log import Head, entries_after, entry_key, read_entry
from tests.ledger.simulator import Writer, entries, event, ledger, raw_entries, tree_root

# Leaves and roots of the test vectors that certificate-transparency implementations share.
VECTORS = (
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


def replace_entry(store: MemoryStore, n: int, **changes: object) -> None:
    """Write entry `n` again with other contents, well-formed."""
    old = read_entry(store, n)
    assert old is not None
    fields: dict[str, object] = {
        "n": n,
        "previous": old.previous,
        "nonce": old.nonce,
        "time": old.time,
        "tree_root": old.tree_root,
        "events": old.events,
        **changes,
    }
    store.objects[entry_key(n)] = LedgerEntry.build(**fields).raw  # type: ignore[arg-type]


def read_all(store: MemoryStore) -> int:
    head = Head()
    for _ in entries_after(store, head):
        pass
    return head.n


def test_the_reference_of_these_tests_gives_the_known_roots() -> None:
    leaves = [bytes.fromhex(text) for text in VECTORS]
    assert tuple(tree_root(leaves[: n + 1]) for n in range(len(leaves))) == ROOTS
    assert tree_root([]) == Digest.of(b"").value


def test_a_ledger_of_many_entries_follows_its_own_rules() -> None:
    store = ledger(*(f"event {i}" for i in range(70)))
    raw = raw_entries(store)
    found = entries(store)
    assert len(found) == len(raw) == 71
    for n, entry in enumerate(found):
        assert entry.n == n
        assert entry.raw == raw[n]
        assert entry.previous == (Digest.of(raw[n - 1]) if n else None)
        assert entry.tree_root == tree_root(raw[:n])
    assert len({entry.nonce for entry in found}) == 71


def test_the_head_of_a_reader_names_what_it_read() -> None:
    store = ledger("a", "b", "c")
    head = Head()
    assert [e.n for e in entries_after(store, head)] == [0, 1, 2, 3]
    assert (head.n, head.entry) == (3, Digest.of(store.objects[entry_key(3)]))
    assert head.tree.root == tree_root(raw_entries(store))
    assert list(entries_after(store, head)) == []
    Writer(store).append("late")  # it starts from nothing, and finds its place
    assert [e.n for e in entries_after(store, head)] == [4]


def test_a_copy_of_a_head_stands_alone() -> None:
    store = ledger("a", "b")
    head = Head()
    walk = entries_after(store, head)
    next(walk)
    copy = head.copy()
    list(walk)
    assert (copy.n, head.n) == (0, 2)
    assert copy.tree.root == tree_root(raw_entries(store)[:1])


@pytest.mark.parametrize("n", [0, 1, 2, 3])
def test_an_entry_that_was_changed_breaks_the_chain_behind_it(n: int) -> None:
    store = ledger("a", "b", "c", "d")
    replace_entry(store, n, events=(event("something else"),))
    with pytest.raises(LedgerBroken, match=f"entry {n + 1}"):
        read_all(store)


def test_the_last_entry_has_nobody_behind_it_to_notice_a_change() -> None:
    """Which is what seen heads and checkpoints are for."""
    store = ledger("a", "b")
    replace_entry(store, 2, events=(event("something else"),))
    assert read_all(store) == 2


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_wrong_previous_is_refused(n: int) -> None:
    store = ledger("a", "b", "c")
    replace_entry(store, n, previous=Digest.of(b"elsewhere"))
    with pytest.raises(LedgerBroken, match=f"entry {n} does not follow"):
        read_all(store)


def test_only_the_first_entry_has_no_previous() -> None:
    store = ledger("a")
    replace_entry(store, 1, previous=None)
    with pytest.raises(LedgerBroken, match="does not follow"):
        read_all(store)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_wrong_tree_root_is_refused(n: int) -> None:
    store = ledger("a", "b", "c")
    replace_entry(store, n, tree_root=Digest.of(b"another tree").value)
    with pytest.raises(LedgerBroken, match=f"entry {n} has a wrong tree root"):
        read_all(store)


def test_the_root_of_a_tree_that_is_one_entry_short_is_refused() -> None:
    store = ledger("a", "b", "c")
    replace_entry(store, 3, tree_root=tree_root(raw_entries(store)[:2]))
    with pytest.raises(LedgerBroken, match="wrong tree root"):
        read_all(store)


def test_two_entries_that_changed_places_are_refused() -> None:
    store = ledger("a", "b", "c")
    one, two = entry_key(1), entry_key(2)
    store.objects[one], store.objects[two] = store.objects[two], store.objects[one]
    with pytest.raises(LedgerBroken, match="entry 1"):
        read_all(store)


def test_a_removed_entry_ends_the_ledger_there() -> None:
    """A reader that starts anew cannot see it; `audit` and seen heads do (tests/faults)."""
    store = ledger("a", "b", "c")
    del store.objects[entry_key(2)]
    assert read_all(store) == 1


def test_an_entry_of_another_ledger_is_refused() -> None:
    store, other = ledger("a", "b"), ledger("a", "b", "c")
    store.objects[entry_key(3)] = other.objects[entry_key(3)]
    with pytest.raises(LedgerBroken, match="entry 3 does not follow"):
        read_all(store)


@pytest.mark.parametrize("n", [0, 2])
def test_every_changed_byte_of_an_entry_is_noticed(n: int) -> None:
    store = ledger("a", "b", "c")
    raw = store.objects[entry_key(n)]
    for place in range(len(raw)):
        for flip in (0x01, 0x20, 0x80):
            changed = raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :]
            store.objects[entry_key(n)] = changed
            with pytest.raises(LedgerBroken):
                read_all(store)
