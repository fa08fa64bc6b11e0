"""Traces that know where things run."""

from __future__ import annotations

from dataclasses import replace

from stemma_registry.lineage.deployments import Deployments
from stemma_registry.lineage.trace import Trace
from stemma_registry.registry import Snapshot
from stemma_registry.stages import holding


def with_deployments(trace: Trace, found: Deployments) -> Trace:
    """A trace whose nodes know where they are deployed."""
    by_node = found.by_node()
    nodes = {
        number: node._replace(deployed=by_node[number].found) if number in by_node else node
        for number, node in trace.nodes.items()
    }
    return replace(trace, nodes=nodes)


def with_stages(trace: Trace, snapshot: Snapshot, stage: str | None = None) -> Trace:
    """A trace whose nodes know at which NAME#STAGE they are (of that stage only)."""
    found: dict[int, list[str]] = {}
    for (_, where), history in holding.histories(snapshot).items():
        row = history.holder
        if row is not None and stage in (None, where):
            found.setdefault(row.artifact_id, []).append(row.where)
    nodes = {
        number: node._replace(stages=tuple(found[number])) if number in found else node
        for number, node in trace.nodes.items()
    }
    return replace(trace, nodes=nodes)


def only_deployed(trace: Trace) -> Trace:
    """What of a trace is deployed, or known to be at a stage, and the ways there from the start."""
    into: dict[int, list[int]] = {}
    for edge in trace.edges:
        far = trace.far_end(edge)
        into.setdefault(far, []).append(edge.input if far == edge.output else edge.output)
    kept = {trace.start}
    frontier = [number for number, node in trace.nodes.items() if node.deployed or node.stages]
    kept.update(frontier)
    while frontier:
        for near in into.get(frontier.pop(), []):
            if near not in kept:
                kept.add(near)
                frontier.append(near)
    nodes = {number: node for number, node in trace.nodes.items() if number in kept}
    edges = tuple(e for e in trace.edges if e.input in kept and e.output in kept)
    return replace(trace, nodes=nodes, edges=edges)
