"""Not going back: the highest head seen by a home, and heads that somebody signed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import checkpoint, status
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.trust import TrustRoot
from stemma_registry import trust_file
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger import heads
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import Head, entries_after, entry_key
from stemma_registry.signing import KeySigner
from tests.ledger.simulator import Writer, ledger
from tests.threads import together
from tests.world import new_signer

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


def head_of(store: MemoryStore) -> Head:
    return Writer(store).catch_up()


def shorten(store: MemoryStore, last: int) -> None:
    """Rewind the ledger so that it ends with entry `last`."""
    n = last + 1
    while store.objects.pop(entry_key(n), None) is not None:
        n += 1


def fork(store: MemoryStore, last: int, *events: str) -> None:
    """Rewind to `last` and go on with other events."""
    shorten(store, last)
    writer = Writer(store)
    for what in events:
        writer.append(what)


def see(folder: Path, store: MemoryStore, head: Head) -> None:
    """What a reader does: remember what was seen, refuse what lies behind it."""
    seen = heads.read_seen(folder, store)
    heads.check_seen(store, head, seen)
    heads.remember(folder, store, head, seen)


# Seen heads.


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home" / "heads"


def seen(home: Path, store: MemoryStore) -> int | None:
    """The number that the home remembers for this store."""
    found = [json.loads(path.read_bytes()) for path in home.glob("*.json")]
    numbers = [doc["n"] for doc in found if doc["location"] == store.location]
    assert len(numbers) <= 1
    return numbers[0] if numbers else None


def test_the_highest_head_is_remembered(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    assert seen(home, store) == 1
    see(home, store, head_of(store))
    Writer(store).append("b")
    see(home, store, head_of(store))
    assert seen(home, store) == 2


def test_nothing_is_remembered_of_a_store_without_a_ledger(home: Path) -> None:
    store = MemoryStore()
    see(home, store, Head())
    assert seen(home, store) is None


@pytest.mark.parametrize("last", [2, 1, 0])
def test_a_rewound_ledger_is_refused(home: Path, last: int) -> None:
    store = ledger("a", "b", "c")
    see(home, store, head_of(store))
    shorten(store, last)
    for _ in range(2):
        with pytest.raises(LedgerBroken, match="rewound"):
            see(home, store, head_of(store))
    assert seen(home, store) == 3, "a refusal forgets nothing"


def test_a_ledger_that_is_gone_is_refused(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    store.objects.clear()
    with pytest.raises(LedgerBroken, match="rewound"):
        see(home, store, head_of(store))


@pytest.mark.parametrize("events", [("x",), ("x", "y"), ("x", "y", "z", "and", "more")])
def test_a_forked_ledger_is_refused_at_any_length(home: Path, events: tuple[str, ...]) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    fork(store, 0, *events)
    with pytest.raises(LedgerBroken, match="rewound|rewritten or replaced"):
        see(home, store, head_of(store))
    assert seen(home, store) == 2


@pytest.mark.parametrize("length", [0, 1, 2, 5])
def test_a_replaced_ledger_is_refused(home: Path, length: int) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    store.objects.clear()
    ledger(*map(str, range(length)), store=store)
    with pytest.raises(LedgerBroken):
        see(home, store, head_of(store))


def test_a_fork_behind_what_was_seen_shows_at_the_place_that_was_seen(home: Path) -> None:
    """The reader comes back after many entries: only entry 2 can be compared."""
    store = ledger("a", "b")
    see(home, store, head_of(store))
    fork(store, 1, "x", *map(str, range(30)))
    with pytest.raises(LedgerBroken, match="entry 2"):
        see(home, store, head_of(store))


def test_what_grew_honestly_is_accepted(home: Path) -> None:
    store = ledger("a", "b")
    see(home, store, head_of(store))
    for i in range(30):
        Writer(store).append(str(i))
    see(home, store, head_of(store))
    assert seen(home, store) == 32


def test_two_registries_in_one_home_do_not_meet(home: Path) -> None:
    one, two = ledger("a", "b", "c"), ledger("x")
    see(home, one, head_of(one))
    see(home, two, head_of(two))
    assert (seen(home, one), seen(home, two)) == (3, 1)


def test_a_new_registry_at_the_place_of_an_old_one_starts_anew(home: Path) -> None:
    store = ledger("a", "b", "c")
    see(home, store, head_of(store))
    store.objects.clear()
    ledger("x", store=store)
    heads.forget_seen(home, store)
    see(home, store, head_of(store))
    assert seen(home, store) == 1


DAMAGED = {
    "nothing": b"",
    "garbage": b"\x00\xff garbage",
    "half": b'{"entry":"sha256:',
    "a list": b"[]",
    "no number": b'{"entry":"sha256:' + b"0" * 64 + b'"}',
    "no entry": b'{"n":1}',
    "a number as word": b'{"entry":"sha256:' + b"0" * 64 + b'","n":"many"}',
    "a wrong digest": b'{"entry":"sha256:00","n":1}',
    "an entry that is a number": b'{"entry":7,"n":1}',
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_memory_is_no_memory_and_no_permission(home: Path, what: str) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    (path,) = home.glob("*.json")
    path.write_bytes(DAMAGED[what])
    with pytest.raises(LedgerBroken) as caught:
        see(home, store, head_of(store))
    assert str(path) in str(caught.value), "the message names the file that is to be looked at"
    assert path.read_bytes() == DAMAGED[what]


def test_a_memory_that_is_a_directory_is_refused(home: Path) -> None:
    store = ledger("a")
    see(home, store, head_of(store))
    (path,) = home.glob("*.json")
    path.unlink()
    path.mkdir()
    with pytest.raises(LedgerBroken):
        see(home, store, head_of(store))


def test_a_home_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("not a directory")
    store = ledger("a")
    see(tmp_path / "elsewhere" / "heads", store, head_of(store))
    with pytest.raises(LedgerBroken):
        # It cannot be *read* either: what was seen before is not known.
        see(tmp_path / "home" / "heads", store, head_of(store))


def test_remembering_leaves_no_work_files(home: Path) -> None:
    store = ledger()
    for i in range(5):
        Writer(store).append(str(i))
        see(home, store, head_of(store))
    kept = sorted(name for name in os.listdir(home) if not name.endswith(".lock"))
    assert kept == [path.name for path in home.glob("[0-9a-f]*.json")]
    assert len(kept) == 1


def test_of_two_that_remember_the_higher_head_stays(home: Path) -> None:
    """One looked at entry 1 and was slow; the other has seen entry 3 meanwhile."""
    store = ledger("a")
    slow, before = head_of(store), heads.read_seen(home, store)
    Writer(store).append("b")
    Writer(store).append("c")
    see(home, store, head_of(store))
    heads.check_seen(store, slow, before)
    heads.remember(home, store, slow, before)
    assert seen(home, store) == 3


def test_sixteen_that_remember_at_once(home: Path) -> None:
    store = ledger(*map(str, range(16)))
    reached = []
    head = Head()
    for _ in entries_after(store, head):
        reached.append(head.copy())
    for _ in range(5):
        heads.forget_seen(home, store)
        jobs = [partial(heads.remember, home, store, head, None) for head in reached]
        assert together(jobs) == [None] * len(jobs)
        assert seen(home, store) == 16


# Signed heads.


class Signed:
    """A ledger with a believed signer and a stranger."""

    def __init__(self, folder: Path, *events: str) -> None:
        self.store = ledger(*events)
        self.path = folder / "trust.yaml"
        self.owner, self.stranger = new_signer(), new_signer()
        self.trust: TrustRoot = trust_file.add(self.path, "owner", self.owner.public)

    @property
    def head(self) -> Head:
        return head_of(self.store)

    def write(self, signer: KeySigner | None = None, trust: TrustRoot | None = None) -> None:
        signer = self.owner if signer is None else signer
        trust = self.trust if trust is None else trust
        heads.write_checkpoint(self.store, self.head, signer, trust, NOW)

    def place(self, n: int, entry: Digest, signer: KeySigner) -> None:
        """Leave a checkpoint that says what it likes."""
        said = Checkpoint(n, entry, Digest.of(b"tree").value, "2026-11-21T12:00:00Z")
        self.store.replace(CHECKPOINT, signer.sign(checkpoint.build(said)).raw)

    def check(self) -> None:
        """What every reader does."""
        signed = heads.read_checkpoint(self.store, self.trust)
        heads.check_checkpoint(self.store, self.head, signed)


@pytest.fixture
def signed(tmp_path: Path) -> Iterator[Signed]:
    yield Signed(tmp_path, "a", "b")


def test_a_checkpoint_is_the_signed_head(signed: Signed) -> None:
    signed.write()
    found = heads.read_checkpoint(signed.store, signed.trust)
    head = signed.head
    assert found is not None
    assert (found.n, found.entry) == (head.n, head.entry)
    assert found.tree_root == json.loads(signed.store.objects[entry_key(2)])["tree_root"]
    assert found.time == "2026-11-21T12:00:00Z"
    statement = Bundle.parse(signed.store.read(CHECKPOINT)).verify(signed.owner.public)
    assert statement.predicate_type == "urn:stemma:checkpoint:v0.1"
    signed.check()


def test_a_ledger_that_went_on_is_accepted(signed: Signed) -> None:
    signed.write()
    for i in range(20):
        Writer(signed.store).append(str(i))
    signed.check()


def test_no_checkpoint_stops_nobody(signed: Signed) -> None:
    assert heads.read_checkpoint(signed.store, signed.trust) is None
    signed.check()


@pytest.mark.parametrize("last", [0, 1])
def test_a_ledger_behind_its_checkpoint_is_refused(signed: Signed, last: int) -> None:
    signed.write()
    shorten(signed.store, last)
    with pytest.raises(LedgerBroken, match="rewound"):
        signed.check()


@pytest.mark.parametrize("events", [("x", "y"), ("x", "y", "z")])
def test_a_ledger_beside_its_checkpoint_is_refused(signed: Signed, events: tuple[str, ...]) -> None:
    signed.write()
    fork(signed.store, 0, *events)
    with pytest.raises(LedgerBroken, match="rewritten or replaced"):
        signed.check()


JUNK = {
    "nothing": b"",
    "garbage": b"\x00\xff",
    "JSON": b"{}",
    "a list": b"[]",
    "an unsigned checkpoint": b'{"n":9999,"entry":"sha256:' + b"0" * 64 + b'"}',
    "deep nesting": b"[" * 100_000,
    "half a bundle": b'{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json"}',
}


@pytest.mark.parametrize("what", JUNK)
def test_junk_in_its_place_neither_blocks_nor_helps(signed: Signed, what: str) -> None:
    signed.store.replace(CHECKPOINT, JUNK[what])
    signed.check()
    shorten(signed.store, 1)
    signed.check()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10**6])
def test_a_strangers_checkpoint_neither_blocks_nor_helps(signed: Signed, n: int) -> None:
    """It claims another entry, or one far ahead: P7, untrusted signers can neither block."""
    signed.place(n, Digest.of(b"another ledger"), signed.stranger)
    assert heads.read_checkpoint(signed.store, signed.trust) is None
    signed.check()


def test_a_checkpoint_by_a_key_that_may_not_say_it_is_not_believed(
    signed: Signed, tmp_path: Path
) -> None:
    pusher, narrow = new_signer(), new_signer()
    trust_file.add(signed.path, "pusher", pusher.public, predicates=[status.TYPE])
    signed.trust = trust_file.add(signed.path, "narrow", narrow.public, names=["models/*"])
    for signer in (pusher, narrow):
        signed.place(10**6, Digest.of(b"x"), signer)
        signed.check()


def test_a_believed_key_may_be_given_checkpoints_only(signed: Signed) -> None:
    clerk = new_signer()
    signed.trust = trust_file.add(
        signed.path, "clerk", clerk.public, predicates=[checkpoint.TYPE], names=["ledger"]
    )
    signed.write(clerk)
    shorten(signed.store, 1)
    with pytest.raises(LedgerBroken):
        signed.check()


def test_a_changed_byte_never_makes_another_believed_head(signed: Signed) -> None:
    """It takes the weight away. (Base64 has spare bits: other text, the same signed bytes.)"""
    signed.write()
    raw = signed.store.read(CHECKPOINT)
    said, believed = heads.read_checkpoint(signed.store, signed.trust), 0
    for place in range(len(raw)):
        signed.store.replace(CHECKPOINT, raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :])
        found = heads.read_checkpoint(signed.store, signed.trust)
        assert found in (None, said)
        believed += found is not None
    assert believed < len(raw) // 50


def test_a_statement_of_another_kind_is_no_checkpoint(signed: Signed) -> None:
    from stemma_attestations.statement import ResourceDescriptor, Statement

    subject = ResourceDescriptor(name="ledger", digests=(Digest.of(b"x"),))
    other = Statement.build([subject], "urn:example:other", {"n": 10**6})
    signed.store.replace(CHECKPOINT, signed.owner.sign(other).raw)
    assert heads.read_checkpoint(signed.store, signed.trust) is None
    signed.check()


# Who may replace a checkpoint.


def test_a_later_believed_checkpoint_is_not_replaced_by_an_earlier(signed: Signed) -> None:
    signed.write()
    later = signed.store.read(CHECKPOINT)
    shorten(signed.store, 1)
    signed.write()
    assert signed.store.read(CHECKPOINT) == later


def test_an_earlier_checkpoint_is_replaced(signed: Signed) -> None:
    signed.write()
    Writer(signed.store).append("c")
    signed.write()
    found = heads.read_checkpoint(signed.store, signed.trust)
    assert found is not None
    assert found.n == 3


@pytest.mark.parametrize("by", ["junk", "stranger"])
def test_one_that_is_not_believed_does_not_keep_the_place(signed: Signed, by: str) -> None:
    if by == "junk":
        signed.store.replace(CHECKPOINT, b"junk")
    else:
        signed.place(10**6, Digest.of(b"x"), signed.stranger)
    signed.write()
    found = heads.read_checkpoint(signed.store, signed.trust)
    assert found is not None
    assert found.n == 2


def test_an_empty_ledger_gets_no_checkpoint(tmp_path: Path) -> None:
    signed = Signed(tmp_path)
    heads.write_checkpoint(signed.store, Head(), signed.owner, signed.trust, NOW)
    assert CHECKPOINT not in signed.store.objects
