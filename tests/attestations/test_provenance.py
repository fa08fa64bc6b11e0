"""SLSA provenance: what a build says comes back, and what others say can be read."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations import canonical, json_strict
from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import provenance
from stemma_attestations.predicates.provenance import GitSource, Input
from stemma_attestations.relations import BUILDS, KINDS, RELATIONS, propagates
from tests.building import commits, examples, json_values, sha, sha256_digests, texts

COMMIT, TREE = "c" * 40, "d" * 40
SOURCE = GitSource(COMMIT, TREE, "main", "https://example.com/acme/train.git")


def build(**fields: Any) -> dict[str, Any]:
    good: dict[str, Any] = {
        "build": "fine-tune",
        "kind": "model",
        "inputs": [Input("trained-on", sha(b"data"), "acme/data:1")],
        "parameters": {"epochs": "3"},
        "source": SOURCE,
        "builder": "urn:stemma:builder:cli",
        "started": "2026-11-21T10:00:00Z",
        "finished": "2026-11-21T11:00:00Z",
    }
    return provenance.build(**{**good, **fields})


INPUTS = st.builds(
    Input,
    st.sampled_from(sorted(RELATIONS)),
    sha256_digests | commits.map(lambda c: Digest("gitCommit", c)),
    st.none() | st.sampled_from(["acme/a:1", "acme/b:2"]),
)
SOURCES = st.builds(
    GitSource,
    commits,
    commits,
    st.none() | st.sampled_from(["main", "feature/x"]),
    st.none() | st.just("ssh://git@example.com/a.git") | st.just("https://example.com/b"),
    st.just(False),
) | st.builds(
    GitSource, commits, commits, st.just("main"), st.none(), st.just(True), sha256_digests
)


@examples(150)
@given(
    st.sampled_from(BUILDS),
    st.sampled_from(KINDS),
    st.lists(INPUTS, max_size=4),
    st.dictionaries(texts, texts, max_size=3),
    st.none() | SOURCES,
)
def test_build_and_parse_are_inverses(
    kind_of_build: str,
    kind: str,
    inputs: list[Input],
    parameters: dict[str, str],
    source: GitSource | None,
) -> None:
    predicate = build(
        build=kind_of_build, kind=kind, inputs=inputs, parameters=parameters, source=source
    )
    read = provenance.parse(json_strict.loads(canonical.dumps(predicate)))
    assert (read.build, read.kind) == (kind_of_build, kind)
    assert read.parameters == parameters
    if source is not None:
        assert read.source == source
    else:  # code among the inputs is no checkout
        assert read.source is None
    git = {Input("built-from", Digest("gitCommit", source.commit))} if source else set()
    assert set(read.inputs) == set(inputs) | git
    assert (read.builder, read.started, read.finished) == (
        "urn:stemma:builder:cli",
        "2026-11-21T10:00:00Z",
        "2026-11-21T11:00:00Z",
    )


def test_code_that_is_named_as_an_input_does_not_hide_the_checkout() -> None:
    """`--input built-from=git:COMMIT` names other code; the job still ran from its checkout."""
    library = Input("built-from", Digest("gitCommit", "0" * 40))
    read = provenance.parse(build(inputs=[library]))
    assert read.source == SOURCE
    assert library in read.inputs


def test_the_order_of_inputs_and_repeated_ones_play_no_part() -> None:
    one, two = Input("trained-on", sha(b"1")), Input("trained-on", sha(b"2"), "acme/x:1")
    assert build(inputs=[one, two, one]) == build(inputs=[two, one])
    same_bytes_other_relation = Input("evaluated-on", sha(b"1"))
    assert len(provenance.parse(build(inputs=[one, same_bytes_other_relation])).inputs) == 3


def test_the_definition_is_the_same_for_a_repeated_build_and_for_no_other() -> None:
    def definition(**fields: Any) -> Digest:
        return provenance.parse(build(**fields)).definition

    same = definition()
    later = {"started": "2027-01-01T00:00:00Z", "finished": "2027-01-02T00:00:00Z"}
    assert definition(**later) == same
    others: list[dict[str, Any]] = [
        {"build": "train"},
        {"kind": "adapter"},
        {"inputs": []},
        {"inputs": [Input("trained-on", sha(b"data"))]},
        {"inputs": [Input("evaluated-on", sha(b"data"), "acme/data:1")]},
        {"inputs": [Input("trained-on", sha(b"DATA"), "acme/data:1")]},
        {"parameters": {"epochs": "4"}},
        {"parameters": {}},
        {"source": None},
        {"source": GitSource("e" * 40, TREE, SOURCE.branch, SOURCE.remote)},
        {"source": GitSource(COMMIT, TREE, SOURCE.branch, SOURCE.remote, dirty=True)},
    ]
    seen = {definition(**other) for other in others}
    assert len(seen) == len(others)
    assert same not in seen


@pytest.mark.parametrize(
    "fields",
    [
        {"build": "training"},
        {"build": ""},
        {"build": "urn:stemma:build:train:v0.1"},
        {"kind": "Model"},
        {"kind": ""},
        {"inputs": [Input("made-of", sha(b""))]},
        {"inputs": [Input("", sha(b""))]},
        {"inputs": [Input("Trained-On", sha(b""))]},
    ],
)
def test_words_that_are_not_ours_are_not_written(fields: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        build(**fields)


@pytest.mark.parametrize("algorithm", ["sha512", "sha1", "md5", "gitBlob"])
def test_an_input_that_would_not_come_back_is_not_written(algorithm: str) -> None:
    """Only some digests are nodes; a parent that nobody can read back is a lost parent."""
    digest = Digest(algorithm, "a" * {"sha512": 128, "md5": 32}.get(algorithm, 40))
    with pytest.raises(BadStatement):
        build(inputs=[Input("trained-on", digest)])


# --- reading --------------------------------------------------------------------------------

FOREIGN: dict[str, Any] = {
    "buildDefinition": {
        "buildType": "https://example.com/build/v1",
        "externalParameters": {"workflow": {"ref": "main"}, "kind": 7, "parameters": ["x"]},
        "internalParameters": {"a": 1},
        "resolvedDependencies": [
            {"uri": "git+https://example.com/r@refs/heads/main", "digest": {"gitCommit": COMMIT}},
            {"name": "base", "digest": {"sha256": "a" * 64, "unknown": "x"}},
            {"uri": "pkg:pypi/numpy@2.0.0"},
        ],
    },
    "runDetails": {
        "builder": {"id": "https://example.com/builder", "version": {"x": "1"}},
        "metadata": {"invocationId": "https://example.com/runs/1"},
        "byproducts": [],
    },
}


def test_provenance_of_another_builder() -> None:
    read = provenance.parse(FOREIGN)
    assert read.build is None
    assert read.kind is None
    assert read.builder == "https://example.com/builder"
    assert (read.started, read.finished) == (None, None)
    assert read.parameters == FOREIGN["buildDefinition"]["externalParameters"]
    assert read.raw == FOREIGN
    assert read.inputs == (
        Input("built-from", Digest("gitCommit", COMMIT)),
        Input("derived-from", Digest("sha256", "a" * 64), "base"),
    )
    assert read.source is not None
    assert read.source.dirty  # nobody said that it was clean
    assert len(read.materials) == 3


def bent(path: str, value: Any) -> dict[str, Any]:
    """Our own predicate with the field at `path` replaced, or dropped for `...`."""
    predicate = json_strict.loads(canonical.dumps(build()))
    *parents, last = path.split("/")
    place: Any = predicate
    for part in parents:
        place = place[int(part)] if isinstance(place, list) else place[part]
    if value is ...:
        del place[last]
    else:
        place[last] = value
    assert isinstance(predicate, dict)
    return predicate


def each(path: str, *values: Any) -> list[tuple[str, Any]]:
    return [(path, value) for value in values]


BAD: list[tuple[str, Any]] = [
    *each("buildDefinition", ..., None, [], "x"),
    *each("runDetails", ..., None, [], "x"),
    *each("buildDefinition/buildType", ..., None, "", 7),
    *each("buildDefinition/externalParameters", ..., None, []),
    *each("buildDefinition/externalParameters/parameters", None, [], "x"),
    *each("buildDefinition/externalParameters/kind", 7, ["model"]),
    *each("buildDefinition/resolvedDependencies", None, {}, "x", ["x"], [[]]),
    *each("runDetails/builder", ..., None, "x", {}, {"id": ""}, {"id": 7}),
    *each("runDetails/metadata", "x", 7, ["x"], {"startedOn": 7}),
    ("buildDefinition/resolvedDependencies/0/digest", {"sha256": "short"}),
    ("buildDefinition/resolvedDependencies/1/digest", {"gitCommit": COMMIT[:-1]}),
    ("buildDefinition/resolvedDependencies/1/annotations", []),
    ("buildDefinition/resolvedDependencies/1/annotations/branch", 7),
    ("buildDefinition/resolvedDependencies/1/annotations/diff", "x"),
    ("buildDefinition/resolvedDependencies/1/annotations/diff", {"sha256": "x"}),
]


@pytest.mark.parametrize(("path", "value"), BAD)
def test_refused(path: str, value: Any) -> None:
    with pytest.raises(BadStatement):
        provenance.parse(bent(path, value))


@pytest.mark.parametrize(
    ("value", "dirty"), [(False, False), (True, True), (None, True), ("false", True), (0, True)]
)
def test_only_false_is_clean(value: Any, dirty: bool) -> None:
    path = "buildDefinition/resolvedDependencies/1/annotations/dirty"
    source = provenance.parse(bent(path, value)).source
    assert source is not None
    assert source.dirty is dirty


@pytest.mark.parametrize("relation", ["unknown-relation", 7, None, "Trained-On"])
def test_a_relation_that_is_not_known_still_propagates(relation: Any) -> None:
    path = "buildDefinition/resolvedDependencies/0/annotations/relation"
    read = provenance.parse(bent(path, relation))
    (parent,) = [i for i in read.inputs if i.digest == sha(b"data")]
    assert propagates(parent.relation)


def test_unknown_fields_survive() -> None:
    predicate = bent("runDetails/extension", {"a": [1, {"b": None}]})
    predicate["buildDefinition"]["internalParameters"] = {"gpu": "H100"}
    assert provenance.parse(predicate).raw == predicate


@examples(300)
@given(st.sampled_from([path for path, _ in BAD]), json_values)
def test_no_predicate_raises_anything_but_bad_statement(path: str, value: Any) -> None:
    try:
        read = provenance.parse(bent(path, value))
    except BadStatement:
        return
    assert isinstance(read.inputs, tuple)
    assert isinstance(read.definition, Digest)


def test_every_relation_but_evaluation_propagates_and_so_does_an_unknown_one() -> None:
    assert [r for r in RELATIONS if not propagates(r)] == ["evaluated-on"]
    assert propagates("contaminated-by")
    assert propagates("")
