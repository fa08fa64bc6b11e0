"""A trace for programs that draw graphs: Graphviz (DOT) and Mermaid."""

from __future__ import annotations

from collections.abc import Iterator

from stemma_registry.drawing import places
from stemma_registry.drawing.text import visible
from stemma_registry.lineage.trace import Trace, TraceEdge, TraceNode

PICTURED = 5  # places that a node of a picture has room for
# Inside Mermaid's quotes: its entities; what begins Markdown, directives (`%%{`), mathematics
# and line breaks means something there too.
_MERMAID = {
    "&": "#amp;",
    '"': "#quot;",
    "<": "#lt;",
    ">": "#gt;",
    **{c: f"#{ord(c)};" for c in "#`%{}$\\|"},
}


def dot(trace: Trace, with_places: bool = False) -> Iterator[str]:
    """Lines of DOT. https://graphviz.org/doc/info/lang.html"""
    yield "digraph lineage {"
    yield "  rankdir=LR; node [shape=box];"
    at = _called(trace)
    for node in trace.nodes.values():
        label = _dot_label((node.label, node.kind or "", *_runs(node, with_places)))
        marks = ", color=red, peripheries=2" if node.quarantined else ""
        yield f"  {at[node.id]} [label={label}{marks}];"
    for edge in trace.edges:
        style = "solid" if edge.assurance in ("attested", "contains") else "dashed"
        label = _dot_label((relation(edge),))
        yield f"  {at[edge.input]} -> {at[edge.output]} [label={label}, style={style}];"
    yield "}"


def mermaid(trace: Trace, with_places: bool = False) -> Iterator[str]:
    """Lines of a Mermaid flowchart. https://mermaid.js.org/syntax/flowchart.html"""
    yield "flowchart LR"
    at = _called(trace)
    for node in trace.nodes.values():
        lines = [_entities(line) for line in (node.label, *_runs(node, with_places))]
        yield f'  {at[node.id]}["{"<br>".join(lines)}"]'
    for edge in trace.edges:
        arrow = "-->" if edge.assurance in ("attested", "contains") else "-.->"
        yield f'  {at[edge.input]} {arrow}|"{_entities(relation(edge))}"| {at[edge.output]}'
    stopped = [at[node.id] for node in trace.nodes.values() if node.quarantined]
    if stopped:
        yield "  classDef stopped stroke:#c00,stroke-width:3px"
        yield f"  class {','.join(stopped)} stopped"


def _called(trace: Trace) -> dict[int, str]:
    """What nodes are called, by their place: a catalogue made anew has other row ids."""
    return {node: f"n{place}" for place, node in enumerate(trace.nodes, 1)}


def relation(edge: TraceEdge) -> str:
    """The relation, and for containment the file."""
    return f"{edge.relation} {edge.path}" if edge.path else edge.relation


def _runs(node: TraceNode, with_places: bool) -> list[str]:
    """What a picture says about where a node is deployed, and about a stop."""
    stopped = [places.mark(one) for one in node.marks]
    if not node.deployed:
        return stopped
    shown = [places.line(one) for one in node.deployed[:PICTURED]] if with_places else []
    more = len(node.deployed) - PICTURED
    rest = [f"and {more} more"] if with_places and more > 0 else []
    return [*stopped, places.summary(node.deployed), *shown, *rest]


def _dot_label(lines: tuple[str, ...]) -> str:
    r"""A quoted label: `&` begins an entity there, and `\` an escape."""
    special = {"&": "&amp;", "\\": "\\\\", '"': '\\"'}
    written = (
        "".join(special.get(character, character) for character in visible(line))
        for line in lines
        if line
    )
    return '"' + "\\n".join(written) + '"'


def _entities(text: str) -> str:
    """`text` inside Mermaid's quotes."""
    return "".join(_MERMAID.get(character, character) for character in visible(text))
