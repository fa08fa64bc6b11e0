"""The index in the ledger: who may say it, what it costs to lose it, and what takes it away."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from stemma_attestations.bundle import Bundle
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.manifest import Entry, Manifest
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import record_index
from stemma_attestations.predicates.record_index import RecordIndex, Run, Shard
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry.blobs.contract import get_bytes, put_bytes
from stemma_registry.care.audit import audit
from stemma_registry.care.collect import Collector
from stemma_registry.care.erase import erase, preview
from stemma_registry.care.uploads import Uploads
from stemma_registry.catalogue import record_facts
from stemma_registry.config import Home
from stemma_registry.errors import Refused
from stemma_registry.ledger.entry import PUSH, Event
from stemma_registry.records import attaching, canonical, children, keys, runs
from stemma_registry.registry import record
from tests.records.scene import ask, indexed, places
from tests.world import World

ROWS = b'{"a": 1, "t": "good"}\n{"a": 2, "t": "bad"}\n'
BAD = [{"t": "bad", "a": 2.0}]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def stated(world: World, by: str, name: str, artifact: Digest, shards: list[Shard]) -> None:
    """An index statement with anything in it, by anybody."""
    blobs = {d for shard in shards for run in shard.runs for d in (run.filter, run.hashes)}
    entries = [Entry(d.value, world.store.size(d) or 0, d) for d in sorted(blobs)]
    entries = entries or [Entry("none", 0, put_bytes(world.store, b""))]
    manifest = Manifest.of(entries)
    said = RecordIndex("1", keys.PUBLIC, None, manifest.digest, tuple(shards))
    subject = ResourceDescriptor(name=name, digests=(artifact,))
    statement = Statement.build([subject], record_index.TYPE, record_index.build(said))
    signer = world.signer(by)
    uploads = Uploads.begin(world.store, world.registry.catalogue)
    event = Event(
        PUSH,
        artifacts=(uploads.put(manifest.raw),),
        bundles=(uploads.put(signer.sign(statement).raw),),
        keys=tuple(uploads.put(key) for key in signer.keys),
    )
    record(world.registry, world.trust, signer, world.now, lambda: [event], uploads)


def forged(world: World, blob: Digest, messages: list[bytes]) -> Shard:
    """An index of a file that claims these records, in rows 1, 2, ..."""
    import numpy as np

    hashed = runs.hashes(messages, keys.NO_KEY.block)
    first, packed, body = runs.build(hashed, np.arange(1, len(messages) + 1))
    put = [put_bytes(world.store, data) for data in (packed, body)]
    return Shard(blob, "jsonl", len(messages), 0, (Run(first, len(messages), put[0], put[1]),))


def blob_of(world: World, data: bytes = ROWS) -> Digest:
    return put_bytes(world.store, data)


def test_an_index_is_made_once_and_survives_a_rebuild(world: World) -> None:
    first = indexed(world, "data/a:1", {"x.jsonl": ROWS})
    assert (first.files, first.records, first.note) == (1, 2, None)
    before = set(world.store.blobs())
    again = indexed(world, "data/a:1", {}, push=False)
    assert again.entry is None
    assert set(world.store.blobs()) == before  # nor is anything signed, which leaves a bundle
    assert again.statement == first.statement
    world.rebuild()
    assert places(ask(world, BAD)) == {"data/a:1": {"x.jsonl": (2,)}}
    with world.view() as view:
        assert attaching.missing(view) == []
    report = audit(world.store, world.home, world.trust, read_data=True)
    assert report.findings == []


def test_a_shard_that_is_there_is_not_read_again(world: World, monkeypatch: Any) -> None:
    indexed(world, "data/a:1", {"x.jsonl": ROWS})
    asked = []
    real = children.Children.ask

    def ask_child(self: Any, question: dict[str, Any], size: int) -> dict[str, Any]:
        asked.append(question["path"])
        return real(self, question, size)

    monkeypatch.setattr(children.Children, "ask", ask_child)
    done = indexed(world, "data/a:2", {"x.jsonl": ROWS, "y.jsonl": b'{"a": 3}\n'})
    assert (done.files, done.records, len(asked)) == (2, 3, 1)


def test_whole_records_and_fields_are_different_questions(world: World) -> None:
    indexed(world, "data/a:1", {"x.jsonl": ROWS})
    indexed(world, "data/a:1", {}, fields=["t"], push=False)
    assert places(ask(world, [{"t": "bad", "a": 9}])) == {}
    assert places(ask(world, [{"t": "bad", "a": 9}], ["t"])) == {"data/a:1": {"x.jsonl": (2,)}}
    answer = ask(world, [{"a": 2}], ["a"])
    assert not answer.found
    assert [one.label for one in answer.unsearched] == ["data/a:1"]


def test_datasets_without_an_index_are_named(world: World) -> None:
    world.push("data/a:1", {"x.jsonl": ROWS})
    world.push("data/b:1", {"x.bin": b"no records"})
    answer = ask(world, BAD)
    assert [one.label for one in answer.unsearched] == ["data/a:1"]
    with world.view() as view:
        assert attaching.missing(view) == ["data/a:1", "data/b:1"]


def test_a_strangers_index_can_find_and_cannot_blame_or_hide(world: World) -> None:
    bad = canonical.record(BAD[0])
    has = world.push("data/has:1", {"x.jsonl": ROWS})
    clean = world.push("data/clean:1", {"x.jsonl": b'{"a": 1}\n'})
    stated(world, "eve", "data/has:1", has.artifact, [forged(world, blob_of(world), [b"", bad])])
    lie = forged(world, blob_of(world, b'{"a": 1}\n'), [bad])
    stated(world, "eve", "data/clean:1", clean.artifact, [lie])
    answer = ask(world, BAD)
    assert places(answer) == {"data/has:1": {"x.jsonl": (2,)}}  # read in the file itself
    match = answer.found[0].matches[0]
    assert (match.checked, str(match.assurance)) == (True, "signed")
    # What only a stranger has indexed is not searched, whatever he says.
    assert [one.label for one in answer.unsearched] == ["data/clean:1", "data/has:1"]
    hides = forged(world, blob_of(world), [b"nothing"])
    stated(world, "eve", "data/has:1", has.artifact, [hides])
    indexed(world, "data/has:1", {}, push=False)
    assert places(ask(world, BAD)) == {"data/has:1": {"x.jsonl": (2,)}}


def test_who_speaks_for_one_name_hides_nothing_of_another(world: World) -> None:
    world.trust_also("mallory", ["other/**"])
    done = world.push("data/has:1", {"x.jsonl": ROWS})
    world.push("other/same:1", {"x.jsonl": ROWS}, by="mallory")
    empty = forged(world, blob_of(world), [b"nothing"])
    stated(world, "mallory", "other/same:1", done.artifact, [empty])
    answer = ask(world, BAD)
    assert [one.reason for one in answer.unsearched] == ["no believed record index of x.jsonl"]
    # Nor is what he says taken over into an index by somebody else.
    indexed(world, "data/has:1", {}, push=False, mode=attaching.PUBLIC)
    assert list(places(ask(world, BAD)).values()) == [{"x.jsonl": (2,)}]


def test_an_index_that_is_none_is_a_reason_and_no_error(world: World) -> None:
    done = world.push("data/a:1", {"x.jsonl": ROWS})
    blob, junk = blob_of(world), put_bytes(world.store, b"junk")
    gone = Digest.of(b"nobody has this")
    for run in (Run(1, 2, junk, junk), Run(1, 2, put_bytes(world.store, b"\xff" * 8), junk)):
        shard = Shard(blob, "jsonl", 2, 0, (run,))
        stated(world, "owner", "data/a:1", done.artifact, [shard])
        answer = ask(world, BAD)
        assert not answer.found
        assert [one.label for one in answer.unsearched] == ["data/a:1"]
    world.store.delete(junk)
    assert ask(world, BAD).unsearched
    assert world.store.size(gone) is None


def test_where_the_bytes_are_gone_the_index_is_quoted(world: World) -> None:
    indexed(world, "data/a:1", {"x.jsonl": ROWS})
    world.store.delete(blob_of(world))
    match = ask(world, BAD).found[0].matches[0]
    assert (match.checked, match.rows, str(match.assurance)) == (False, (2,), "attested")


def test_erasing_a_file_erases_its_index(world: World) -> None:
    indexed(world, "data/a:1", {"x.jsonl": ROWS, "y.jsonl": b'{"a": 3}\n'})
    indexed(world, "data/a:1", {}, fields=["t"], push=False)
    owner = world.signer("owner")
    with world.view() as view:
        seen = preview(world.registry, view, "data/a:1", "x.jsonl", owner)
    assert len(seen.runs) == 4
    erase(Collector(world.registry, world.trust, owner, world.now), seen, "personal data")
    assert all(world.store.size(run) is None for run in seen.runs)
    answer = ask(world, BAD)
    assert not answer.found
    assert [one.label for one in answer.unsearched] == ["data/a:1"]
    assert places(ask(world, [{"a": 3}])) == {"data/a:1": {"y.jsonl": (1,)}}
    report = audit(world.store, world.home, world.trust, read_data=True)
    assert report.findings == []
    with pytest.raises(Refused, match="nothing is left"):
        with world.view() as view:
            seen = preview(world.registry, view, "data/a:1", "x.jsonl", owner)
        erase(Collector(world.registry, world.trust, owner, world.now), seen, "again")


def test_an_index_cannot_have_something_else_erased(world: World) -> None:
    done = world.push("data/a:1", {"x.jsonl": ROWS})
    world.push("models/m:1", {"weights": b"weights"}, kind="model")
    weights = Digest.of(b"weights")
    trap = Shard(blob_of(world), "jsonl", 1, 0, (Run(1, 1, weights, weights),))
    stated(world, "owner", "data/a:1", done.artifact, [trap])
    with world.view() as view:
        seen = preview(world.registry, view, "data/a:1", "x.jsonl", world.signer("owner"))
    assert seen.runs == ()


def test_a_second_home_needs_the_key(world: World, tmp_path: Path) -> None:
    first = indexed(world, "data/a:1", {"x.jsonl": ROWS})
    mine = world.home.record_key
    assert mine.stat().st_mode & 0o777 == 0o600
    mine.rename(tmp_path / "copy.key")
    with pytest.raises(Refused, match=str(first.key)):
        attaching.wish(world.registry, world.trust, world.now, attaching.KEYED, None)
    answer = ask(world, BAD)
    assert not answer.found
    assert str(first.key) in answer.unsearched[0].reason
    keys.add(world.home, tmp_path / "copy.key")
    assert [key.id for key in keys.held(world.home)] == [first.key]
    assert places(ask(world, BAD)) == {"data/a:1": {"x.jsonl": (2,)}}
    assert mine.stat().st_mode & 0o777 == 0o600


def test_a_keyed_index_tells_nothing_without_its_key(world: World) -> None:
    import numpy as np

    done = indexed(world, "data/a:1", {"x.jsonl": ROWS})
    assert done.statement is not None
    guess = runs.hashes([canonical.record(BAD[0])], keys.NO_KEY.block)
    with world.view() as view:
        (facts,) = record_facts.by_node(view.connection).values()
        said = attaching.read(world.registry, facts[0])
    assert said is not None
    body = get_bytes(world.store, said.shards[0].runs[0].hashes, 10**6)
    assert guess[0] not in np.frombuffer(body, "<u8", 2)
    raw = get_bytes(world.store, facts[0].bundle, 10**6)
    assert world.home.record_key.read_text()[18:82].encode() not in Bundle.parse(raw).raw


def test_keys_are_read_strictly(tmp_path: Path) -> None:
    home, path = Home(tmp_path), tmp_path / "keys"
    for content in (b"", b"stemma-record-key:12\n", b"\xff", b"stemma-record-key:" + b"A" * 64):
        path.write_bytes(content)
        with pytest.raises(Refused):
            keys.add(home, path)
    assert keys.held(home) == []


def test_after_push_never_fails(world: World, monkeypatch: Any) -> None:
    done = world.push("data/a:1", {"x.jsonl": ROWS, "deep.jsonl": b"[" * 10**5})
    owner, name = world.signer("owner"), NameVersion("data/a", "1")
    subject = (done.artifact, name)

    def run(mode: str = attaching.KEYED) -> list[Any]:
        how: Any = (mode, [["t"], []], [["t"]])
        return attaching.after_push(world.registry, world.trust, owner, subject, how, world.now)

    assert run(attaching.OFF) == []
    whole, one, none = run()
    assert (whole.records, len(whole.skipped), one.records) == (2, 1, 2)
    assert "1 to 100 fields" in none.note
    monkeypatch.setattr(children, "find_spec", lambda name: None)
    (only,) = run()
    assert "pip install" in only.note


def test_index_statements_have_an_index_of_their_own(world: World) -> None:
    indexed(world, "data/a:1", {"x.jsonl": ROWS})
    with world.view() as view:
        if view.connection.dialect.name != "sqlite":
            return
        wanted = "SELECT id FROM statement WHERE " + str(record_facts.is_record_index())
        plan = view.connection.execute(text(f"EXPLAIN QUERY PLAN {wanted}")).all()
        assert "ix_statement_record_index" in str(plan)


@pytest.mark.parametrize(
    "change",
    [
        {"key": "secret"},
        {"canonical": 1},
        {"fields": "t"},
        {"index": {}},
        {"shards": None},
        {"shards": [{"sha256": "12"}]},
        {"skipped": [{"sha256": "0" * 64}]},
    ],
)
def test_a_predicate_is_read_strictly(change: dict[str, Any]) -> None:
    run = Run(1, 2, Digest.of(b"f"), Digest.of(b"h"))
    shard = Shard(Digest.of(b"s"), "jsonl+gzip", 2, 0, (run,))
    said = RecordIndex("1", "0123456789abcdef", ("a",), Digest.of(b"m"), (shard,))
    document = record_index.build(said)
    assert record_index.parse(json.loads(json.dumps(document))) == said
    with pytest.raises(BadStatement):
        record_index.parse({**document, **change})


def test_the_child_sees_no_environment(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.setenv("STEMMA_KEY_PASSPHRASE", "secret")
    with children.children(1) as some:
        (tmp_path / "x.txt").write_text("line\n")
        base = {"path": str(tmp_path / "x.txt"), "form": "text", "fields": None}
        out = str(tmp_path / "out")
        some.ask({**base, "do": "rows", "rows": None, "most": 9, "out": out}, 5)
        child = some._free.get()
        assert child is not None
        if sys.platform == "linux":
            environment = Path(f"/proc/{child.process.pid}/environ").read_bytes()
            assert b"secret" not in environment
        some._free.put(child)
    assert child.process.poll() is not None
    assert not os.path.exists(f"/proc/{child.process.pid}")
