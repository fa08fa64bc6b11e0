"""in-toto statements and resource descriptors."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import canonical, json_strict
from stemma_attestations import statement as module
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadJSON, BadStatement
from stemma_attestations.statement import TYPE, ResourceDescriptor, Statement
from tests.building import compact, examples, json_values, same, sha, sha256_digests, texts

HEX, OTHER = "a" * 64, "b" * 64


def document(**fields: Any) -> dict[str, Any]:
    """A good statement with fields replaced, or dropped where the value is `...`."""
    good = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "acme/m:1", "digest": {"sha256": HEX}}],
        "predicateType": "urn:example:test",
        "predicate": {"n": 1},
    }
    return {key: value for key, value in {**good, **fields}.items() if value is not ...}


def test_parse() -> None:
    raw = b" " + compact(document()) + b"\n"
    read = Statement.parse(raw)
    assert read.raw == raw
    assert read.digest == sha(raw)
    assert read.predicate_type == "urn:example:test"
    assert read.predicate == {"n": 1}
    (subject,) = read.subjects
    assert (subject.name, subject.uri, subject.digests) == (
        "acme/m:1",
        None,
        (Digest("sha256", HEX),),
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"_type": ...},
        {"_type": "https://in-toto.io/Statement/v0.1"},
        {"_type": "https://in-toto.io/Statement/v1/"},
        {"_type": "link"},
        {"_type": None},
        {"predicateType": ...},
        {"predicateType": ""},
        {"predicateType": 7},
        {"predicate": []},
        {"predicate": "text"},
        {"subject": ...},
        {"subject": []},
        {"subject": {}},
        {"subject": [{}]},
        {"subject": ["acme/m:1"]},
        {"subject": [{"name": "acme/m:1"}]},
        {"subject": [{"digest": {}}]},
        {"subject": [{"digest": {"dirHash": "x"}}]},
        {"subject": [{"digest": {"sha256": HEX.upper()}}]},
        {"subject": [{"digest": {"sha256": HEX[:-1]}}]},
        {"subject": [{"digest": [HEX]}]},
        {"subject": [{"digest": None}]},
        {"subject": [{"digest": {"sha256": HEX}, "name": 7}]},
        {"subject": [{"digest": {"sha256": HEX}, "uri": []}]},
        {"subject": [{"digest": {"sha256": HEX}, "annotations": []}]},
        {"subject": [{"digest": {"sha256": HEX}}, {"name": "no digest"}]},
    ],
)
def test_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        Statement.parse(compact(document(**fields)))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        compact(document()) + b"x",
        compact(document()).replace(b'"n":1', b'"n":1,"n":1'),
        compact(document()).replace(b'"n":1', b'"n":NaN'),
        compact(document()).replace(b'"n":1', b'"n":9007199254740992'),
        compact(document()).replace(b'"n":1', b'"n":"\\ud800"'),
        compact(document()).replace(b'"n":1', b'"n":' + b"[" * 99 + b"]" * 99),
    ],
)
def test_bytes_that_mean_more_than_one_thing_are_refused(raw: bytes) -> None:
    with pytest.raises(BadStatement):
        Statement.parse(raw)


@examples(200)
@given(
    st.binary(max_size=60)
    | st.dictionaries(st.sampled_from([*document()]), json_values).map(
        lambda fields: compact(document(**fields))
    )
)
def test_no_bytes_raise_anything_but_bad_statement(raw: bytes) -> None:
    try:
        assert Statement.parse(raw).raw == raw
    except BadStatement:
        pass


def test_near_misses_are_read() -> None:
    read = Statement.parse(compact(document(predicate=..., extension={"a": 1})))
    assert read.predicate == {}
    assert Statement.parse(compact(document(predicate=None))).predicate == {}
    read = Statement.parse(compact(document(subject=[{"digest": {"gitCommit": "c" * 40}}])))
    assert read.subjects[0].name is None


def test_too_many_subjects(monkeypatch: pytest.MonkeyPatch) -> None:
    two = [{"digest": {"sha256": HEX}}, {"digest": {"sha256": OTHER}}]
    monkeypatch.setattr(module, "MAX_SUBJECTS", 2)
    assert len(Statement.parse(compact(document(subject=two))).subjects) == 2
    monkeypatch.setattr(module, "MAX_SUBJECTS", 1)
    with pytest.raises(BadStatement):
        Statement.parse(compact(document(subject=two)))


def test_what_a_statement_is_about() -> None:
    subjects = [
        {"name": "one", "digest": {"sha256": HEX}},
        {"name": "again", "digest": {"sha256": HEX, "sha512": "c" * 128}},
        {"name": "other", "digest": {"sha256": OTHER}},
        {"name": "weak", "digest": {"sha1": "d" * 40}},
    ]
    read = Statement.parse(compact(document(subject=subjects)))
    assert [s.name for s in read.subjects_about(Digest("sha256", HEX))] == ["one", "again"]
    assert [s.name for s in read.subjects_about(Digest("sha256", OTHER))] == ["other"]
    assert read.subjects_about(Digest("sha256", "e" * 64)) == ()
    assert read.subjects_about(Digest("sha1", "d" * 40)) == ()


# --- building -------------------------------------------------------------------------------


@examples(150)
@given(
    st.lists(st.tuples(texts | st.none(), sha256_digests), min_size=1, max_size=3),
    st.text(min_size=1, max_size=10),
    st.dictionaries(texts, json_values, max_size=3),
)
def test_build_and_parse_are_inverses(
    subjects: list[tuple[str | None, Digest]], kind: str, predicate: dict[str, Any]
) -> None:
    descriptors = [ResourceDescriptor(name=name, digests=(digest,)) for name, digest in subjects]
    try:
        built = Statement.build(descriptors, kind, predicate)
    except BadStatement:
        # Only for what has no canonical bytes that a strict reader takes back.
        with pytest.raises(BadJSON):
            json_strict.loads(canonical.dumps(predicate))
        return
    assert Statement.parse(built.raw) == built
    assert list(built.subjects) == descriptors
    assert built.predicate_type == kind
    assert built.predicate == predicate
    assert canonical.dumps(json_strict.loads(built.raw)) == built.raw
    assert json_strict.loads(built.raw)["_type"] == TYPE == "https://in-toto.io/Statement/v1"


@pytest.mark.parametrize(
    ("subjects", "kind", "predicate"),
    [
        ([], "t", {}),
        ([ResourceDescriptor(name="a")], "t", {}),
        ([ResourceDescriptor(digests=(sha(b""),))], "", {}),
        ([ResourceDescriptor(digests=(sha(b""),))], "t", {"a": float("nan")}),
        ([ResourceDescriptor(digests=(sha(b""),))], "t", {"a": 2**53}),
        ([ResourceDescriptor(digests=(sha(b""),))], "t", {"a": "\ud800"}),
        ([ResourceDescriptor(name="\udfff", digests=(sha(b""),))], "t", {}),
    ],
)
def test_what_could_not_be_read_back_is_not_built(
    subjects: list[ResourceDescriptor], kind: str, predicate: dict[str, Any]
) -> None:
    with pytest.raises(BadStatement):
        Statement.build(subjects, kind, predicate)


# --- resource descriptors -------------------------------------------------------------------


def test_a_descriptor_is_written_as_it_was_read() -> None:
    """Unknown fields survive, and so do digests of algorithms that are not known here."""
    read = {
        "name": "n",
        "uri": "https://example.com/x",
        "digest": {"sha256": HEX, "dirHash": "h1:abc="},
        "annotations": {"a": {"b": 1}},
        "mediaType": "text/plain",
        "downloadLocation": "https://example.com/y",
        "urn:example:extension": [1, 2],
    }
    assert same(ResourceDescriptor.parse(read).to_json(), read)


@examples(100)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "name": texts,
            "uri": texts,
            "digest": sha256_digests.map(lambda d: {"sha256": d.value}),
            "annotations": st.dictionaries(texts, json_values, max_size=2),
            "content": texts,
            "other": json_values,
        },
    )
)
def test_any_descriptor_is_written_as_it_was_read(read: dict[str, Any]) -> None:
    parsed = ResourceDescriptor.parse(read)
    assert same(parsed.to_json(), read)
    assert ResourceDescriptor.parse(parsed.to_json()) == parsed


def test_the_digest_of_an_algorithm() -> None:
    read = ResourceDescriptor.parse({"digest": {"sha256": HEX, "gitCommit": "c" * 40}})
    assert read.digest() == Digest("sha256", HEX)
    assert read.digest("gitCommit") == Digest("gitCommit", "c" * 40)
    assert read.digest("sha512") is None
