"""A trace as one HTML file that needs nothing else: no server, no network, no other file.

Everything of the trace is in a JSON block, which the script puts on the page as text only. The
Content Security Policy lets exactly this script and this style sheet run (by digest) and forbids
every request, so that a hostile name that found a way through could still do nothing.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from stemma_attestations import __version__
from stemma_attestations.relations import CONTAINS, propagates
from stemma_registry.config import LIMITS
from stemma_registry.drawing import documents, places
from stemma_registry.drawing.layout import HEIGHT, WIDTH, Layout, Point, place
from stemma_registry.drawing.text import visible
from stemma_registry.errors import Refused
from stemma_registry.lineage.trace import Direction, Trace, TraceEdge, TraceNode

_SCRIPTS = ("model.js", "picture.js", "panel.js", "page.js")


def page(trace: Trace, paths: documents.Paths = None) -> str:
    """The whole file. Raises Refused for a trace that is too large to be drawn."""
    if len(trace.nodes) > LIMITS.drawn_nodes or len(trace.edges) > LIMITS.drawn_edges:
        raise Refused(
            f"{len(trace.nodes)} nodes and {len(trace.edges)} edges are too much for a page, which "
            f"takes {LIMITS.drawn_nodes} and {LIMITS.drawn_edges}: ask for less, or for jsonl"
        )
    style = _file("page.css")
    script = "(() => {\n" + "".join(map(_file, _SCRIPTS)) + "})();\n"
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "base-uri 'none'; form-action 'none'"
    )
    title = escape(visible(trace.nodes[trace.start].label))
    parts = {
        "POLICY": policy,
        "TITLE": title,
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _in_script(_data(trace, paths)),
    }
    # Cut at the marks, not replaced one after the other: a name may look like a mark.
    pieces = _file("page.html").split("@@")
    return "".join(parts[piece] if i % 2 else piece for i, piece in enumerate(pieces))


def _file(name: str) -> str:
    source = resources.files("stemma_registry").joinpath("data", "page", name)
    return source.read_text(encoding="utf-8")


def _digest(text: str) -> str:
    """What a Content Security Policy calls an inline script or style sheet."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _in_script(value: Any) -> str:
    """JSON that cannot end, or comment out, the element that it is in."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _data(trace: Trace, paths: documents.Paths) -> dict[str, Any]:
    index = {number: i for i, number in enumerate(trace.nodes)}
    pairs: dict[tuple[int, int], list[int]] = {}
    for i, edge in enumerate(trace.edges):
        far = trace.far_end(edge)
        near = edge.input if far == edge.output else edge.output
        pairs.setdefault((near, far), []).append(i)
    leftward = trace.direction is Direction.UP
    drawn = place(list(trace.nodes), list(pairs), trace.start, leftward)
    return {
        "version": __version__,
        "direction": str(trace.direction),
        "entry": trace.entry,
        "start": index[trace.start],
        "selected": index[paths[0][-1].output] if paths and paths[0] else None,
        "box": [drawn.width, drawn.height],
        "size": [WIDTH, HEIGHT],
        "nodes": [_node(node, drawn) for node in trace.nodes.values()],
        "edges": [_edge(trace, edge, index) for edge in trace.edges],
        "pairs": [
            {
                "near": index[near],
                "far": index[far],
                "edges": edges,
                "line": curve(_route(drawn, near, far, leftward)),
            }
            for (near, far), edges in pairs.items()
        ],
    }


def _route(drawn: Layout, near: int, far: int, leftward: bool) -> Sequence[Point]:
    """From the input to the output, whichever of them is nearer to the start."""
    route = drawn.routes.get((near, far))
    if route is None:  # a loop
        x, y = drawn.nodes[near]
        return [(x + WIDTH - 30, y), (x + WIDTH - 10, y - 12), (x + WIDTH + 6, y + 8)]
    return route[::-1] if leftward else route


def curve(points: Sequence[Point]) -> str:
    """An SVG path through points, level at each of them."""
    x, y = points[0]
    parts = [f"M{x} {y}"]
    for right, below in points[1:]:
        if below == y:
            parts.append(f"H{right}")
        else:
            middle = (x + right) // 2
            parts.append(f"C{middle} {y} {middle} {below} {right} {below}")
        x, y = right, below
    return "".join(parts)


def _node(node: TraceNode, drawn: Layout) -> dict[str, Any]:
    x, y = drawn.nodes[node.id]
    document = documents.node(node)
    runs = [
        {**each, "place": places.place(one)}
        for each, one in zip(document["deployed"], node.deployed, strict=True)
    ]
    believed = {one.spot.host for one in node.deployed if one.believed}
    drawn_node = {**document, "deployed": runs, "hosts": len(believed), "x": x, "y": y}
    return {key: _seen(value) for key, value in drawn_node.items()}


def _edge(trace: Trace, edge: TraceEdge, index: dict[int, int]) -> dict[str, Any]:
    far = trace.far_end(edge)
    document = documents.edge(trace, edge)
    said = {key: document[key] for key in ("relation", "assurance", "path", "statements")}
    return {
        **{key: _seen(value) for key, value in said.items()},
        "input": index[edge.input],
        "output": index[edge.output],
        "near": index[edge.input if far == edge.output else edge.output],
        "far": index[far],
        "flows": edge.relation == CONTAINS or propagates(edge.relation),
    }


def _seen(value: Any) -> Any:
    """A value whose texts hide nothing."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, dict):
        return {key: _seen(item) for key, item in value.items()}
    return [_seen(item) for item in value] if isinstance(value, list) else value
