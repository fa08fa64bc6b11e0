"""ML-BOMs: written, checked against the official schema, and compared with a manifest."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadStatement
from stemma_attestations.names import NameVersion
from stemma_attestations.predicates import mlbom
from stemma_attestations.predicates.mlbom_parts import file_role
from stemma_attestations.relations import KINDS
from tests.building import manifest_of, sha

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "formats" / "ml-bom.md"
FILES = {
    "README.md": b"# Digits\n",
    "config.json": b'{"hidden": 64}\n',
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}\n",
}
BASE, DATA, EVALUATION = sha(b"base"), sha(b"data"), sha(b"evaluation")
COMMIT = Digest("gitCommit", "1f0c" * 10)
ARGUMENTS: dict[str, Any] = {
    "name": NameVersion("vision/digits", "1.0"),
    "kind": "model",
    "manifest": manifest_of(FILES),
    "inputs": [
        mlbom.Material("fine-tuned-from", "vision/base:3", (BASE,), "model"),
        mlbom.Material("trained-on", "digits/clean:2", (DATA,), "dataset"),
        mlbom.Material("evaluated-on", None, (EVALUATION,), None),
        mlbom.Material("built-from", None, (COMMIT,), None),
    ],
    "parameters": {
        "approach": "supervised",
        "architecture": "mlp",
        "epochs": 20,
        "task": "image-classification",
        "test_accuracy": "0.974",
    },
    "packages": [
        mlbom.Package("numpy", "2.3.4", "pkg:pypi/numpy@2.3.4"),
        mlbom.Package("scikit-learn", "1.7.2", "pkg:pypi/scikit-learn@1.7.2"),
    ],
    "created": "2026-11-21T12:00:00Z",
    "build": "fine-tune",
    "licence": "apache-2.0",
    "description": "Handwritten digits, 8x8.",
    "tool_version": "0.1.0",
}
MAIN = f"artifact:{manifest_of(FILES).digest}"
MODELS = ("model", "adapter")


def built(**changes: Any) -> dict[str, Any]:
    return mlbom.build(**{**ARGUMENTS, **changes})


def component(document: dict[str, Any], name: str) -> dict[str, Any]:
    (found,) = [c for c in document["components"] if c["name"] == name]
    return dict(found)


def values(component: dict[str, Any], name: str) -> list[str]:
    return [p["value"] for p in component.get("properties", ()) if p["name"] == f"stemma:{name}"]


# --- what is in it --------------------------------------------------------------------------


def test_the_example_of_the_specification_is_what_is_built() -> None:
    (example,) = re.findall(r"```json\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    document = json.loads(example)
    assert document == built()
    mlbom.check(document)
    assert mlbom.hashes_agree(document, ARGUMENTS["manifest"]) == ()
    assert mlbom.licences(document) == ("Apache-2.0",)


def test_the_main_component_is_the_artifact_with_its_files() -> None:
    main = built()["metadata"]["component"]
    assert (main["type"], main["name"], main["version"]) == (
        "machine-learning-model",
        "vision/digits",
        "1.0",
    )
    assert main["hashes"] == [{"alg": "SHA-256", "content": manifest_of(FILES).digest.value}]
    listed = {f["name"]: (f["type"], f["hashes"], values(f, "role")) for f in main["components"]}
    roles = {
        "README.md": "documentation",
        "config.json": "config",
        "model.safetensors": "weights",
        "tokenizer.json": "tokenizer",
    }
    assert listed == {
        path: ("file", [{"alg": "SHA-256", "content": sha(data).value}], [roles[path]])
        for path, data in FILES.items()
    }


def test_the_model_card_says_what_the_parameters_say_and_no_more() -> None:
    document = built()
    (data_ref,) = [c["bom-ref"] for c in document["components"] if c["name"] == "digits/clean"]
    card = document["metadata"]["component"]["modelCard"]
    datasets = card["modelParameters"].pop("datasets")
    assert {d["ref"] for d in datasets} == {data_ref, f"input:{EVALUATION}"}
    assert card == {
        "modelParameters": {
            "approach": {"type": "supervised"},
            "task": "image-classification",
            "modelArchitecture": "mlp",
        },
        "quantitativeAnalysis": {
            "performanceMetrics": [{"type": "accuracy", "value": "0.974", "slice": "test"}]
        },
    }
    assert built(parameters={}, inputs=[])["metadata"]["component"]["modelCard"] == {}


@pytest.mark.parametrize(
    ("key", "value", "metrics"),
    [
        ("accuracy", 0.5, [{"type": "accuracy", "value": "0.5"}]),
        ("eval/F1", "1e-1", [{"type": "F1", "value": "1e-1", "slice": "eval"}]),
        ("loss", "-0.5", [{"type": "loss", "value": "-0.5"}]),
        ("loss", 3, [{"type": "loss", "value": "3"}]),
        ("loss", "cross-entropy", []),
        ("accuracy", True, []),
        ("accuracy", "nan", []),
        ("accuracy", "0.9\n", []),
        ("target_accuracy", 0.9, []),
        ("approach", "guessing", []),
    ],
)
def test_a_parameter_is_a_metric_if_it_is_called_so_and_is_a_number(
    key: str, value: object, metrics: list[dict[str, str]]
) -> None:
    card = built(parameters={key: value}, inputs=[])["metadata"]["component"]["modelCard"]
    assert card == ({"quantitativeAnalysis": {"performanceMetrics": metrics}} if metrics else {})


def test_inputs_are_components_with_hashes_and_ancestors_are_in_the_pedigree() -> None:
    document = built()
    base, data = component(document, "vision/base"), component(document, "digits/clean")
    assert (base["type"], data["type"]) == ("machine-learning-model", "data")
    assert data["data"] == [{"type": "dataset"}]
    assert base["hashes"] == [{"alg": "SHA-256", "content": BASE.value}]
    assert data["hashes"] == [{"alg": "SHA-256", "content": DATA.value}]
    (ancestor,) = document["metadata"]["component"]["pedigree"]["ancestors"]
    assert ancestor["hashes"] == base["hashes"]
    assert "bom-ref" not in ancestor
    commit = component(document, COMMIT.short)
    assert values(commit, "digest") == [str(COMMIT)]


def test_an_artifact_depends_on_its_inputs_but_not_on_what_it_was_evaluated_on() -> None:
    graph = {item["ref"]: item.get("dependsOn", []) for item in built()["dependencies"]}
    assert set(graph.pop(MAIN)) == {
        f"input:vision/base:3@{BASE}",
        f"input:digits/clean:2@{DATA}",
        f"input:{COMMIT}",
        "pkg:pypi/numpy@2.3.4",
        "pkg:pypi/scikit-learn@1.7.2",
    }
    assert not any(graph.values())
    assert f"input:{EVALUATION}" in graph


def test_one_thing_under_two_relations_is_one_component() -> None:
    twice = [mlbom.Material(r, "d:1", (DATA,), None) for r in ("trained-on", "evaluated-on")]
    (found,) = [c for c in built(inputs=twice)["components"] if c["name"] == "d"]
    assert values(found, "relation") == ["evaluated-on", "trained-on"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_artifact_has_a_bom(kind: str) -> None:
    document = built(kind=kind)
    main = document["metadata"]["component"]
    assert values(main, "kind") == [kind]
    assert (main["type"] == "machine-learning-model") == (kind in MODELS)
    assert ("modelCard" in main) == (kind in MODELS)
    assert ("data" in main) == (main["type"] == "data")
    assert mlbom.hashes_agree(document, ARGUMENTS["manifest"]) == ()


@pytest.mark.parametrize(
    ("given", "choice"),
    [
        ("apache-2.0", {"license": {"id": "Apache-2.0"}}),
        (" MIT ", {"license": {"id": "MIT"}}),
        ("MIT OR Apache-2.0", {"expression": "MIT OR Apache-2.0"}),
        ("openrail++", {"license": {"name": "openrail++"}}),
    ],
)
def test_a_licence_is_an_id_an_expression_or_a_name(given: str, choice: dict[str, Any]) -> None:
    document = built(licence=given)
    assert document["metadata"]["component"]["licenses"] == [choice]
    (read,) = mlbom.licences(document)
    assert read.lower() == given.strip().lower()


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_no_licence_is_no_licence(nothing: str | None) -> None:
    assert mlbom.licences(built(licence=nothing)) == ()


@pytest.mark.parametrize(
    ("path", "kind", "role"),
    [
        ("deep/Tokenizer_Config.json", "model", "tokenizer"),
        ("cl100k.tiktoken", "tokenizer", "tokenizer"),
        ("model.safetensors.index.json", "model", "config"),
        ("adapter_config.json", "adapter", "config"),
        ("pytorch_model.bin", "model", "weights"),
        ("records.bin", "dataset", "data"),
        ("LICENSE", "dataset", "documentation"),
        ("train.py", "code", "code"),
        ("part-0.parquet", "dataset", "data"),
        ("photo.png", "dataset", None),
        ("unlicensed.dat", "dataset", None),
    ],
)
def test_the_role_of_a_file_is_told_by_its_name(path: str, kind: str, role: str | None) -> None:
    assert file_role(path, kind) == role


@pytest.mark.parametrize(
    ("relation", "kind", "of", "is_ancestor"),
    [
        ("fine-tuned-from", "model", "adapter", True),
        ("merged-from", None, "model", True),
        ("filtered-from", "dataset", "dataset", True),
        ("sampled-from", None, "dataset", True),
        ("evaluated-on", "dataset", "dataset", False),
        ("trained-on", "model", "model", False),
        ("synthesized-by", "model", "dataset", False),
        ("distilled-from", "dataset", "model", False),
        ("built-from", "code", "code", False),
    ],
)
def test_an_ancestor_is_of_the_same_type_and_gave_its_substance(
    relation: str, kind: str | None, of: str, is_ancestor: bool
) -> None:
    document = built(kind=of, inputs=[mlbom.Material(relation, "x:1", (DATA,), kind)])
    assert ("pedigree" in document["metadata"]["component"]) == is_ancestor


PACKAGE = mlbom.Package("a", "1", "pkg:pypi/a@1")


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "spaceship"},
        {"build": "compile"},
        {"created": "yesterday"},
        {"created": "2026-11-21T12:00:00"},
        {"inputs": [mlbom.Material("eaten-by", "a:1", (DATA,), None)]},
        {"inputs": [mlbom.Material("trained-on", "a:1", (), None)]},
        {"packages": [mlbom.Package("a", "1", "a@1")]},
        {"packages": [PACKAGE, mlbom.Package("A", "1", "pkg:PyPI/A@1")]},
        {"parameters": {"lr": float("nan")}},
        {"parameters": {"lr": object()}},
        {"parameters": {1: "a", "b": 2}},
        {"description": "\ud800"},
    ],
)
def test_what_no_bom_can_hold_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(BadStatement):
        built(**wrong)


@pytest.mark.filterwarnings("ignore:.*maximum length")
def test_what_only_the_schema_forbids_is_refused_too() -> None:
    with pytest.raises(BadStatement, match="version"):
        built(packages=[mlbom.Package("a", "1" * 1025, "pkg:pypi/a")])


def test_a_package_is_named_once() -> None:
    document = built(packages=[PACKAGE, PACKAGE], inputs=[])
    assert [c["purl"] for c in document["components"]] == ["pkg:pypi/a@1"]
