"""A trace as a tree, a table, JSON, Graphviz dot or Mermaid; and what of it runs, likewise."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from stemma_attestations.times import format_time
from stemma_cli import output, reports
from stemma_registry.lineage.trace import Direction, Trace, TraceEdge, TraceNode

PICTURED = 5  # places that a node of a picture has room for
Paths = Sequence[Sequence[TraceEdge]] | None


def show(trace: Trace, paths: Paths, form: str) -> None:
    """Print a trace in one of the formats of `stemma trace --format`."""
    formats: dict[str, Callable[[Trace, Paths], None]] = {
        "tree": _tree,
        "table": _table,
        "json": _json,
        "dot": _dot,
        "mermaid": _mermaid,
    }
    formats[form](trace, paths)


def show_deployed(trace: Trace, form: str) -> None:
    """Print what of a trace is deployed (`lineage.whereabouts.only_deployed`), likewise."""
    if form == "tree":
        _tree(trace, None, places=True)
    elif form == "table":
        _places(trace)
    elif form == "json":
        _json(trace, None)
    else:
        {"dot": _dot, "mermaid": _mermaid}[form](trace, None, places=True)


def _word(edge: TraceEdge) -> str:
    """What stands behind an edge, for people."""
    if not edge.words:
        return str(edge.assurance)
    best = edge.words[0]
    return f"{best.assurance} by {best.signer}, {best.fact.bundle.value[:12]}"


def _relation(edge: TraceEdge) -> str:
    return f"{edge.relation} {edge.path}" if edge.path else edge.relation


def _name(node: TraceNode) -> str:
    kind = f"  {node.kind}" if node.kind else ""
    stopped = "  QUARANTINED" if node.quarantined else ""
    erased = f"  ERASED ({'; '.join(node.erased)})" if node.erased else ""
    runs = f"  {reports.summary(node.deployed).upper()}" if node.deployed else ""
    return f"{node.label}{kind}{stopped}{erased}{runs}"


def _tree(trace: Trace, paths: Paths, places: bool = False) -> None:
    output.line(_name(trace.nodes[trace.start]))
    for one in trace.nodes[trace.start].deployed if places else ():
        output.line(f"  {reports.line(one)}")
    if paths is not None:
        _print_paths(trace, paths)
        return
    shown = {trace.start}
    # Depth first, by hand: a chain may be longer than Python's stack.
    stack = _branches(trace, trace.start, "")
    while stack:
        edge, prefix, last = stack.pop()
        node = trace.nodes[trace.far_end(edge)]
        again = node.id in shown and bool(trace.beyond(node.id))
        branch, below = ("└─ ", "   ") if last else ("├─ ", "│  ")
        output.line(f"{prefix}{branch}{_name(node)}{'  (see above)' if again else ''}")
        bar = "│  " if not again and trace.beyond(node.id) else "   "
        output.line(f"{prefix}{below}{bar}{_relation(edge)}: {_word(edge)}")
        for one in node.deployed if places and node.id not in shown else ():
            output.line(f"{prefix}{below}{bar}{reports.line(one)}")
        if not again:
            shown.add(node.id)
            stack += _branches(trace, node.id, prefix + below)
    if places:
        output.line(_count(trace))
        return
    count = len(trace.nodes) - 1
    way = "downstream" if trace.direction is Direction.DOWN else "upstream"
    output.line(f"{count} {way}, as of ledger entry {trace.entry}")


def _count(trace: Trace) -> str:
    found = [one for node in trace.nodes.values() for one in node.deployed]
    counts, others = [one for one in found if one.believed], [1 for o in found if not o.believed]
    hosts, names = {one.spot.host for one in counts}, {one.node for one in counts}
    doubt = f" ({len(others)} more records are not believed)" if others else ""
    where = reports.hosts(len(hosts))
    return f"{len(names)} deployed, on {where}{doubt}, as of ledger entry {trace.entry}"


def _ways(trace: Trace) -> dict[int, list[str]]:
    """The shortest way to each node from the start, by labels."""
    beyond: dict[int, list[int]] = {}
    for edge in trace.edges:
        far = trace.far_end(edge)
        beyond.setdefault(edge.input if far == edge.output else edge.output, []).append(far)
    ways = {trace.start: [trace.nodes[trace.start].label]}
    frontier = [trace.start]
    while frontier:
        following = []
        for near in frontier:
            for far in beyond.get(near, []):
                if far not in ways:
                    ways[far] = [*ways[near], trace.nodes[far].label]
                    following.append(far)
        frontier = following
    return ways


def _places(trace: Trace) -> None:
    ways = _ways(trace)
    rows = [
        [
            str(node.depth),
            str(one.name),
            *(one.spot.host, one.spot.service or "-", one.spot.stage or "-", str(one.state)),
            format_time(one.since),
            one.by + ("" if one.believed else " (NOT BELIEVED)"),
            " > ".join(ways.get(node.id, [])),
        ]
        for node in trace.nodes.values()
        for one in node.deployed
    ]
    heads = ["DEPTH", "NAME", "HOST", "SERVICE", "STAGE", "STATE", "SINCE", "BY", "PATH"]
    output.table(heads, rows)


def _branches(trace: Trace, node: int, prefix: str) -> list[tuple[TraceEdge, str, bool]]:
    """The edges beyond a node, last first, as the stack wants them."""
    edges = trace.beyond(node)
    return [(edge, prefix, i == 0) for i, edge in enumerate(reversed(edges))]


def _print_paths(trace: Trace, paths: Sequence[Sequence[TraceEdge]]) -> None:
    for number, path in enumerate(paths, 1):
        output.line(f"path {number}, {len(path)} edge{'s' if len(path) != 1 else ''}")
        for edge in path:
            output.line(f"  {_name(trace.nodes[edge.output])}")
            output.line(f"    {_relation(edge)} {trace.nodes[edge.input].label}: {_word(edge)}")


def _table(trace: Trace, _: Paths) -> None:
    rows = []
    for edge in sorted(trace.edges, key=lambda e: trace.nodes[trace.far_end(e)].depth):
        far = trace.nodes[trace.far_end(edge)]
        near = trace.nodes[edge.input if far.id == edge.output else edge.output]
        rows.append(
            [
                str(far.depth),
                far.label + (f" ({reports.summary(far.deployed)})" if far.deployed else ""),
                far.kind or "-",
                _relation(edge),
                near.label,
                str(edge.assurance),
                edge.words[0].signer if edge.words else "-",
            ]
        )
    other = "INPUT" if trace.direction is Direction.DOWN else "OUTPUT"
    output.table(["DEPTH", "NODE", "KIND", "RELATION", other, "ASSURANCE", "SIGNER"], rows)


def _json(trace: Trace, paths: Paths) -> None:
    document: dict[str, Any] = {
        "start": str(trace.nodes[trace.start].digest),
        "direction": str(trace.direction),
        "entry": trace.entry,
        "nodes": [
            {
                "digest": str(node.digest),
                "label": node.label,
                "kind": node.kind,
                "names": list(node.names),
                "depth": node.depth,
                "quarantined": node.quarantined,
                "erased": list(node.erased),
                "deployed": [reports.document(one) for one in node.deployed],
            }
            for node in trace.nodes.values()
        ],
        "edges": [_edge(trace, edge) for edge in trace.edges],
    }
    document["left_out"] = trace.left_out
    if paths is not None:
        document["ways"] = trace.ways
        document["paths"] = [[_edge(trace, edge) for edge in path] for path in paths]
    output.document(document)


def _edge(trace: Trace, edge: TraceEdge) -> dict[str, Any]:
    return {
        "input": str(trace.nodes[edge.input].digest),
        "output": str(trace.nodes[edge.output].digest),
        "relation": edge.relation,
        "assurance": str(edge.assurance),
        "path": edge.path,
        "statements": [
            {
                "bundle": str(word.fact.bundle),
                "predicate_type": word.fact.predicate_type,
                "signer": word.signer,
                "key_id": word.fact.signer,
                "assurance": str(word.assurance),
                "about": word.fact.about,
                "entry": word.fact.n,
            }
            for word in edge.words
        ],
    }


def _dot(trace: Trace, _: Paths, places: bool = False) -> None:
    output.line("digraph lineage {")
    output.line("  rankdir=LR; node [shape=box];")
    for node in trace.nodes.values():
        colour = ", color=red" if node.quarantined else ""
        lines = (node.label, node.kind or "", *_runs(node, places))
        label = json.dumps("\n".join(filter(None, lines)), ensure_ascii=False)
        output.line(f"  n{node.id} [label={label}{colour}];")
    for edge in trace.edges:
        label = json.dumps(_relation(edge), ensure_ascii=False)
        style = "solid" if edge.assurance in ("attested", "contains") else "dashed"
        output.line(f"  n{edge.input} -> n{edge.output} [label={label}, style={style}];")
    output.line("}")


def _mermaid(trace: Trace, _: Paths, places: bool = False) -> None:
    output.line("flowchart LR")
    for node in trace.nodes.values():
        lines = [_entity(line) for line in (node.label, *_runs(node, places))]
        output.line(f'  n{node.id}["{"<br>".join(lines)}"]')
    for edge in trace.edges:
        arrow = "-->" if edge.assurance in ("attested", "contains") else "-.->"
        output.line(f'  n{edge.input} {arrow}|"{_entity(_relation(edge))}"| n{edge.output}')
    stopped = [f"n{node.id}" for node in trace.nodes.values() if node.quarantined]
    if stopped:
        output.line("  classDef stopped stroke:#c00,stroke-width:3px")
        output.line(f"  class {','.join(stopped)} stopped")


def _runs(node: TraceNode, places: bool) -> list[str]:
    """What a picture says about where a node is deployed."""
    if not node.deployed:
        return []
    shown = [reports.line(one) for one in node.deployed[:PICTURED]] if places else []
    more = len(node.deployed) - PICTURED
    return [
        reports.summary(node.deployed),
        *shown,
        *([f"and {more} more"] if places and more > 0 else []),
    ]


def _entity(text: str) -> str:
    """`text` inside Mermaid's quotes."""
    special = {"&": "#amp;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "#": "#35;"}
    return "".join(special.get(character, character) for character in text)
