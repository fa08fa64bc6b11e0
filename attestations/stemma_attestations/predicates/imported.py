"""`urn:stemma:import:v0.1`: what an unsigned document of another tool says came from what.

See docs/formats/import.md. The subject is the document. Whoever signs vouches for having
seen it, and not for what it says: its edges are claims.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from stemma_attestations.digest import Digest
from stemma_attestations.errors import BadName, BadStatement
from stemma_attestations.named import Named
from stemma_attestations.named import parse as parse_name
from stemma_attestations.statement import ResourceDescriptor, text

TYPE = "urn:stemma:import:v0.1"
SOURCES = ("hugging-face-card", "openlineage", "dvc", "mlflow", "git-tags")
MARKS = ("exact", "cartesian", "name-based")
MAX_EDGES = 100_000


@dataclass(frozen=True, order=True)
class Claim:
    """`output` came from `input`; `name` is NAME:VERSION of the input where it has one."""

    output: Digest
    relation: str
    input: Digest
    mark: str = "exact"
    name: str | None = None


@dataclass(frozen=True)
class Imported:
    """What was read out of a document, by a reader of `source`."""

    source: str
    edges: tuple[Claim, ...]


def build(source: str, edges: Iterable[Claim]) -> dict[str, Any]:
    """The predicate, the same for the same edges. Raises BadStatement."""
    ordered = sorted(set(edges), key=lambda e: (str(e.output), e.relation, str(e.input), e.mark))
    if source not in SOURCES:
        raise BadStatement(f"unknown source {source!r:.40} (one of {', '.join(SOURCES)})")
    if len(ordered) > MAX_EDGES:
        raise BadStatement(f"{len(ordered)} edges, at most {MAX_EDGES} are read of one document")
    return {"source": source, "edges": [_edge_json(edge) for edge in ordered]}


def parse(predicate: Mapping[str, Any]) -> Imported:
    """Read the predicate. Raises BadStatement."""
    source, edges = text(predicate, "source"), predicate.get("edges")
    if not source or not isinstance(edges, list) or len(edges) > MAX_EDGES:
        raise BadStatement(f"an import has a source and at most {MAX_EDGES} edges")
    return Imported(source, tuple(_edge(edge) for edge in edges))


def _edge_json(edge: Claim) -> dict[str, Any]:
    document: dict[str, Any] = {
        "output": _thing(edge.output),
        "relation": edge.relation,
        "input": _thing(edge.input, edge.name),
    }
    return document if edge.mark == MARKS[0] else {**document, "mark": edge.mark}


def _thing(thing: Digest, name: str | None = None) -> dict[str, Any]:
    if isinstance(thing, Named):
        return {"uri": thing.text}
    return ResourceDescriptor(name=name, digests=(thing,)).to_json()


def _edge(obj: object) -> Claim:
    if not isinstance(obj, dict):
        raise BadStatement("an edge of an import is an object")
    relation, mark = text(obj, "relation"), text(obj, "mark") or MARKS[0]
    if not relation or mark not in MARKS:
        raise BadStatement("an edge of an import has a relation, and a mark that is known")
    output, _ = _read_thing(obj.get("output"))
    source, name = _read_thing(obj.get("input"))
    return Claim(output, relation, source, mark, name)


def _read_thing(obj: object) -> tuple[Digest, str | None]:
    descriptor = ResourceDescriptor.parse(obj)
    digest = descriptor.digest("sha256") or descriptor.digest("gitCommit")
    if digest is not None:
        return digest, descriptor.name
    try:
        return parse_name(descriptor.uri or ""), None
    except BadName as error:
        raise BadStatement(f"an end of an imported edge: {error}") from error
