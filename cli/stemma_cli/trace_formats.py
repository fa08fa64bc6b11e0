"""A trace as a tree or a table; other formats are drawn by `stemma_registry.drawing`."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import click

from stemma_attestations.times import format_time
from stemma_cli import output, reports
from stemma_registry.drawing import documents, graphs, rows
from stemma_registry.lineage.trace import Direction, Trace, TraceEdge, TraceNode

Paths = Sequence[Sequence[TraceEdge]] | None


def show(trace: Trace, paths: Paths, form: str) -> None:
    """Print a trace in one of the formats of `stemma trace --format`. Raises Refused."""
    if form == "tree":
        _tree(trace, paths)
    elif form == "table":
        _table(trace)
    else:
        _drawn(trace, paths, form, places=False)


def show_deployed(trace: Trace, form: str, stage: str | None = None) -> None:
    """Print what of a trace is deployed (`lineage.whereabouts.only_deployed`), likewise."""
    if form == "tree":
        _tree(trace, None, places=True, stage=stage)
    elif form == "table":
        _places(trace)
    else:
        _drawn(trace, None, form, places=True)


def _drawn(trace: Trace, paths: Paths, form: str, places: bool) -> None:
    """The formats that other programs read; what comes from others is escaped there."""
    if form == "json":
        output.document(documents.whole(trace, paths))
    elif form == "html":
        from stemma_registry.drawing import page

        _echo([page.page(trace, paths)], end="")
    elif form == "cyclonedx":
        from stemma_registry.drawing import bom

        output.document(bom.build(trace))
    elif form == "csv":
        _echo(rows.rows(trace), end="")
    elif form == "jsonl":
        _echo(documents.lines(trace, paths))
    else:
        _echo(graphs.dot(trace, places) if form == "dot" else graphs.mermaid(trace, places))


def _echo(lines: Iterable[str], end: str = "\n") -> None:
    """Lines as they come, in UTF-8 whatever the terminal's is, with their own ends."""
    every = iter(lines)
    while some := list(itertools.islice(every, 500)):
        click.echo("".join(f"{line}{end}" for line in some).encode(), nl=False)


def _word(edge: TraceEdge) -> str:
    """What stands behind an edge, for people."""
    if not edge.words:
        return str(edge.assurance)
    best = edge.words[0]
    said = "" if best.mark == "exact" else f", {best.mark}"
    return f"{best.assurance} by {best.signer}, {best.fact.bundle.value[:12]}{said}"


def _name(node: TraceNode) -> str:
    kind = f"  {node.kind}" if node.kind else ""
    stopped = "".join(f"  {reports.mark(one)}" for one in node.marks)
    erased = f"  ERASED ({'; '.join(node.erased)})" if node.erased else ""
    runs = f"  {reports.summary(node.deployed).upper()}" if node.deployed else ""
    held = f"  AT {', '.join(node.stages)}" if node.stages else ""
    return f"{node.label}{kind}{stopped}{erased}{held}{runs}"


def _tree(trace: Trace, paths: Paths, places: bool = False, stage: str | None = None) -> None:
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
        output.line(f"{prefix}{below}{bar}{graphs.relation(edge)}: {_word(edge)}")
        for one in node.deployed if places and node.id not in shown else ():
            output.line(f"{prefix}{below}{bar}{reports.line(one)}")
        if not again:
            shown.add(node.id)
            stack += _branches(trace, node.id, prefix + below)
    if places:
        output.line(_count(trace, stage))
        return
    count = len(trace.nodes) - 1
    way = "downstream" if trace.direction is Direction.DOWN else "upstream"
    output.line(f"{count} {way}, as of ledger entry {trace.entry}")


def _count(trace: Trace, stage: str | None) -> str:
    found = [one for node in trace.nodes.values() for one in node.deployed]
    counts, others = [one for one in found if one.believed], [1 for o in found if not o.believed]
    hosts, names = {one.spot.host for one in counts}, {one.node for one in counts}
    doubt = f" ({len(others)} more records are not believed)" if others else ""
    where = reports.hosts(len(hosts))
    staged = sum(bool(node.stages) for node in trace.nodes.values())
    at = f"{staged} at {stage}, " if stage is not None else ""
    return f"{at}{len(names)} deployed, on {where}{doubt}, as of ledger entry {trace.entry}"


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
    found = [
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
    output.table(heads, found)


def _branches(trace: Trace, node: int, prefix: str) -> list[tuple[TraceEdge, str, bool]]:
    """The edges beyond a node, last first, as the stack wants them."""
    edges = trace.beyond(node)
    return [(edge, prefix, i == 0) for i, edge in enumerate(reversed(edges))]


def _print_paths(trace: Trace, paths: Sequence[Sequence[TraceEdge]]) -> None:
    for number, path in enumerate(paths, 1):
        output.line(f"path {number}, {len(path)} edge{'s' if len(path) != 1 else ''}")
        for edge in path:
            output.line(f"  {_name(trace.nodes[edge.output])}")
            output.line(
                f"    {graphs.relation(edge)} {trace.nodes[edge.input].label}: {_word(edge)}"
            )


def _table(trace: Trace) -> None:
    found = []
    for edge in sorted(trace.edges, key=lambda e: trace.nodes[trace.far_end(e)].depth):
        far = trace.nodes[trace.far_end(edge)]
        near = trace.nodes[edge.input if far.id == edge.output else edge.output]
        found.append(
            [
                str(far.depth),
                far.label + (f" ({reports.summary(far.deployed)})" if far.deployed else ""),
                far.kind or "-",
                graphs.relation(edge),
                near.label,
                str(edge.assurance),
                edge.words[0].signer if edge.words else "-",
            ]
        )
    other = "INPUT" if trace.direction is Direction.DOWN else "OUTPUT"
    output.table(["DEPTH", "NODE", "KIND", "RELATION", other, "ASSURANCE", "SIGNER"], found)
