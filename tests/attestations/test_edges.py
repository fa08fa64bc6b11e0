"""Edges from the statements of other tools: what each says, with its mark, and nothing more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from stemma_attestations import edges
from stemma_attestations.digest import Digest, sha256
from stemma_attestations.edges import Edge
from stemma_attestations.errors import BadStatement
from stemma_attestations.marks import Mark
from stemma_attestations.named import parse, within
from stemma_attestations.predicates import imported, mlbom, mlbom_edges, provenance, slsa, spdx
from stemma_attestations.predicates.imported import Claim
from stemma_attestations.predicates.link import TYPE as LINK
from stemma_attestations.predicates.provenance import Input
from stemma_attestations.relations import SAME_AS
from stemma_attestations.statement import ResourceDescriptor, Statement
from tests.building import examples, json_values, sha
from tests.foreign_forms import github_provenance, gitlab_provenance, tekton_provenance

MODEL, SECOND, DATA = sha(b"model"), sha(b"second"), sha(b"data")
COMMIT = "ab" * 20


def said(kind: str, predicate: dict[str, Any], *outputs: Digest) -> list[Edge]:
    subjects = [ResourceDescriptor(digests=(one,)) for one in outputs or (MODEL,)]
    return edges.of(Statement.build(subjects, kind, predicate))


def brief(found: list[Edge]) -> list[tuple[str, str, str]]:
    return sorted((one.input.relation, str(one.input.digest), str(one.mark)) for one in found)


def test_provenance_of_other_builders_by_bytes_by_commit_and_by_name() -> None:
    found = {str(one.input.digest) for one in said(provenance.TYPE, github_provenance())}
    assert any(one.startswith("gitCommit:") for one in found)
    predicate = {
        "buildDefinition": {
            "buildType": "https://example.org/train",
            "externalParameters": {},
            "resolvedDependencies": [
                {"uri": "s3://b/d", "digest": {"sha256": DATA.value}},
                {"uri": "https://huggingface.co/acme/base/tree/main"},
                {"uri": f"hf://acme/base@{COMMIT}", "digest": {"md5": "0" * 32}},
                {"name": "only a name", "digest": {"md5": "0" * 32}},
            ],
        },
        "runDetails": {"builder": {"id": "https://example.org/ci"}},
    }
    assert brief(said(provenance.TYPE, predicate)) == [
        ("derived-from", "hf:acme/base", "name-based"),
        ("derived-from", f"hf:acme/base@{COMMIT}", "exact"),
        ("derived-from", str(DATA), "exact"),
    ]
    assert len(said(provenance.TYPE, predicate, MODEL, SECOND)) == 6
    marks = {str(one.mark) for one in said(provenance.TYPE, predicate, MODEL, SECOND)}
    assert marks == {"cartesian", "name-based"}


@pytest.mark.parametrize("made", [gitlab_provenance, tekton_provenance])
def test_older_provenance_is_read_for_its_materials(made: Any) -> None:
    predicate = made()
    if "materials" not in predicate:
        predicate = {"builder": {"id": "x"}, "materials": []}
    assert isinstance(said(slsa.TYPE_V02, predicate), list)


def test_a_sha1_beside_a_git_address_is_a_commit_and_the_config_source_is_a_material() -> None:
    predicate = {
        "builder": {"id": "https://example.org/ci"},
        "buildType": "https://example.org/b",
        "invocation": {"configSource": {"uri": "git+https://e.org/r", "digest": {"sha1": COMMIT}}},
        "materials": [
            {"uri": "git+https://e.org/r", "digest": {"sha1": COMMIT}},
            {"uri": "pkg:docker/x@1", "digest": {"sha256": DATA.value}},
        ],
    }
    for kind in (slsa.TYPE_V01, slsa.TYPE_V02):
        assert brief(said(kind, predicate)) == [
            ("built-from", f"gitCommit:{COMMIT}", "exact"),
            ("derived-from", str(DATA), "exact"),
        ]


def test_a_link_goes_from_materials_to_products_and_not_to_what_it_passed_on() -> None:
    predicate = {
        "name": "train",
        "command": ["python", "train.py"],
        "materials": [
            {"name": "data.csv", "digest": {"sha256": DATA.value}},
            {"name": "model.bin", "digest": {"sha256": MODEL.value}},
        ],
    }
    assert brief(said(LINK, predicate)) == [("derived-from", str(DATA), "exact")]
    found = said(LINK, predicate, MODEL, SECOND)
    assert {one.input.digest for one in found} == {DATA}
    assert {one.mark for one in found} == {Mark.CARTESIAN}


def bom() -> dict[str, Any]:
    """As cyclonedx-python-lib writes the skeleton, with the card that it does not model."""
    from cyclonedx.model import HashAlgorithm, HashType
    from cyclonedx.model.bom import Bom
    from cyclonedx.model.component import Component, ComponentType, Pedigree
    from cyclonedx.output.json import JsonV1Dot6
    from packageurl import PackageURL

    base = Component(
        name="base",
        type=ComponentType.MACHINE_LEARNING_MODEL,
        purl=PackageURL("huggingface", "acme", "base", COMMIT),
    )
    main = Component(
        name="m",
        type=ComponentType.MACHINE_LEARNING_MODEL,
        pedigree=Pedigree(ancestors=[base]),
        bom_ref="main",
    )
    data = Component(
        name="tickets",
        version="3",
        type=ComponentType.DATA,
        bom_ref="data",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=DATA.value)],
    )
    library = Component(name="torch", version="2.1.0", type=ComponentType.LIBRARY)
    document = Bom(components=[data, library])
    document.metadata.component = main
    document.register_dependency(main, [data, library])
    found: dict[str, Any] = json.loads(JsonV1Dot6(document).output_as_string())
    found["metadata"]["component"]["modelCard"] = {
        "modelParameters": {
            "datasets": [
                {"ref": "data"},
                {"type": "dataset", "name": "Web", "contents": {"url": "s3://b/web"}},
                {"type": "dataset", "name": "handmade"},
            ]
        }
    }
    mlbom.check(found)
    return found


def test_a_bom_says_datasets_and_ancestors_of_its_main_component() -> None:
    assert brief(said(mlbom_edges.TYPE, bom())) == [
        ("derived-from", f"hf:acme/base@{COMMIT}", "exact"),
        ("trained-on", "name:-/handmade", "name-based"),
        ("trained-on", "s3://b/web", "name-based"),
        ("trained-on", str(DATA), "exact"),
    ]


def test_a_bom_of_ours_says_nothing_that_its_lineage_statement_does_not() -> None:
    document = bom()
    properties = [{"name": "stemma:kind", "value": "model"}]
    document["metadata"]["component"]["properties"] = properties
    assert said(mlbom_edges.TYPE, document) == []
    assert mlbom_edges.TYPE == mlbom.TYPE


SPACE = "https://example.org/spdx/"


def element(name: str, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, "spdxId": SPACE + name, "name": name, **fields}


def related(source: str, kind: str, *targets: str) -> dict[str, Any]:
    return {
        "type": "Relationship",
        "spdxId": f"{SPACE}r-{source}-{kind}",
        "from": SPACE + source,
        "relationshipType": kind,
        "to": [SPACE + target for target in targets],
    }


def spdx_document(*more: dict[str, Any]) -> dict[str, Any]:
    """By the field names of the SPDX 3.0.1 model, AI and Dataset profiles."""
    return {
        "@context": "https://spdx.org/rdf/3.0.1/spdx-context.jsonld",
        "@graph": [
            {"type": "CreationInfo", "@id": "_:c", "specVersion": "3.0.1"},
            element("doc", "SpdxDocument", rootElement=[SPACE + "bom"]),
            element("bom", "Bom", rootElement=[SPACE + "model"]),
            element("model", "ai_AIPackage"),
            element(
                "data",
                "dataset_DatasetPackage",
                verifiedUsing=[{"type": "Hash", "algorithm": "sha256", "hashValue": DATA.value}],
            ),
            element("base", "ai_AIPackage", software_packageUrl="pkg:huggingface/acme/base@v1"),
            element("eval", "dataset_DatasetPackage"),
            *more,
        ],
    }


def test_spdx_relationships_go_the_way_that_each_says() -> None:
    document = spdx_document(
        related("model", "trainedOn", "data"),
        related("model", "testedOn", "eval"),
        related("model", "descendantOf", "base"),
        related("data", "generates", "eval"),
        related("model", "hasDocumentation", "data"),
    )
    found = {
        (str(e.output), e.input.relation, str(e.input.digest)) for e in said(spdx.TYPE, document)
    }
    assert found == {
        (str(MODEL), "trained-on", str(DATA)),
        (str(MODEL), "evaluated-on", f"{SPACE}eval"),
        (str(MODEL), "derived-from", "hf:acme/base@v1"),
        (f"{SPACE}eval", "derived-from", str(DATA)),
    }


def test_an_spdx_build_is_crossed_and_a_root_is_the_one_subject_only() -> None:
    out = {"type": "Hash", "algorithm": "sha256", "hashValue": SECOND.value}
    document = spdx_document(
        element("build", "build_Build"),
        element("other", "software_Package", verifiedUsing=[out]),
        related("build", "hasInput", "data"),
        related("build", "hasOutput", "model", "other"),
    )
    found = said(spdx.TYPE, document)
    assert {(one.output, one.mark) for one in found} == {
        (MODEL, Mark.CARTESIAN),
        (SECOND, Mark.CARTESIAN),
    }
    two = said(spdx.TYPE, document, MODEL, DATA)  # which of the two it is, nobody says
    assert {str(one.output) for one in two} == {f"{SPACE}model", str(SECOND)}


def test_an_import_keeps_what_was_read() -> None:
    claims = (
        Claim(MODEL, "trained-on", parse("hf:datasets/squad")),
        Claim(MODEL, "derived-from", DATA, "cartesian", "acme/d:1"),
        Claim(within("path", "p", "a"), "built-from", Digest("gitCommit", COMMIT)),
    )
    predicate = imported.build("dvc", claims)
    assert set(imported.parse(predicate).edges) == set(claims)
    assert imported.build("dvc", reversed(claims)) == predicate
    found = said(imported.TYPE, predicate, sha(b"the document"))
    assert {str(one.mark) for one in found} == {"name-based", "cartesian"}
    assert all(edges.is_claim(one.mark, imported.TYPE) for one in found)


def test_the_same_thing_is_so_both_ways() -> None:
    one = Edge(MODEL, Input(SAME_AS, DATA), Mark.EXACT)
    back = Edge(DATA, Input(SAME_AS, MODEL), Mark.EXACT)
    assert edges.both_ways([one]) == [one, back]
    other = Edge(MODEL, Input("trained-on", DATA), Mark.EXACT)
    assert edges.both_ways([other]) == [other]


def test_too_many_edges_are_none() -> None:
    outputs = [sha(str(n).encode()) for n in range(1_001)]
    inputs = [Input("derived-from", sha256(f"{n:064x}")) for n in range(1_000)]
    with pytest.raises(BadStatement, match="more than 1000000 edges"):
        edges.crossed(outputs, inputs)


@examples(400)
@given(json_values)
def test_no_predicate_of_any_type_raises_anything_else(value: Any) -> None:
    predicate = value if isinstance(value, dict) else {"@graph": value, "materials": value}
    for kind in edges._READERS:
        for bent in (
            predicate,
            {**bom_once(), **predicate},
            {**spdx_document(), "@graph": [value]},
        ):
            try:
                found = said(kind, bent)
            except BadStatement:
                continue
            assert all(isinstance(one, Edge) for one in found)


_BOM: list[dict[str, Any]] = []


def bom_once() -> dict[str, Any]:
    if not _BOM:
        _BOM.append(bom())
    return _BOM[0]
