"""A trace as a CycloneDX 1.6 document: nodes are components, edges dependencies.

https://cyclonedx.org/docs/1.6/json/ . A dependency has no room for who says it, so each
component says in properties by which edges it is there. The document has no time of its own: the
same answer is the same document.
"""

from __future__ import annotations

import uuid
from typing import Any

from stemma_attestations import __version__, canonical
from stemma_attestations.predicates import mlbom_schema
from stemma_attestations.predicates.mlbom_parts import COMPONENT_TYPES, DATA_TYPES, HASHES
from stemma_registry.drawing import places
from stemma_registry.drawing.text import visible
from stemma_registry.lineage.trace import Trace, TraceEdge, TraceNode

VERSION = "1.6"
_SERIALS = uuid.uuid5(uuid.NAMESPACE_URL, "urn:stemma:trace")


def build(trace: Trace) -> dict[str, Any]:
    """The document, checked against the official schema. Raises BadStatement."""
    into: dict[int, list[TraceEdge]] = {}
    for edge in trace.edges:
        into.setdefault(edge.output, []).append(edge)
    components = {
        number: _component(trace, node, into.get(number, []))
        for number, node in trace.nodes.items()
    }
    start = components.pop(trace.start)
    document: dict[str, Any] = {
        "$schema": f"http://cyclonedx.org/schema/bom-{VERSION}.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": VERSION,
        "version": 1,
        "metadata": {
            "tools": {
                "components": [{"type": "application", "name": "stemma", "version": __version__}]
            },
            "component": start,
            "properties": [
                _property("trace:direction", str(trace.direction)),
                _property("trace:entry", str(trace.entry)),
            ],
        },
        "components": list(components.values()),
        "dependencies": [
            {"ref": str(node.digest), **_depends(trace, into.get(number, []))}
            for number, node in trace.nodes.items()
        ],
    }
    serial = uuid.uuid5(_SERIALS, canonical.dumps(document).hex())
    document["serialNumber"] = f"urn:uuid:{serial}"
    mlbom_schema.check(document)
    return document


def _component(trace: Trace, node: TraceNode, edges: list[TraceEdge]) -> dict[str, Any]:
    kind = node.kind or ""
    name, _, version = node.label.rpartition(":") if node.names else (node.label, "", "")
    component: dict[str, Any] = {
        "type": _type(node),
        "bom-ref": str(node.digest),
        "name": visible(name),
    }
    if version:
        component["version"] = visible(version)
    algorithm = HASHES.get(node.digest.algorithm)
    if algorithm is not None:
        component["hashes"] = [{"alg": algorithm, "content": node.digest.value}]
    if kind in DATA_TYPES:
        component["data"] = [{"type": DATA_TYPES[kind]}]
    component["properties"] = [
        _property("digest", str(node.digest)),
        _property("depth", str(node.depth)),
        _property("quarantined", "true" if node.quarantined else "false"),
        *([_property("kind", kind)] if kind else []),
        *(_property("name", name) for name in node.names),
        *(_property("erased", text) for text in node.erased),
        *(_property("deployed", places.line(one)) for one in node.deployed),
        *(_property("edge", _said(trace, edge)) for edge in edges),
    ]
    return component


def _type(node: TraceNode) -> str:
    if node.kind is not None and node.kind in COMPONENT_TYPES:
        return COMPONENT_TYPES[node.kind]
    if node.digest.algorithm.startswith("git"):
        return COMPONENT_TYPES["code"]
    return "data" if node.names else "file"


def _said(trace: Trace, edge: TraceEdge) -> str:
    """By which edge a component is there, and who says so, as JSON."""
    signers = list(dict.fromkeys(word.signer for word in edge.words))
    said = {
        "input": str(trace.nodes[edge.input].digest),
        "relation": visible(edge.relation),
        "assurance": str(edge.assurance),
        "signers": [visible(signer) for signer in signers],
        "statements": [str(word.fact.bundle) for word in edge.words],
        **({"file": visible(edge.path)} if edge.path else {}),
    }
    return canonical.dumps(said).decode()


def _depends(trace: Trace, edges: list[TraceEdge]) -> dict[str, list[str]]:
    inputs = dict.fromkeys(str(trace.nodes[edge.input].digest) for edge in edges)
    return {"dependsOn": list(inputs)} if inputs else {}


def _property(name: str, value: str) -> dict[str, str]:
    return {"name": f"stemma:{name}", "value": visible(value)}
