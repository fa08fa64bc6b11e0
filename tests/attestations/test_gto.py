"""GTO's grammar of tags, and the record of tags that were seen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import gto
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName, BadStatement
from stemma_attestations.gto import Act, Said
from stemma_attestations.predicates import tags
from stemma_attestations.predicates.tags import Seen
from stemma_attestations.statement import ResourceDescriptor, Statement

COMMIT, DOCUMENT = "ab" * 20, Digest.of(b"document")
SEEN = Seen("m@v1.0.0", "cd" * 20, COMMIT, tags.BOUND, 1, "key", "ada", Digest.of(b"manifest"))


@pytest.mark.parametrize(
    ("tag", "said"),
    [
        ("m@v1.2.0", Said("m", Act.REGISTER, "v1.2.0")),
        ("m@v1.2.0#5", Said("m", Act.REGISTER, "v1.2.0", number=5)),
        ("m@v1.2.0!", Said("m", Act.DEREGISTER, "v1.2.0")),
        ("m@v1.2.0-rc.1+b.7!#2", Said("m", Act.DEREGISTER, "v1.2.0-rc.1+b.7", number=2)),
        ("models/m-1#prod", Said("models/m-1", Act.ASSIGN, stage="prod")),
        ("m#prod#3", Said("m", Act.ASSIGN, stage="prod", number=3)),
        ("m#prod!#4", Said("m", Act.UNASSIGN, stage="prod", number=4)),
        ("m#prod!", Said("m", Act.UNASSIGN, stage="prod")),
        ("m@deprecated", Said("m", Act.DEPRECATE)),
        ("m@created#1", Said("m", Act.CREATE, number=1)),
        ("a_b/c.d=m@v1.0.0", Said("a_b/c.d=m", Act.REGISTER, "v1.0.0")),
    ],
)
def test_what_tags_say(tag: str, said: Said) -> None:
    assert gto.parse(tag) == said


@pytest.mark.parametrize(
    "tag",
    [
        *("", "m", "v1.0.0", "m@1.0.0", "m@v1", "m@v01.0.0", "M@v1.0.0", "m.x@v1.0.0", "-m@v1.0.0"),
        *("m-@v1.0.0", "m@v1.0.0!!", "m@v1.0.0#", "m@v1.0.0#x", "m##3", "m#", "m#prod#3#4", "m!"),
        *("m@v1.0.0\n", "m@v1.0.0#1\n", "m@deprecated!", "a=b=m@v1.0.0", "é@v1.0.0", "m@v1.0.٣"),
        "m" * 600 + "@v1.0.0",
    ],
)
def test_what_is_of_another_grammar(tag: str) -> None:
    assert gto.parse(tag) is None
    with pytest.raises(BadName):
        gto.numbered(tag, ())


@given(st.text(alphabet="am-/@#!v.0129=xd", max_size=40))
def test_what_is_read_is_written_the_same(tag: str) -> None:
    said = gto.parse(tag)
    if said is None:
        return
    undone = "!" if said.act in (Act.DEREGISTER, Act.UNASSIGN) else ""
    word = f"#{said.stage}" if said.stage else f"@{said.version or said.act + 'd'}"
    number = "" if said.number is None else f"#{said.number}"
    again = said.artifact + word + undone + number
    assert gto.parse(again) == said


def test_a_stage_gets_the_next_number_of_its_artifact() -> None:
    others = ["m#dev#2", "m#prod!#7", "n#prod#9", "m@v1.0.0#3", "x"]
    assert gto.numbered("m#prod", others) == "m#prod#8"
    assert gto.numbered("m#prod!", others) == "m#prod!#8"
    assert gto.numbered("m#prod#5", others) == "m#prod#5"
    assert gto.numbered("m@v1.0.0", others) == "m@v1.0.0"
    assert gto.numbered("new#prod", others) == "new#prod#1"


@pytest.mark.parametrize("tag", ["a/b=m@v1.0.0", "a//b@v1.0.0"])
def test_names_that_no_registry_has(tag: str) -> None:
    said = gto.parse(tag)
    assert said is not None
    with pytest.raises(BadName):
        _ = said.name


def test_a_stage_that_no_registry_has() -> None:
    said = gto.parse("m#a/b")
    assert said is not None
    with pytest.raises(BadName):
        _ = said.place


def test_a_record_is_read_as_it_was_written() -> None:
    light = replace(SEEN, tag="a@v1.0.0", id=COMMIT, outcome=tags.CLAIMED)
    light = replace(light, time=None, signer=None, principal=None, artifact=None)
    statement = tags.build("example.org/x", DOCUMENT, [SEEN, light])
    record = tags.parse(statement)
    assert (record.repository, record.document) == ("example.org/x", DOCUMENT)
    assert record.tags == (light, SEEN)


@pytest.mark.parametrize(
    "change",
    [
        {"tags": []},
        {"tags": [{}]},
        {"tags": "m"},
        {"repository": "example.org/y"},
        {"repository": 5},
        *(
            {"tags": [{"tag": "m", "id": COMMIT, "commit": COMMIT, "outcome": "bound", **more}]}
            for more in (
                {"id": "AB" * 20},
                {"commit": ""},
                {"time": "1"},
                {"time": True},
                {"signedBy": 1},
                {"signedBy": {}},
                {"artifact": "sha256:x"},
                {"tag": ""},
            )
        ),
    ],
)
def test_a_record_that_breaks_its_rules_is_refused(change: dict[str, object]) -> None:
    good = tags.build("example.org/x", DOCUMENT, [SEEN])
    bad = Statement.build(good.subjects, tags.TYPE, {**good.predicate, **change})
    with pytest.raises(BadStatement):
        tags.parse(bad)


def test_a_record_is_about_its_own_repository() -> None:
    good = tags.build("example.org/x", DOCUMENT, [SEEN])
    other = ResourceDescriptor(digests=(tags.repository_digest("example.org/y"),))
    for subjects in ([good.subjects[0]], [good.subjects[0], other], [*good.subjects, other]):
        with pytest.raises(BadStatement):
            tags.parse(Statement.build(subjects, tags.TYPE, good.predicate))
    with pytest.raises(BadStatement):
        tags.build("example.org/x", DOCUMENT, [])
