"""JSON Lines, CSV, DOT, Mermaid, CycloneDX and HTML, of plain traces and of hostile ones."""

from __future__ import annotations

import base64
import csv
import hashlib
import html.parser
import io
import json
import random
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from stemma_attestations.predicates import mlbom_schema
from stemma_registry.drawing import bom, documents, graphs, page, rows
from stemma_registry.drawing.text import visible
from stemma_registry.errors import Refused
from stemma_registry.lineage.trace import Direction, Trace
from tests.drawing.making import HOSTILE, heavy, hostile

QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')


def both() -> list[Trace]:
    return [heavy(60), heavy(60, direction=Direction.UP), hostile()]


def test_hidden_characters_are_written_out() -> None:
    assert visible("models/qa:1 é 漢") == "models/qa:1 é 漢"
    assert visible("a\u202eb\x00\ud800\U000e0001\n") == "a\\u202eb\\u0000\\ud800\\U000e0001\\u000a"


@pytest.mark.parametrize("trace", both())
def test_jsonl_has_everything_and_says_when_it_ends(trace: Trace) -> None:
    paths = [[trace.edges[0]]]
    lines = list(documents.lines(trace, paths))
    assert all("\n" not in line and line.isascii() for line in lines)
    found = [json.loads(line) for line in lines]
    whole = documents.whole(trace, paths)
    assert found[0] == {
        "type": "trace",
        "start": whole["start"],
        "direction": whole["direction"],
        "entry": whole["entry"],
    }

    def of(kind: str) -> list[dict[str, Any]]:
        some = (one for one in found if one["type"] == kind)
        return [{key: value for key, value in one.items() if key != "type"} for one in some]

    assert (of("node"), of("edge")) == (whole["nodes"], whole["edges"])
    assert [one["edges"] for one in of("path")] == whole["paths"]
    assert found[-1] == {
        "type": "end",
        "nodes": len(trace.nodes),
        "edges": len(trace.edges),
        "left_out": 0,
        "paths": 1,
        "ways": None,
    }


@pytest.mark.parametrize("trace", both())
def test_csv_has_a_row_for_each_edge_and_no_formula(trace: Trace) -> None:
    text = "".join(rows.rows(trace))
    assert text.count("\r\n") == len(text.splitlines()) == len(trace.edges) + 2
    found = list(csv.DictReader(io.StringIO(text, newline="")))
    assert len(found) == len(trace.edges) + 1
    assert found[0]["digest"] == str(trace.nodes[trace.start].digest)
    assert found[0]["relation"] == ""
    edges = {
        (str(trace.nodes[trace.far_end(e)].digest), e.relation.lstrip("=+-@")) for e in trace.edges
    }
    assert len({(one["digest"], one["relation"]) for one in found[1:]}) == len(edges)
    cells = [cell for one in found for cell in one.values()]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


def test_csv_says_where_it_runs() -> None:
    trace = heavy(60)
    running = [node for node in trace.nodes.values() if node.deployed]
    found = list(csv.DictReader(io.StringIO("".join(rows.rows(trace)))))
    for node in running:
        (one, *_) = [one for one in found if one["digest"] == str(node.digest)]
        assert one["deployed_hosts"].split() == sorted({d.spot.host for d in node.deployed})


@pytest.mark.parametrize("trace", both())
def test_dot_keeps_text_in_quotes(trace: Trace) -> None:
    text = "\n".join(graphs.dot(trace, with_places=True))
    outside = QUOTED.sub('""', text)
    assert re.fullmatch(r'[\w\s{}\[\];="",>-]*', outside), outside
    assert outside.count("->") == len(trace.edges)
    assert outside.count("peripheries") == sum(node.quarantined for node in trace.nodes.values())
    for label in QUOTED.findall(text):
        assert re.fullmatch(r'(?:[^\\&]|\\\\|\\"|\\n|&amp;)*', label), label


@pytest.mark.parametrize("trace", both())
def test_mermaid_keeps_text_in_quotes(trace: Trace) -> None:
    text = "\n".join(graphs.mermaid(trace, with_places=True))
    labels = re.findall(r'"([^"]*)"', text)
    assert len(labels) == len(trace.nodes) + len(trace.edges)
    for label in labels:
        plain = re.sub(r"#(?:amp|quot|lt|gt|\d+);", "", label.replace("<br>", ""))
        assert not set(plain) & set("<>&#`%{}$\\|\n"), label
    shape = re.compile(
        r'flowchart LR|  n\d+\[""\]|  n\d+ (?:-->|-\.->)\|""\| n\d+|  class(?:Def)? [\w ,:#-]+'
    )
    for line in re.sub(r'"[^"]*"', '""', text).splitlines():
        assert shape.fullmatch(line), line


@pytest.mark.parametrize("trace", both())
def test_cyclonedx_is_valid_and_has_every_node_and_edge(trace: Trace) -> None:
    document = bom.build(trace)
    mlbom_schema.check(document)
    assert document == bom.build(trace)
    components = [document["metadata"]["component"], *document["components"]]
    assert {one["bom-ref"] for one in components} == {str(n.digest) for n in trace.nodes.values()}
    wanted: dict[str, set[str]] = {}
    for edge in trace.edges:
        ends = (str(trace.nodes[edge.output].digest), str(trace.nodes[edge.input].digest))
        wanted.setdefault(ends[0], set()).add(ends[1])
    found = {
        one["ref"]: set(one["dependsOn"]) for one in document["dependencies"] if "dependsOn" in one
    }
    assert found == wanted
    said = [
        json.loads(p["value"])
        for one in components
        for p in one["properties"]
        if p["name"] == "stemma:edge"
    ]
    assert len(said) == len(trace.edges)
    assert {one["assurance"] for one in said} == {str(edge.assurance) for edge in trace.edges}
    stopped = sum(
        {"name": "stemma:quarantined", "value": "true"} in one["properties"] for one in components
    )
    assert stopped == sum(node.quarantined for node in trace.nodes.values())


class Elements(html.parser.HTMLParser):
    """The elements of a page, and what is in its scripts and style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag
        if tag in self.raw:
            self.raw[tag].append("")

    def handle_data(self, data: str) -> None:
        if self.inside in self.raw:
            self.raw[self.inside][-1] += data

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""


def digest_of(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def test_a_page_allows_its_own_script_and_nothing_else() -> None:
    pages = [Elements(page.page(trace)) for trace in (hostile(), heavy(20))]
    # The same elements, whatever the names are.
    assert [tag for tag, _ in pages[0].found] == [tag for tag, _ in pages[1].found]
    for one in pages:
        policy = next(a["content"] for t, a in one.found if t == "meta" and "http-equiv" in a)
        data, script = one.raw["script"]
        (style,) = one.raw["style"]
        assert policy == (
            f"default-src 'none'; script-src 'sha256-{digest_of(script)}'; "
            f"style-src 'sha256-{digest_of(style)}'; base-uri 'none'; form-action 'none'"
        )
        assert json.loads(data)["entry"] in (5, 4711)
        assert not {"src", "href", "style"} & {
            name for tag, attributes in one.found if tag != "a" for name in attributes
        }
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(|fetch\(", script
        )


def test_a_page_holds_hostile_text_as_text() -> None:
    text = page.page(hostile())
    data = json.loads(Elements(text).raw["script"][0])
    assert [one["label"] for one in data["nodes"][1:]] == [visible(one) for one in HOSTILE]
    assert "document.title='owned'</script>" not in text


def test_what_is_too_much_for_a_page_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = type(page.LIMITS)
    for small in ({"drawn_nodes": 19}, {"drawn_edges": 5}):
        monkeypatch.setattr(page, "LIMITS", limits(**small))
        with pytest.raises(Refused, match="too much for a page"):
            page.page(heavy(20))


@pytest.mark.parametrize(
    "draw", [lambda t: "".join(rows.rows(t)), page.page, bom.build, documents.whole]
)
def test_a_trace_of_one_node(draw: Callable[[Trace], object]) -> None:
    trace = heavy(2)
    alone = Trace(1, Direction.DOWN, {1: trace.nodes[1]}, (), 3)
    assert draw(alone)


def _made_anew(trace: Trace, dice: random.Random) -> Trace:
    """The same of a catalogue whose rows came in another order."""
    ids = dict(zip(trace.nodes, dice.sample(range(10**6), len(trace.nodes)), strict=True))
    edges = tuple(e._replace(input=ids[e.input], output=ids[e.output]) for e in trace.edges)
    nodes = {ids[i]: node._replace(id=ids[i]) for i, node in trace.nodes.items()}
    return replace(trace, start=ids[trace.start], nodes=nodes, edges=edges)


@pytest.mark.parametrize("trace", both())
@pytest.mark.parametrize(
    "written",
    [
        lambda trace: [*documents.lines(trace)],
        lambda trace: [*rows.rows(trace)],
        lambda trace: [*graphs.dot(trace, with_places=True)],
        lambda trace: [*graphs.mermaid(trace, with_places=True)],
        bom.build,
        page.page,
    ],
    ids=["jsonl", "csv", "dot", "mermaid", "cyclonedx", "html"],
)
def test_row_ids_are_nothing_that_is_written(
    trace: Trace, written: Callable[[Trace], object]
) -> None:
    assert written(_made_anew(trace, random.Random(1))) == written(trace)
