"""A trace as CSV (RFC 4180): a row for the start, and one for each edge with the node beyond it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from stemma_registry.drawing.text import visible
from stemma_registry.lineage.trace import Trace, TraceEdge, TraceNode

HEADERS = (
    *("depth", "node", "kind", "digest", "names", "quarantined", "erased"),
    *("deployed_hosts", "deployed_stages", "said_hosts"),
    *("relation", "file", "near", "near_digest"),
    *("assurance", "signer", "statement", "entry", "statements"),
)
# What makes a spreadsheet take a cell for a formula (OWASP, "CSV injection").
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")


def rows(trace: Trace) -> Iterator[str]:
    """The lines, headers first, each with its CRLF."""
    yield _line(HEADERS)
    start = trace.nodes[trace.start]
    yield _line([*_node(start), *[""] * (len(HEADERS) - len(_node(start)))])
    for edge in sorted(trace.edges, key=lambda one: trace.nodes[trace.far_end(one)].depth):
        yield _line([*_node(trace.nodes[trace.far_end(edge)]), *_edge(trace, edge)])


def _node(node: TraceNode) -> list[str]:
    believed = [one for one in node.deployed if one.believed]
    hosts = {one.spot.host for one in believed}
    return [
        str(node.depth),
        node.label,
        node.kind or "",
        str(node.digest),
        " ".join(node.names),
        "yes" if node.quarantined else "no",
        "; ".join(node.erased),
        " ".join(sorted(hosts)),
        " ".join(sorted({one.spot.stage for one in believed if one.spot.stage})),
        " ".join(sorted({one.spot.host for one in node.deployed} - hosts)),
    ]


def _edge(trace: Trace, edge: TraceEdge) -> list[str]:
    near = trace.nodes[edge.input if trace.far_end(edge) == edge.output else edge.output]
    best = edge.words[0] if edge.words else None
    return [
        edge.relation,
        edge.path or "",
        near.label,
        str(near.digest),
        str(edge.assurance),
        best.signer if best else "",
        str(best.fact.bundle) if best else "",
        str(best.fact.n) if best else "",
        str(len(edge.words)),
    ]


def _line(cells: Sequence[str]) -> str:
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerow([_cell(cell) for cell in cells])
    return written.getvalue()


def _cell(text: str) -> str:
    """A cell that no spreadsheet computes."""
    guarded = f"'{text}" if text.startswith(_FORMULA) else text
    return visible(guarded)
