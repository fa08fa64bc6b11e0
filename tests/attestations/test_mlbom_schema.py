"""Checking any CycloneDX document: the official schema, references, BOM-Links, and no network."""

from __future__ import annotations

import copy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from stemma_attestations.errors import BadStatement
from stemma_attestations.predicates import mlbom, mlbom_schema
from stemma_attestations.statement import Statement
from tests.attestations.test_mlbom import MAIN, built
from tests.building import sha, statement_about

ROOT = Path(__file__).parents[2]
WHEN = "2026-01-01T00:00:00Z"
SERIAL = "3e671687-395b-41f5-a30f-a58921a69b79"


def bare(version: str = "1.6", **fields: Any) -> dict[str, Any]:
    """The smallest document that has something to refer to."""
    return {
        "bomFormat": "CycloneDX",
        "specVersion": version,
        "components": [{"type": "library", "name": "here", "bom-ref": "here"}],
        **fields,
    }


@pytest.mark.parametrize(
    "change",
    [
        {"specVersion": "1.5"},
        {"specVersion": None},
        {"specVersion": ["1.6"]},
        {"bomFormat": "SPDX"},
        {"serialNumber": "urn:uuid:1"},
        {"surprise": 1},
        {"metadata": {"timestamp": "yesterday"}},
        {"components": [{"type": "spaceship", "name": "x"}]},
        {
            "components": [
                {"type": "file", "name": "x", "hashes": [{"alg": "SHA-256", "content": "0"}]}
            ]
        },
        {
            "components": [
                {"type": "library", "name": "x", "licenses": [{"license": {"id": "mit"}}]}
            ]
        },
        {"version": float("nan")},
        {"version": object()},
        {1: 2},
    ],
)
def test_what_breaks_the_schema_is_refused(change: dict[str, Any]) -> None:
    mlbom.check(bare())
    with pytest.raises(BadStatement):
        mlbom.check({**bare(), **change})


def test_a_bom_nested_without_end_is_refused() -> None:
    def nested(depth: int) -> dict[str, Any]:
        document = place = bare()
        for _ in range(depth):
            place["components"] = [{"type": "library", "name": "x"}]
            place = place["components"][0]
        return document

    mlbom.check(nested(31))
    for depth in (32, 100_000):  # the validator itself dies of the second
        with pytest.raises(BadStatement, match="nested deeper than 64"):
            mlbom.check(nested(depth))


def test_two_parts_with_one_bom_ref_are_refused() -> None:
    document = built()
    document["formulation"][0]["bom-ref"] = MAIN
    with pytest.raises(BadStatement, match="twice"):
        mlbom.check(document)


def test_newer_documents_and_fields_that_we_do_not_write_survive() -> None:
    document = bare(
        "1.7",
        citations=[
            {"timestamp": "2026-01-01T00:00:00Z", "attributedTo": "here", "pointers": ["/a"]}
        ],
        annotations=[
            {
                "subjects": ["here"],
                "annotator": {"individual": {"name": "N"}},
                "timestamp": "2026-01-01T00:00:00Z",
                "text": "seen",
            }
        ],
    )
    before = copy.deepcopy(document)
    mlbom.check(document)
    assert document == before
    statement = statement_about(sha(b"x"), mlbom.TYPE, document)
    assert Statement.parse(statement.raw).predicate == document


def test_everything_that_is_built_is_checked() -> None:
    with pytest.raises(BadStatement):
        built(description="\ud800")


# --- references, wherever the schema lets one stand -----------------------------------------

Place = Callable[[str], dict[str, Any]]


def _resource(**fields: Any) -> dict[str, Any]:
    """A workflow with these fields."""
    workflow = {"bom-ref": "w", "uid": "w", "taskTypes": ["build"], **fields}
    return {"formulation": [{"workflows": [workflow]}]}


def _standard(**fields: Any) -> dict[str, Any]:
    return {"definitions": {"standards": [{"name": "s", **fields}]}}


def _claim(**fields: Any) -> dict[str, Any]:
    return {"declarations": {"claims": [{"bom-ref": "c", **fields}]}}


def _map(**fields: Any) -> dict[str, Any]:
    return {"declarations": {"attestations": [{"map": [fields]}]}}


def _crypto(**fields: Any) -> dict[str, Any]:
    component = {"type": "cryptographic-asset", "name": "k", "cryptoProperties": fields}
    return {"metadata": {"component": component}}


def _model(ref: str) -> dict[str, Any]:
    card = {"modelParameters": {"datasets": [{"ref": ref}]}}
    model = {"type": "machine-learning-model", "name": "m", "modelCard": card}
    # Deep inside, so that nesting is followed.
    outer = {"type": "library", "name": "o", "components": [model]}
    return {"metadata": {"component": {"type": "library", "name": "x", "components": [outer]}}}


def _tools(ref: str) -> dict[str, Any]:
    evidence = {"identity": [{"field": "name", "tools": [ref]}]}
    return {"metadata": {"component": {"type": "library", "name": "x", "evidence": evidence}}}


def _annotation(ref: str) -> dict[str, Any]:
    annotator = {"individual": {"name": "N"}}
    note = {"subjects": [ref], "annotator": annotator, "timestamp": WHEN, "text": "t"}
    return {"annotations": [note]}


PLACES: dict[str, Place] = {
    "ref": lambda r: {"dependencies": [{"ref": r}]},
    "dependsOn": lambda r: {"dependencies": [{"ref": "here", "dependsOn": [r]}]},
    "provides": lambda r: {"dependencies": [{"ref": "here", "provides": [r]}]},
    "assemblies": lambda r: {"compositions": [{"aggregate": "complete", "assemblies": [r]}]},
    "composed": lambda r: {"compositions": [{"aggregate": "complete", "dependencies": [r]}]},
    "weak": lambda r: {"compositions": [{"aggregate": "complete", "vulnerabilities": [r]}]},
    "affects": lambda r: {"vulnerabilities": [{"id": "CVE-1", "affects": [{"ref": r}]}]},
    "subjects": _annotation,
    "datasets": _model,
    "tools": _tools,
    "input": lambda r: _resource(inputs=[{"resource": {"ref": r}}]),
    "source": lambda r: _resource(inputs=[{"parameters": [], "source": {"ref": r}}]),
    "output": lambda r: _resource(outputs=[{"type": "log", "resource": {"ref": r}}]),
    "resources": lambda r: _resource(resourceReferences=[{"ref": r}]),
    "tasks": lambda r: _resource(taskDependencies=[{"ref": r}]),
    "topology": lambda r: _resource(runtimeTopology=[{"ref": "here", "dependsOn": [r]}]),
    "target": lambda r: _claim(target=r),
    "evidence": lambda r: _claim(evidence=[r]),
    "strategy": lambda r: _claim(mitigationStrategies=[r]),
    "assessor": lambda r: {"declarations": {"attestations": [{"assessor": r}]}},
    "requirement": lambda r: _map(requirement=r),
    "claims": lambda r: _map(claims=[r]),
    "counterClaims": lambda r: _map(counterClaims=[r]),
    "conformance": lambda r: _map(conformance={"mitigationStrategies": [r]}),
    "parent": lambda r: _standard(requirements=[{"bom-ref": "q", "parent": r}]),
    "levels": lambda r: _standard(levels=[{"bom-ref": "l", "requirements": [r]}]),
    "securedBy": lambda r: _crypto(
        assetType="related-crypto-material",
        relatedCryptoMaterialProperties={"type": "key", "securedBy": {"algorithmRef": r}},
    ),
    "cipher": lambda r: _crypto(
        assetType="protocol", protocolProperties={"cipherSuites": [{"algorithms": [r]}]}
    ),
}
NEWER: dict[str, Place] = {
    "citation": lambda r: {
        "citations": [{"timestamp": WHEN, "attributedTo": r, "pointers": ["/components"]}]
    },
    "process": lambda r: {
        "citations": [
            {"timestamp": WHEN, "attributedTo": "here", "process": r, "pointers": ["/components"]}
        ]
    },
}
EVERYWHERE = [
    *(("1.6", name, place) for name, place in PLACES.items()),
    *(("1.7", name, place) for name, place in {**PLACES, **NEWER}.items()),
]


@pytest.mark.parametrize(("version", "name", "place"), EVERYWHERE)
def test_a_reference_resolves_wherever_it_stands(version: str, name: str, place: Place) -> None:
    mlbom.check(bare(version, **place("here")))
    mlbom.check(bare(version, **place(f"urn:cdx:{SERIAL}/1#elsewhere")))
    with pytest.raises(BadStatement, match="'nowhere', which is not in the document"):
        mlbom.check(bare(version, **place("nowhere")))


@pytest.mark.parametrize("place", [PLACES["assemblies"], PLACES["dependsOn"], None])
def test_a_bom_link_into_the_same_document_resolves(place: Place | None) -> None:
    def linked(target: str) -> dict[str, Any]:
        reference = {"type": "bom", "url": f"urn:cdx:{target}"}
        linking = place(f"urn:cdx:{target}") if place else {"externalReferences": [reference]}
        return {**bare(), "serialNumber": f"urn:uuid:{SERIAL}", "version": 2, **linking}

    mlbom.check(linked(f"{SERIAL}/2#here"))
    mlbom.check(linked(f"{SERIAL}/2#%68ere"))
    mlbom.check(linked(f"{SERIAL}/1#gone"))  # an earlier version is another document
    with pytest.raises(BadStatement, match="not in the document"):
        mlbom.check(linked(f"{SERIAL}/2#gone"))


def test_an_external_address_is_no_reference() -> None:
    mlbom.check(bare(externalReferences=[{"type": "website", "url": "nowhere"}]))


# --- purity ---------------------------------------------------------------------------------


def _run(code: str, *before: str) -> str:
    command = [*before, sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = (
    "import sys; {};"
    "print(*[m for m in ('cyclonedx.model', 'jsonschema_rs', 'sqlalchemy', 'packageurl')"
    " if m in sys.modules])"
)


def test_reading_loads_no_library_and_checking_only_the_validator() -> None:
    imported = "from stemma_attestations.predicates import mlbom"
    assert _run(LOADED.format(imported)).split() == []
    checked = f"{imported}; mlbom.check({bare()!r})"
    assert _run(LOADED.format(checked)).split() == ["jsonschema_rs"]
    written = "from tests.attestations.test_mlbom import built; built()"
    assert "sqlalchemy" not in _run(LOADED.format(written)).split()


@pytest.mark.parametrize(
    ("version", "part"),
    [(v, p) for v in ("1.6", "1.7") for p in ("spdx", "jsf-0.82")] + [("1.7", "cryptography-defs")],
)
def test_a_schema_that_is_not_at_hand_is_not_fetched(
    version: str, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rest = tuple(other for other in mlbom_schema._PARTS if other != part)
    monkeypatch.setattr(mlbom_schema, "_PARTS", rest)
    with pytest.raises(jsonschema_rs.ValidationError, match="not among the schemas at hand"):
        mlbom_schema._validator.__wrapped__(version)


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_no_socket_is_opened(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    strace = ("strace", "-f", "-qq", "-e", "trace=socket,connect,sendto", "-o", str(trace))
    work = "from tests.attestations.test_mlbom import built, mlbom; mlbom.check(built())"
    _run(work, *strace)
    assert "AF_INET" not in trace.read_text()
    # The instrument works: a socket is seen when there is one.
    _run("import socket; socket.socket().close()", *strace)
    assert "AF_INET" in trace.read_text()
