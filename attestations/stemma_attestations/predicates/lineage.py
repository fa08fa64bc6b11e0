"""`urn:stemma:lineage:v0.1`: edges, named one by one. See docs/formats/lineage.md.

SLSA provenance relates all inputs to all outputs. This predicate says which
input went into which output, and how.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from stemma_attestations.digest import NODES, Digest
from stemma_attestations.errors import BadDigest, BadStatement
from stemma_attestations.predicates.provenance import Input, check_input
from stemma_attestations.statement import ResourceDescriptor, Statement

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
    known = dict(about)
    return tuple(_plain(item, about, known) or _parse_edge(item, about) for item in items)


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


def _plain(obj: object, about: Mapping[str, Digest], known: dict[str, Digest]) -> Edge | None:
    """An edge as `build` writes it, by SHA-256 and with a name: nearly all are.

    None for any other, also for one that is wrong. `known` remembers digests.
    """
    try:
        output, source, relation = obj["output"], obj["input"], obj["relation"]  # type: ignore[index]
        name, into, out = source["name"], source["digest"], output["digest"]
        if not len(source) == 2 == 1 + len(output) == 1 + len(into) == 1 + len(out):
            return None
        value, end = into["sha256"], about.get(out["sha256"])
        kinds = {type(source), type(output), type(into), type(out), type(obj)}
        if end is None or kinds != {dict} or not type(name) is type(relation) is str:
            return None
        return Edge(end, Input(relation, known.get(value) or _remember(known, value), name))
    except (KeyError, TypeError, BadDigest):
        return None


def _remember(known: dict[str, Digest], value: str) -> Digest:
    return known.setdefault(value, Digest("sha256", value))
