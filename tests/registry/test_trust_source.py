"""Which trust root holds: files, pins, and the one in the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadDigest, BadTrustRoot, BytesDiffer
from stemma_cli import exits
from stemma_registry.blobs.contract import Store, put_bytes
from stemma_registry.blobs.memory import MemoryStore
from stemma_registry.care.audit import audit
from stemma_registry.care.replicate import replicate
from stemma_registry.config import Home
from stemma_registry.errors import BadSettings, Damaged, NotFound, Refused, Unavailable
from stemma_registry.ledger.entry import TRUST, LedgerEntry
from stemma_registry.ledger.log import Head, append
from stemma_registry.trust import file as trust_file
from stemma_registry.trust import source as trust_source
from stemma_registry.trust.publishing import publish
from stemma_registry.trust.source import Source
from tests.registry.collecting import NOW, Clock, gc
from tests.world import World, new_signer

ABSENT = Digest.of(b"nothing of that digest")


@pytest.fixture
def raw(tmp_path: Path) -> bytes:
    path = tmp_path / "reviewed.yaml"
    trust_file.add(path, "ada", new_signer().public)
    return path.read_bytes()


def nowhere() -> Store:
    raise AssertionError("the registry was asked")


def code(error: BaseException) -> int:
    return exits.code_of(error)


def test_a_file_and_a_file_with_its_digest(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "reviewed.yaml"
    for text in (str(path), f"{path}@{Digest.of(raw)}"):
        assert Source.parse(text).load(nowhere).signers[0].principal == "ada"
    with pytest.raises(BytesDiffer) as caught:
        Source.parse(f"{path}@{ABSENT}").load(nowhere)
    assert code(caught.value) == 12
    with pytest.raises(NotFound):
        Source.parse(str(tmp_path / "none.yaml")).load(nowhere)
    with pytest.raises(NotFound):
        Source.parse(f"{tmp_path}/none.yaml@{ABSENT}").load(nowhere)


@pytest.mark.parametrize(
    "text", ["sha256:", "sha256:abc", "f.yaml@sha256:12", "sha256:" + "A" * 64]
)
def test_a_pin_is_whole_or_none(text: str) -> None:
    with pytest.raises(BadDigest):
        Source.parse(text)


def test_names_that_look_like_pins_and_are_none(tmp_path: Path) -> None:
    assert Source.parse("./sha256:x") == Source(Path("sha256:x"), None)
    assert Source.parse("ada@example.org.yaml") == Source(Path("ada@example.org.yaml"), None)
    assert Source.parse("t.yaml", tmp_path) == Source(tmp_path / "t.yaml", None)
    assert Source.parse("/etc/t.yaml", tmp_path) == Source(Path("/etc/t.yaml"), None)


def test_from_the_registry_by_digest(raw: bytes) -> None:
    store = MemoryStore()
    digest = put_bytes(store, raw)
    assert Source.parse(str(digest)).load(lambda: store).digest == digest
    store.blob_bytes[digest] = raw.replace(b"ada", b"eve")
    with pytest.raises(Damaged) as damaged:
        Source.parse(str(digest)).load(lambda: store)
    assert code(damaged.value) == 12
    with pytest.raises(Unavailable, match="trust publish") as missing:
        Source.parse(str(ABSENT)).load(lambda: store)
    assert code(missing.value) == 14
    other = put_bytes(store, b"not: a trust root\n")
    with pytest.raises(BadTrustRoot, match=str(other)):
        Source.parse(str(other)).load(lambda: store)
    large = put_bytes(store, raw + b"#" * (2 * 1024 * 1024))
    with pytest.raises((BadTrustRoot, Damaged, Unavailable)):
        Source.parse(str(large)).load(lambda: store)


def test_the_configuration_says_it(tmp_path: Path, raw: bytes) -> None:
    home, store = Home(tmp_path / "home"), MemoryStore()
    digest = put_bytes(store, raw)
    trust_file.add(home.trust, "somebody else", new_signer().public)
    assert trust_source.of_home(home, nowhere).signers[0].principal == "somebody else"
    assert trust_source.writable(home, None) == home.trust

    home.configuration.write_text(f"trust: {digest}\n")
    assert trust_source.of_home(home, lambda: store).signers[0].principal == "ada"
    with pytest.raises(Refused, match="--trust FILE"):
        trust_source.writable(home, None)
    assert trust_source.writable(home, Path("x.yaml")) == Path("x.yaml")
    home.configuration.write_text(f"trust: {ABSENT}\n")
    with pytest.raises(Unavailable):  # never the file in the home instead
        trust_source.of_home(home, lambda: store)

    (home.path / "pinned.yaml").write_bytes(raw)
    home.configuration.write_text(f"trust: pinned.yaml@{digest}\n")  # in the home, not here
    assert trust_source.of_home(home, nowhere).signers[0].principal == "ada"
    home.configuration.write_text("trust: [a]\n")
    with pytest.raises(BadSettings):
        trust_source.of_home(home, nowhere)
    assert trust_source.of_home(Home(tmp_path / "new"), nowhere) == trust_file.NOBODY
    with pytest.raises(NotFound):
        trust_source.of_home(Home(tmp_path / "new"), nowhere, required=True)


# --- published ------------------------------------------------------------------------------


@pytest.fixture
def world(tmp_path: Path, clock: Clock) -> World:
    """An empty registry in which time passes when somebody waits."""
    return World(tmp_path)


def test_it_is_published_once_and_nothing_else_changes(world: World, raw: bytes) -> None:
    world.push("data/raw:1")
    signer = world.signer("owner")
    first = publish(world.registry, world.trust, signer, raw, world.now)
    assert first.digest == Digest.of(raw)
    assert first.entry is not None
    assert Source.parse(str(first.digest)).load(lambda: world.store).digest == first.digest
    again = publish(world.registry, world.trust, signer, raw, world.now)
    assert (again.digest, again.entry) == (first.digest, None)
    assert world.code("data/raw:1") == 0
    assert audit(world.store, world.home, world.trust, read_data=True).whole
    with pytest.raises(BadTrustRoot):
        publish(world.registry, world.trust, signer, b"format: other\n", world.now)


def test_it_survives_collecting_and_comes_back_after_it(world: World, raw: bytes) -> None:
    signer = world.signer("owner")
    loose = put_bytes(world.store, raw)  # as by a publish that was cut off before its entry
    gc(world, NOW)
    gc(world, NOW)
    assert world.store.size(loose) is None
    done = publish(world.registry, world.trust, signer, raw, world.now)
    for _ in range(3):
        gc(world, NOW)
    world.rebuild()
    gc(world, NOW)
    assert Source.parse(str(done.digest)).load(lambda: world.store).digest == done.digest


def test_it_is_copied_by_replicate(world: World, raw: bytes) -> None:
    digest = publish(world.registry, world.trust, world.signer("owner"), raw, world.now).digest
    copy = MemoryStore()
    replicate(world.store, copy, world.home, world.trust)
    assert Source.parse(str(digest)).load(lambda: copy).digest == digest


def test_one_that_is_lost_is_named_for_what_it_is(world: World, raw: bytes) -> None:
    digest = publish(world.registry, world.trust, world.signer("owner"), raw, world.now).digest
    world.store.delete(digest)
    (finding,) = audit(world.store, world.home, world.trust).findings
    assert finding.what == "missing"
    assert finding.needed_by == ("the trust root of ledger entry 1",)


def test_a_reader_that_does_not_know_the_event_passes_over_it(world: World, raw: bytes) -> None:
    publish(world.registry, world.trust, world.signer("owner"), raw, world.now)
    entry = world.store.read("ledger/000/000/000001.json")
    (event,) = json.loads(entry)["events"]
    assert event == {"type": TRUST, "critical": False, "keys": [str(Digest.of(raw))]}
    other = json.dumps({**json.loads(entry), "events": [{**event, "type": "of tomorrow"}]})
    parsed = LedgerEntry.parse(
        json.dumps(json.loads(other), separators=(",", ":"), sort_keys=True).encode(), 1
    )
    assert parsed.events[0].digests == (Digest.of(raw),)
    assert append(world.store, world.registry.catalogue.catch_up(), list, Head) is None
