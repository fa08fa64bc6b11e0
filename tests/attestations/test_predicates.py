"""The small predicates: lineage, status, dataset, checkpoint, stage."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import checkpoint, dataset, lineage, stage, status
from stemma_attestations.predicates.checkpoint import Checkpoint
from stemma_attestations.predicates.lineage import Edge
from stemma_attestations.predicates.provenance import Input
from stemma_attestations.predicates.stage import Move
from stemma_attestations.relations import RELATIONS
from stemma_attestations.statement import ResourceDescriptor, Statement
from tests.building import (
    NOW,
    commits,
    examples,
    json_values,
    manifest_of,
    sha,
    sha256_digests,
    statement_about,
    texts,
)

OUT, IN, OTHER = sha(b"output"), sha(b"input"), sha(b"other")
WHEN = "2026-11-21T12:00:00Z"

# --- lineage --------------------------------------------------------------------------------

INPUTS = st.builds(
    Input,
    st.sampled_from(sorted(RELATIONS)),
    sha256_digests | commits.map(lambda c: Digest("gitCommit", c)),
    st.none() | st.sampled_from(["acme/a:1", "acme/b:2"]),
)


def lineage_statement(predicate: dict[str, Any], subject: Digest = OUT) -> Statement:
    return statement_about(subject, lineage.TYPE, predicate)


def edge(**fields: Any) -> dict[str, Any]:
    good = {
        "output": {"digest": {"sha256": OUT.value}},
        "relation": "trained-on",
        "input": {"name": "acme/data:1", "digest": {"sha256": IN.value}},
    }
    return {key: value for key, value in {**good, **fields}.items() if value is not ...}


@examples(150)
@given(st.lists(INPUTS, max_size=5))
def test_lineage_build_and_parse_are_inverses(inputs: list[Input]) -> None:
    read = lineage.parse(lineage_statement(lineage.build(OUT, inputs)))
    assert {e.input for e in read} == set(inputs)
    assert {e.output for e in read} <= {OUT}
    assert len(read) == len(set(inputs))


@pytest.mark.parametrize("relation", ["made-of", "", "Trained-On", "trained-on "])
def test_lineage_writes_only_relations_it_knows(relation: str) -> None:
    with pytest.raises(BadStatement):
        lineage.build(OUT, [Input(relation, IN)])


@pytest.mark.parametrize("algorithm", ["sha512", "sha1", "md5", "gitBlob"])
def test_lineage_writes_only_inputs_that_come_back(algorithm: str) -> None:
    digest = Digest(algorithm, "a" * {"sha512": 128, "md5": 32}.get(algorithm, 40))
    with pytest.raises(BadStatement):
        lineage.build(OUT, [Input("trained-on", digest)])


def test_lineage_keeps_a_relation_that_it_does_not_know() -> None:
    statement = lineage_statement({"edges": [edge(relation="contaminated-by")]})
    assert lineage.parse(statement) == (Edge(OUT, Input("contaminated-by", IN, "acme/data:1")),)


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"edges": None},
        {"edges": {}},
        {"edges": "x"},
        {"edges": ["x"]},
        {"edges": [{}]},
        {"edges": [edge(), edge(relation=...)]},
        {"edges": [edge(relation=7)]},
        {"edges": [edge(output=...)]},
        {"edges": [edge(output={})]},
        {"edges": [edge(output={"digest": {"sha256": OTHER.value}})]},
        {"edges": [edge(output={"digest": {"gitCommit": "c" * 40}})]},
        {"edges": [edge(output={"digest": {"sha256": "short"}})]},
        {"edges": [edge(output=OUT.value)]},
        {"edges": [edge(input=...)]},
        {"edges": [edge(input={"name": "acme/data:1"})]},
        {"edges": [edge(input={"digest": {"sha512": "a" * 128}})]},
        {"edges": [edge(input={"digest": {"sha1": "a" * 40}})]},
        {"edges": [edge(input={"digest": {"sha256": IN.value.upper()}})]},
        {"edges": [edge(input={"digest": {"sha256": IN.value}, "name": 7})]},
    ],
)
def test_lineage_refuses_it_whole(predicate: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        lineage.parse(lineage_statement(predicate))


def test_an_edge_is_about_a_subject_of_its_statement() -> None:
    with pytest.raises(BadStatement):
        lineage.parse(lineage_statement({"edges": [edge()]}, subject=OTHER))


# --- status ---------------------------------------------------------------------------------


@examples(100)
@given(st.text(min_size=1, max_size=30), st.lists(sha256_digests, min_size=1, max_size=4))
def test_status_build_and_parse_are_inverses(reason: str, bundles: list[Digest]) -> None:
    stopped = status.parse(status.build_quarantine(reason, WHEN, "n"))
    assert (stopped.action, stopped.reason, stopped.issued) == ("quarantine", reason, WHEN)
    assert stopped.releases == ()
    lifted = status.parse(status.build_release(reason, WHEN, bundles))
    assert (lifted.action, lifted.reason) == ("release", reason)
    assert list(lifted.releases) == sorted(bundles)
    erased = status.parse(status.build_erasure(reason, WHEN, "n"))
    assert (erased.action, erased.reason, erased.releases) == ("erase", reason, ())


def test_a_nonce_makes_every_quarantine_a_statement_of_its_own() -> None:
    one, two = (
        statement_about(IN, status.TYPE, status.build_quarantine("x", WHEN, nonce))
        for nonce in ("1", "2")
    )
    assert one.digest != two.digest
    assert status.parse(one.predicate).reason == status.parse(two.predicate).reason


RELEASES = [{"sha256": "a" * 64}]


@pytest.mark.parametrize(
    "predicate",
    [
        {},
        {"action": "quarantine"},
        {"action": "quarantine", "reason": "x"},
        {"action": "quarantine", "issuedAt": WHEN},
        {"action": "quarantine", "reason": "", "issuedAt": WHEN},
        {"action": "quarantine", "reason": 7, "issuedAt": WHEN},
        {"action": "quarantine", "reason": "x", "issuedAt": "yesterday"},
        {"action": "quarantine", "reason": "x", "issuedAt": "2026-11-21"},
        {"action": "quarantine", "reason": "x", "issuedAt": 1763726400},
        {"action": "quarantine", "reason": "x", "issuedAt": WHEN, "releases": RELEASES},
        {"action": "erase", "reason": "x", "issuedAt": WHEN, "releases": RELEASES},
        {"action": "erase", "reason": "", "issuedAt": WHEN},
        {"action": "erased", "reason": "x", "issuedAt": WHEN},
        {"action": "Quarantine", "reason": "x", "issuedAt": WHEN},
        {"action": "waive", "reason": "x", "issuedAt": WHEN},
        {"action": None, "reason": "x", "issuedAt": WHEN},
        {"action": ["quarantine"], "reason": "x", "issuedAt": WHEN},
        {"action": "release", "reason": "x", "issuedAt": WHEN},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": []},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": None},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": 7},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": {"sha256": "a" * 64}},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": ["a" * 64]},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": [{"sha256": "a"}]},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": [{"sha1": "a" * 40}]},
        {"action": "release", "reason": "x", "issuedAt": WHEN, "releases": [*RELEASES, {}]},
    ],
)
def test_status_refused(predicate: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        status.parse(predicate)


def test_status_keeps_unknown_fields() -> None:
    predicate = {**status.build_quarantine("x", WHEN, "n"), "ticket": "INC-7"}
    assert status.parse(predicate).raw == predicate


FIELDS = ["action", "reason", "issuedAt", "releases"]


@examples(200)
@given(st.dictionaries(st.sampled_from(FIELDS), json_values))
def test_status_raises_nothing_but_bad_statement(fields: dict[str, Any]) -> None:
    for base in (status.build_quarantine("x", WHEN, "n"), status.build_release("x", WHEN, [IN])):
        try:
            status.parse({**base, **fields})
        except BadStatement:
            pass


# --- dataset --------------------------------------------------------------------------------


def test_dataset_counts_files_by_suffix() -> None:
    manifest = manifest_of(
        {
            "train/a.parquet": b"12345",
            "train/b.PARQUET": b"1",
            "README": b"",
            ".gitattributes": b"",
            "v1.0/data": b"",
            "c.tar.gz": b"1234",
        }
    )
    read = dataset.parse(dataset.build(manifest, source="https://example.com", licence="MIT"))
    assert (read.files, read.size) == (6, 10)
    assert read.formats == {"parquet": 2, "gz": 1, "": 3}
    assert (read.source, read.licence) == ("https://example.com", "MIT")
    bare = dataset.parse(dataset.build(manifest))
    assert (bare.source, bare.licence) == (None, None)


@examples(60)
@given(
    st.dictionaries(
        st.from_regex(r"[a-z]{1,6}(\.[a-z]{1,3}){0,2}", fullmatch=True).filter(
            lambda p: p.split(".")[0] not in ("con", "aux", "nul", "prn")
        ),
        st.binary(max_size=5),
        min_size=1,
        max_size=6,
    )
)
def test_dataset_totals_agree_with_the_manifest(files: dict[str, bytes]) -> None:
    read = dataset.parse(dataset.build(manifest_of(files)))
    assert read.files == len(files) == sum(read.formats.values())
    assert read.size == sum(map(len, files.values()))


@pytest.mark.parametrize(
    "fields",
    [
        {"files": None},
        {"files": -1},
        {"files": 1.5},
        {"files": "1"},
        {"files": True},
        {"size": None},
        {"size": -1},
        {"size": False},
        {"formats": None},
        {"formats": []},
        {"formats": {"csv": -1}},
        {"formats": {"csv": "1"}},
        {"formats": {"csv": True}},
        {"source": 7},
        {"license": ["MIT"]},
    ],
)
def test_dataset_refused(fields: dict[str, Any]) -> None:
    good = {"files": 1, "size": 2, "formats": {"csv": 1}}
    assert dataset.parse({**good, "columns": 3}).raw == {**good, "columns": 3}
    with pytest.raises(BadStatement):
        dataset.parse({**good, **fields})


# --- checkpoint -----------------------------------------------------------------------------


@examples(100)
@given(st.integers(0, 2**53 - 1), sha256_digests, sha256_digests)
def test_checkpoint_build_and_parse_are_inverses(n: int, entry: Digest, root: Digest) -> None:
    signed = Checkpoint(n, entry, root.value, WHEN)
    assert checkpoint.parse(checkpoint.build(signed)) == signed


def checkpoint_statement(
    predicate_type: str = checkpoint.TYPE,
    name: str | None = "ledger",
    digest: Digest = IN,
    **fields: Any,
) -> Statement:
    predicate = {"n": 7, "treeRoot": "a" * 64, "time": WHEN, **fields}
    predicate = {key: value for key, value in predicate.items() if value is not ...}
    subject = ResourceDescriptor(name=name, digests=(digest,))
    return Statement.build([subject], predicate_type, predicate)


@pytest.mark.parametrize(
    "fields",
    [
        {"predicate_type": "urn:stemma:status:v0.1"},
        {"name": "Ledger"},
        {"name": None},
        {"name": "acme/ledger:1"},
        {"digest": Digest("gitCommit", "a" * 40)},
        {"n": ...},
        {"n": -1},
        {"n": "7"},
        {"n": True},
        {"n": 7.5},
        {"n": None},
        {"treeRoot": ...},
        {"treeRoot": "a" * 63},
        {"treeRoot": "A" * 64},
        {"treeRoot": 7},
        {"time": ...},
        {"time": "now"},
        {"time": 7},
    ],
)
def test_checkpoint_refused(fields: dict[str, Any]) -> None:
    assert checkpoint.parse(checkpoint_statement(extension=1)).n == 7
    with pytest.raises(BadStatement):
        checkpoint.parse(checkpoint_statement(**fields))


# --- stage ----------------------------------------------------------------------------------

STAGES = st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True)
MOVES = st.builds(
    Move,
    STAGES,
    st.sampled_from([stage.PROMOTE, stage.ROLLBACK]),
    st.none() | texts,
    st.just(NOW),
    st.none() | sha256_digests,
    sha256_digests,
)


def stage_statement(
    name: str | None = "acme/m:1", digest: Digest = OUT, subjects: int = 1, **fields: Any
) -> Statement:
    predicate = stage.build(Move("prod", stage.PROMOTE, None, NOW, None, IN), "n")
    changed = {key: value for key, value in {**predicate, **fields}.items() if value is not ...}
    subject = ResourceDescriptor(name=name, digests=(digest,))
    return Statement.build([subject] * subjects, stage.TYPE, changed)


@examples(100)
@given(MOVES)
def test_stage_build_and_parse_are_inverses(move: Move) -> None:
    said = stage.parse(stage_statement(**stage.build(move, "n")))
    assert (str(said.name), said.artifact, said.move) == ("acme/m:1", OUT, move)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": None},
        {"name": "acme/m"},
        {"digest": Digest("gitCommit", "a" * 40)},
        {"subjects": 2},
        {"stage": ...},
        {"stage": ""},
        {"stage": "Prod"},
        {"stage": "a" * 33},
        {"stage": "prod\n"},
        {"action": ...},
        {"action": "demote"},
        {"reason": 7},
        {"issuedAt": ...},
        {"issuedAt": "noon"},
        {"previous": ...},
        {"previous": "yesterday"},
        {"previous": f"gitCommit:{'a' * 40}"},
        {"verdict": ...},
        {"verdict": None},
        {"verdict": "sha256:abc"},
    ],
)
def test_stage_refused(fields: dict[str, Any]) -> None:
    assert stage.parse(stage_statement(reason=..., nonce=..., extension=1)).move.reason is None
    with pytest.raises(BadStatement):
        stage.parse(stage_statement(**fields))
