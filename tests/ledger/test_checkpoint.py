"""Not going back: heads that somebody signed. One that is not believed neither blocks nor helps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.predicates import checkpoint, status
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.trust import TrustRoot
from stemma_registry.errors import LedgerBroken
from stemma_registry.ledger import heads
from stemma_registry.ledger.heads import CHECKPOINT
from stemma_registry.ledger.log import Head, entry_key
from stemma_registry.signing import KeySigner
from stemma_registry.trust import file as trust_file
from tests.ledger.simulator import Writer, fork, head_of, ledger, shorten
from tests.world import new_signer

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)


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
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path, "a", "b")


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


def test_who_may_not_say_checkpoints_leaves_none(signed: Signed) -> None:
    signed.write()
    believed = signed.store.read(CHECKPOINT)
    Writer(signed.store).append("c")
    signed.write(signed.stranger)
    assert signed.store.read(CHECKPOINT) == believed
    trust_file.add(signed.path, "trainer", signed.stranger.public, [status.TYPE], ["**"])
    signed.write(signed.stranger, trust_file.load(signed.path, required=True))
    assert signed.store.read(CHECKPOINT) == believed
