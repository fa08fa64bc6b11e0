"""`urn:stemma:lineage:v0.1`: edges, named one by one. See docs/formats/lineage.md.

SLSA provenance relates all inputs to all outputs. This predicate says which
input went into which output, and how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stemma_attestations.digest import NODES, Digest, sha256s
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.predicates.provenance import Input, check_input
from stemma_attestations.statement import COLUMNS, ResourceDescriptor, Statement

TYPE = "urn:stemma:lineage:v0.1"


class Edge(NamedTuple):
    """`output` (a subject of the statement) was made from `input`."""

    output: Digest
    input: Input


def build(output: Digest, inputs: Sequence[Input]) -> dict[str, Any]:
    """The predicate for one output. Raises BadStatement."""
    edges = []
    for item in sorted(set(inputs), key=lambda i: (i.relation, str(i.digest), i.name or "")):
        check_input(item)
        edges.append(
            {
                "output": {"digest": {output.algorithm: output.value}},
                "relation": item.relation,
                "input": ResourceDescriptor(name=item.name, digests=(item.digest,)).to_json(),
            }
        )
    return {"edges": edges}


def parse(statement: Statement) -> tuple[Edge, ...]:
    """The edges of a lineage statement.

    Raises BadStatement, also where an output is not a subject: a statement
    speaks of its subjects only. An unknown relation is kept: it propagates.
    """
    items = statement.predicate.get("edges")
    if not isinstance(items, list):
        raise BadStatement("a lineage predicate has a list of edges")
    about = {digest.value: digest for s in statement.subjects if (digest := s.digest("sha256"))}
    found = _plain(items, about) if len(items) >= COLUMNS else None
    return tuple(_parse_edge(item, about) for item in items) if found is None else found


def _parse_edge(obj: object, about: Mapping[str, Digest]) -> Edge:
    if not isinstance(obj, dict) or not isinstance(obj.get("relation"), str):
        raise BadStatement("an edge is {output, relation, input}")
    end = ResourceDescriptor.parse(obj.get("output")).digest("sha256")
    if end is None or end.value not in about:
        raise BadStatement("an edge's output is a subject of its statement, by SHA-256")
    descriptor = ResourceDescriptor.parse(obj.get("input"))
    digest = descriptor.first(*NODES)
    if digest is None:
        raise BadStatement("an edge's input has a sha256, gitCommit or gitTree digest")
    return Edge(end, Input(obj["relation"], digest, descriptor.name))


def _plain(items: list[Any], about: Mapping[str, Digest]) -> tuple[Edge, ...] | None:
    """All edges as `build` writes them, by SHA-256 and with names, column by column: the most are.

    None where one is not, also where one is wrong.
    """
    try:
        relations = [item["relation"] for item in items]
        outputs = [item["output"] for item in items]
        inputs = [item["input"] for item in items]
        names = [item["name"] for item in inputs]
        into, out = ([item["digest"] for item in column] for column in (inputs, outputs))
        values = [digest["sha256"] for digest in into]
        ends = [about[digest["sha256"]] for digest in out]
    except (KeyError, TypeError):
        return None
    objects = (*items, *outputs, *inputs, *into, *out)
    if set(map(type, objects)) - {dict} or set(map(type, (*relations, *names, *values))) - {str}:
        return None
    if set(map(len, (*outputs, *into, *out))) - {1} or set(map(len, inputs)) - {2}:
        return None
    try:
        known = sha256s(set(values))
    except BadDigest:
        return None
    said = map(Input._make, zip(relations, map(known.__getitem__, values), names, strict=True))
    return tuple(map(Edge._make, zip(ends, said, strict=True)))
