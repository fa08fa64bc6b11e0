"""Records that are stopped, and datasets that are pushed afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import criterion, record_index
from stemma_attestations.predicates import status as predicate
from stemma_attestations.predicates.criterion import Recorded
from stemma_attestations.statement import ResourceDescriptor, Statement
from stemma_registry import describe
from stemma_registry.care.audit import audit
from stemma_registry.catalogue import acts, collection
from stemma_registry.config import LIMITS
from stemma_registry.errors import Refused
from stemma_registry.incident.report import incident as collect
from stemma_registry.lineage import status
from stemma_registry.measures import recorded
from stemma_registry.records import attaching, comparing
from stemma_registry.records.answers import Answer
from stemma_registry.records.attaching import Indexed
from stemma_registry.records.building import Wish
from stemma_registry.records.children import Children, children
from stemma_registry.records.comparing import Sought
from stemma_registry.records.search import Question
from stemma_registry.reference import resolve
from stemma_registry.registry import Snapshot
from tests.copies import copied
from tests.records.scene import indexed, question
from tests.stating import say
from tests.world import World

BAD = [{"id": 1, "t": "bad"}, {"id": 2, "t": "worse"}]
WITH = {"a.jsonl": b'{"id": 7}\n{"id": 1, "t": "bad"}\n'}
CSV = {"x.csv": b"t,id\nfine,9\nworse,2.0\n"}
CLEAN = {"a.jsonl": b'{"id": 7}\n{"id": 8}\n'}


@pytest.fixture(scope="module")
def readers() -> Iterator[Children]:
    with children() as some:
        yield some


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, readers: Children) -> World:
    """data/old:1 has a bad record, and models/m:1 was trained on it; all such is stopped."""
    world = World(tmp_path_factory.mktemp("made"))
    world.trust_also("ada", ["data/**"])
    index(world, readers, "data/old:1", WITH)
    model(world, "models/m:1", "data/old:1")
    stop(world)
    world.registry.close()
    return world


@pytest.fixture
def world(made: World, tmp_path: Path) -> Iterator[World]:
    """A copy of it, with its record key, for one test to change."""
    world = copied(made, tmp_path)
    world.home.record_key.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(made.home.record_key, world.home.record_key)
    yield world
    world.registry.close()


def index(
    world: World, readers: Children, name: str, files: dict[str, bytes], by: str = "owner"
) -> Indexed:
    return indexed(world, name, files, by=by, readers=readers)


def model(world: World, name: str, data: str) -> None:
    world.push(name, None, f"trained-on={data}", kind="model")


def stop(world: World, by: str = "owner") -> str:
    asked = (question(world.folder, BAD), None)
    signer = world.signer(by)
    _, digest, _ = recorded.stop(world.registry, world.trust, signer, asked, "a leak", world.now)
    return str(digest)


def stopped(world: World) -> str:
    """The digest of the first criterion."""
    with world.view() as view:
        return str(acts.criteria(view.connection)[0].digest)


def suspects(world: World, name: str) -> list[str]:
    with world.view() as view:
        found = resolve(view, name)
        return [stop.reason for stop in status.view(view, found.node, found.name).suspects]


def draft(world: World, by: str) -> str:
    """The criterion once more, word by word, signed by somebody else."""
    with world.view() as view:
        row = acts.criteria(view.connection)[0]
    said = predicate.build_matching(row.of, "mine", row.issued, by)
    subject = ResourceDescriptor(digests=(criterion.subject(row.of),))
    statement = Statement.build([subject], predicate.TYPE, said)
    say(world, statement, by=by)
    return str(statement.digest)


def test_what_is_pushed_later_is_stopped_with_what_came_of_it(
    world: World, readers: Children
) -> None:
    assert (world.code("data/old:1"), world.code("models/m:1")) == (11, 11)
    world.push("data/csv:1", CSV)
    model(world, "models/n:1", "data/csv:1")
    assert world.code("models/n:1") == 0
    assert (
        "nobody who is believed has looked in it for any of 2 records"
        in suspects(world, "models/n:1")[0]
    )
    done = index(world, readers, "data/csv:2", CSV | {"y.txt": b"more\n"})
    assert done.warnings == ("it has records that are stopped: `stemma verify` will say by whom",)
    model(world, "prod/q:1", "data/csv:2")
    index(world, readers, "data/clean:1", CLEAN)
    model(world, "models/o:1", "data/clean:1")
    world.push("pictures/p:1", {"a.png": b"1"})
    model(world, "models/p:1", "pictures/p:1")

    def seen() -> dict[str, int]:
        names = ("data/csv:2", "prod/q:1", "data/clean:1", "models/o:1", "models/p:1")
        return {name: world.code(name) for name in names}

    codes = {
        "data/csv:2": 11,
        "prod/q:1": 11,
        "data/clean:1": 0,
        "models/o:1": 0,
        "models/p:1": 0,
    }
    assert seen() == codes
    assert suspects(world, "models/o:1") == suspects(world, "models/p:1") == []
    with world.view() as view:
        marks = {str(row.version.name): row.marks for row in describe.listing(view)}
        about = collect(world.registry, view, stopped(world), 10)
    assert marks["data/csv:2"] == marks["prod/q:1"] == ("records",)
    assert marks["data/old:1"] == ("quarantined",)
    assert {one.label for one in about.plan.bad} >= {"data/old:1", "data/csv:2"}
    assert about.subject is not None
    assert about.subject.startswith("whatever has any of 2 records (")
    # An index that is made afterwards says it, too.
    indexed(world, "data/csv:1", CSV, push=False, readers=readers)
    assert (world.code("models/n:1"), suspects(world, "data/csv:1")) == (11, [])
    world.rebuild()
    assert seen() | {"models/n:1": world.code("models/n:1")} == codes | {"models/n:1": 11}
    assert audit(world.store, world.home, world.trust, read_data=True).whole
    world.release(stopped(world))
    assert set(seen().values()) == {world.code("models/m:1")} == {0}


def test_a_strangers_words_neither_block_nor_unblock(world: World, readers: Children) -> None:
    index(world, readers, "data/csv:1", CSV, by="mallory")  # the index is a stranger's
    model(world, "models/n:1", "data/csv:1")
    assert world.code("models/n:1") == 0
    assert "its record index says" in suspects(world, "models/n:1")[0]
    indexed(world, "data/csv:1", CSV, push=False, readers=readers)
    assert world.code("models/n:1") == 11
    world.release(stopped(world))
    assert world.code("models/n:1") == 0
    draft(world, by="mallory")
    assert (world.code("models/n:1"), suspects(world, "models/n:1")) == (0, [])
    again = draft(world, by="ada")  # who may speak about data, and not about models
    assert (world.code("data/csv:1"), world.code("models/n:1")) == (11, 11)
    with pytest.raises(Refused):
        world.release(again, by="mallory")
    assert world.code("models/n:1") == 11


def test_a_stranger_cannot_say_that_a_dataset_was_looked_into(
    world: World, readers: Children
) -> None:
    index(world, readers, "data/clean:1", {"a.JSONL": CLEAN["a.jsonl"]}, by="mallory")
    assert "nobody who is believed" in suspects(world, "data/clean:1")[0]
    indexed(world, "data/clean:1", CLEAN, push=False, readers=readers)
    assert suspects(world, "data/clean:1") == []
    # Nor does another name that he gives it make it suspect.
    world.push("data/twin:1", {"a.JSONL": CLEAN["a.jsonl"]}, by="mallory")
    assert suspects(world, "data/clean:1") == []


MANY = 5  # times in a row that somebody else is quicker


def test_records_stopped_while_an_index_is_made_are_looked_for_again(
    world: World, readers: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release(stopped(world))
    sought, stops, calls = comparing.sought, list[str](), list[int]()

    def late(view: Snapshot, wanted: Wish) -> list[Sought]:
        found = sought(view, wanted)
        calls.append(len(found))
        if len(stops) < MANY:
            stops.append(stop(world))
        return found

    monkeypatch.setattr(comparing, "sought", late)
    done = index(world, readers, "data/csv:1", CSV)
    assert calls[-1] == calls[0] + MANY
    assert done.warnings == ("it has records that are stopped: `stemma verify` will say by whom",)
    for one in stops:
        assert world.code("data/csv:1") == 11
        world.release(one)
    assert world.code("data/csv:1") == 0


def test_datasets_indexed_while_records_are_looked_for_are_looked_into(
    world: World, readers: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.release(stopped(world))
    names = [f"data/csv:{i}" for i in range(MANY)]
    index(world, readers, "data/clean:1", CLEAN)
    for i, name in enumerate(names):
        world.push(name, CSV | {"y.txt": b"%d" % i})
    again, left = Question.again, [*names, "data/clean:2", "data/late:1"]

    def late(question: Question, view: Snapshot) -> Answer | None:
        """Somebody indexes another one, after it was asked and before the answer is recorded."""
        answer = again(question, view)
        if left:
            name = left.pop(0)
            files = CSV if name in names else CLEAN
            files = files | {"y.txt": b"%d" % (len(names) - len(left))}
            indexed(world, name, files, push=name not in names, readers=readers)
        return answer

    monkeypatch.setattr(Question, "again", late)
    asked = (question(world.folder, BAD), None)
    found, statement, _ = recorded.stop(
        world.registry, world.trust, world.signer("owner"), asked, "a leak", world.now
    )
    assert [world.code(name) for name in names] == [11] * MANY
    labels = {target.label for target in found.preview.targets}
    assert labels >= {"data/old:1", *names}
    assert {str(item.version.name) for item in found.preview.affected} >= {"models/m:1", *names}
    for name in ("data/clean:1", "data/clean:2", "data/late:1"):
        assert (world.code(name), suspects(world, name)) == (0, [])
    world.release(str(statement))
    assert {world.code(name) for name in names} == {0}


def test_what_was_not_compared_is_said(
    world: World, readers: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "LIMITS", replace(LIMITS, record_compared=1))
    done = index(world, readers, "data/csv:1", CSV)
    assert "named ones" in done.warnings[0]
    assert world.code("data/csv:1") == 0
    assert "nobody who is believed" in suspects(world, "data/csv:1")[0]
    # Of other fields, or with another key, is another index.
    monkeypatch.undo()
    indexed(world, "data/csv:1", CSV, fields=["t"], push=False, readers=readers)
    indexed(world, "data/csv:1", CSV, mode=attaching.PUBLIC, push=False, readers=readers)
    assert len(suspects(world, "data/csv:1")) == 1
    indexed(world, "data/csv:1", CSV, push=False, readers=readers)
    assert (world.code("data/csv:1"), suspects(world, "data/csv:1")) == (11, [])


def test_a_set_that_is_gone_is_said(world: World, readers: Children) -> None:
    with world.view() as view:
        of = acts.criteria(view.connection)[0].of
        assert isinstance(of, Recorded)
        assert collection.unreferenced(view.connection, dict(of.sets).values()) == set()
    for _, blob in of.sets:
        world.store.delete(blob)
    done = index(world, readers, "data/csv:1", CSV)
    assert "cannot be looked for" in done.warnings[0]
    assert "nobody who is believed" in suspects(world, "data/csv:1")[0]


def test_without_a_record_key_nothing_is_promised(world: World) -> None:
    world.home.record_key.unlink()
    with pytest.raises(Refused, match="no record key"):
        stop(world)


SAID = {
    "type": "records",
    "canonical": "1",
    "fields": ["t"],
    "count": 2,
    "searched": 7,
    "sets": [
        {"key": "0123456789abcdef", "sha256": "ab" * 32},
        {"key": "public", "sha256": "cd" * 32},
    ],
}


def test_a_criterion_is_read_as_it_was_written() -> None:
    of = criterion.parse(SAID)
    assert of.document() == SAID
    assert criterion.load(criterion.encode(of).decode()) == of


@pytest.mark.parametrize(
    "wrong",
    [
        {"sets": []},
        {"sets": [*SAID["sets"], SAID["sets"][0]]},  # type: ignore[misc, index]
        {"sets": [{"key": "none", "sha256": "ab" * 32}]},
        {"sets": [{"key": "public", "sha256": "ab"}]},
        {"sets": [{"key": "public", "sha256": "ab" * 32, "more": 1}]},
        {"fields": []},
        {"fields": [1]},
        {"count": -1},
        {"searched": True},
        {"canonical": 1},
        {"more": 1},
    ],
)
def test_a_criterion_that_is_none_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(BadStatement):
        criterion.parse(SAID | wrong)


def test_an_index_meets_only_what_it_was_compared_with() -> None:
    one = Digest.of(b"1").value
    index = Digest.of(b"index")
    bare = record_index.build(record_index.RecordIndex("1", "public", None, index, ()))
    assert "compared" not in bare
    assert record_index.parse(bare | {"compared": [one], "meets": [one]}).meets
    with pytest.raises(BadStatement):
        record_index.parse(bare | {"meets": [one]})
