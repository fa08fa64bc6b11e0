"""A trace as plain values: one JSON document, or JSON Lines. The fields are in docs/cli.md."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from stemma_attestations.times import format_time
from stemma_registry.drawing import places
from stemma_registry.lineage.trace import Trace, TraceEdge, TraceNode
from stemma_registry.lineage.words import Word

Paths = Sequence[Sequence[TraceEdge]] | None


def whole(trace: Trace, paths: Paths = None) -> dict[str, Any]:
    """Everything in one document; `paths` only where paths were asked for."""
    document: dict[str, Any] = {
        **_head(trace),
        "nodes": [node(one) for one in trace.nodes.values()],
        "edges": [edge(trace, one) for one in trace.edges],
        "left_out": trace.left_out,
    }
    if paths is not None:
        document["ways"] = trace.ways
        document["paths"] = [[edge(trace, one) for one in path] for path in paths]
    return document


def lines(trace: Trace, paths: Paths = None) -> Iterator[str]:
    """A line for the question, then one a node, one an edge, one a path, and one to end.

    The last one has the counts: what ends without it was cut off.
    """
    yield _line("trace", _head(trace))
    for one in trace.nodes.values():
        yield _line("node", node(one))
    for each in trace.edges:
        yield _line("edge", edge(trace, each))
    for path in paths or ():
        yield _line("path", {"edges": [edge(trace, each) for each in path]})
    counts = {
        "nodes": len(trace.nodes),
        "edges": len(trace.edges),
        "left_out": trace.left_out,
    }
    ways = {} if paths is None else {"paths": len(paths), "ways": trace.ways}
    yield _line("end", {**counts, **ways})


def node(one: TraceNode) -> dict[str, Any]:
    """A node and where it runs."""
    return {
        "digest": str(one.digest),
        "label": one.label,
        "kind": one.kind,
        "names": list(one.names),
        "depth": one.depth,
        "quarantined": one.quarantined,
        "erased": list(one.erased),
        "deployed": [places.document(each) for each in one.deployed],
        **({"marks": list(one.marks)} if one.marks else {}),
        **({"stages": list(one.stages)} if one.stages else {}),
    }


def edge(trace: Trace, one: TraceEdge) -> dict[str, Any]:
    """An edge and the statements behind it, strongest first."""
    return {
        "input": str(trace.nodes[one.input].digest),
        "output": str(trace.nodes[one.output].digest),
        "relation": one.relation,
        "assurance": str(one.assurance),
        "mark": str(one.mark),
        "path": one.path,
        "statements": [statement(word) for word in one.words],
    }


def statement(word: Word) -> dict[str, Any]:
    """A statement that says an edge."""
    return {
        "bundle": str(word.fact.bundle),
        "predicate_type": word.fact.predicate_type,
        "signer": word.signer,
        "key_id": word.fact.signer,
        "assurance": str(word.assurance),
        "mark": str(word.mark),
        "about": word.fact.about,
        "entry": word.fact.n,
        "dated": [format_time(one.time) for one in sorted(word.fact.signed)],
    }


def _head(trace: Trace) -> dict[str, Any]:
    return {
        "start": str(trace.nodes[trace.start].digest),
        "direction": str(trace.direction),
        "entry": trace.entry,
    }


def _line(kind: str, value: Mapping[str, Any]) -> str:
    return json.dumps({"type": kind, **value}, ensure_ascii=True)
