"""Edges: what a statement says about what came from what, whatever tool wrote it.

    exact        the statement names this output and this input together
    cartesian    it names inputs and outputs, and not which went into which
    name-based   one of the two is known by a name only, which may mean other bytes tomorrow

Whoever signed, a name-based edge is a claim, and so is every edge of an import: the importer
saw a document, and nothing else (docs/formats/import.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from itertools import repeat
from typing import NamedTuple

from stemma_attestations.digest import NODES, Digest
from stemma_attestations.errors import BadName, BadStatement
from stemma_attestations.guarding import guarded
from stemma_attestations.marks import Mark
from stemma_attestations.named import is_name_only, parse
from stemma_attestations.predicates import (
    imported,
    lineage,
    link,
    mlbom_edges,
    provenance,
    slsa,
    spdx,
)
from stemma_attestations.predicates.provenance import Input
from stemma_attestations.relations import SAME_AS
from stemma_attestations.statement import ResourceDescriptor, Statement

MAX_EDGES = 1_000_000  # of one statement


class Edge(NamedTuple):
    """`output` came from `input`."""

    output: Digest
    input: Input
    mark: Mark


def of(statement: Statement) -> list[Edge]:
    """The edges of a statement; none where its type says nothing of inputs.

    Raises BadStatement for a predicate that breaks its schema, or says too many.
    """
    reader = _READERS.get(statement.predicate_type)
    if reader is None:
        return []
    return guarded(partial(reader, statement), BadStatement)


def of_build(statement: Statement, view: provenance.Provenance) -> list[Edge]:
    """The same of provenance whose predicate was parsed already."""
    return guarded(lambda: _materials(statement, view.materials), BadStatement)


def is_claim(mark: Mark, predicate_type: str) -> bool:
    """Whether an edge is a claim, whoever signed the statement of it."""
    return mark is Mark.NAMED or predicate_type == imported.TYPE


def both_ways(edges: Iterable[Edge]) -> list[Edge]:
    """The same, where what is said to be the same thing is so in both directions."""
    said = list(edges)
    if SAME_AS not in {edge.input.relation for edge in said}:
        return said
    found: list[Edge] = []
    for edge in said:
        found.append(edge)
        if edge.input.relation == SAME_AS and edge.input.digest != edge.output:
            found.append(Edge(edge.input.digest, Input(SAME_AS, edge.output), edge.mark))
    return found


def marked(output: Digest, item: Input, otherwise: Mark) -> Edge:
    """An edge with its mark."""
    by_name = is_name_only(output) or is_name_only(item.digest)
    return Edge(output, item, Mark.NAMED if by_name else otherwise)


def crossed(outputs: Sequence[Digest], inputs: Sequence[Input]) -> list[Edge]:
    """Every input into every output. Raises BadStatement for too many edges."""
    if len(outputs) * len(inputs) > MAX_EDGES:
        many = f"{len(outputs)} outputs of {len(inputs)} inputs"
        raise BadStatement(f"{many}: more than {MAX_EDGES} edges; the limit is a named one")
    mark = Mark.CARTESIAN if len(outputs) > 1 else Mark.EXACT
    return [marked(output, item, mark) for output in outputs for item in inputs]


def thing_of(descriptor: ResourceDescriptor) -> Digest | None:
    """What a resource descriptor names: by its bytes, by its URI, or nothing that can be told."""
    digest = descriptor.first(*NODES)
    if digest is not None or descriptor.uri is None:
        return digest
    if descriptor.uri.startswith("git+") and (sha1 := descriptor.digest("sha1")):
        return Digest("gitCommit", sha1.value)  # as provenance was written before gitCommit
    try:
        return parse(descriptor.uri)
    except BadName:
        return None


def subjects(statement: Statement) -> list[Digest]:
    """The outputs that a statement is about, each once."""
    found = (subject.first("sha256", "gitTree") for subject in statement.subjects)
    return list(dict.fromkeys(digest for digest in found if digest is not None))


def _materials(
    statement: Statement, materials: Sequence[ResourceDescriptor], relation: str | None = None
) -> list[Edge]:
    inputs: dict[Input, None] = {}
    for material in materials:
        thing = thing_of(material)
        if thing is not None:
            said = relation or provenance.relation_of(material, thing)
            inputs.setdefault(Input(said, thing, material.name))
    return crossed(subjects(statement), list(inputs))


def _lineage(statement: Statement) -> list[Edge]:
    said = lineage.parse(statement)
    outputs, inputs = ([edge[at] for edge in said] for at in (0, 1))
    return list(map(Edge._make, zip(outputs, inputs, repeat(Mark.EXACT), strict=False)))


def _provenance(statement: Statement) -> list[Edge]:
    return _materials(statement, provenance.parse(statement.predicate).materials)


def _old_provenance(statement: Statement) -> list[Edge]:
    return _materials(statement, slsa.materials(statement.predicate))


def _link(statement: Statement) -> list[Edge]:
    own = set(subjects(statement))
    found = _materials(statement, link.materials(statement.predicate))
    return [edge for edge in found if edge.input.digest not in own]


def _imported(statement: Statement) -> list[Edge]:
    said = imported.parse(statement.predicate).edges
    return [
        marked(one.output, Input(one.relation, one.input, one.name), Mark(one.mark)) for one in said
    ]


def _bom(statement: Statement) -> list[Edge]:
    return crossed(subjects(statement), mlbom_edges.inputs(statement.predicate))


def _spdx(statement: Statement) -> list[Edge]:
    said = spdx.relations(statement.predicate, subjects(statement))
    found = []
    for one in said:
        mark = Mark.CARTESIAN if one.crossed else Mark.EXACT
        found.append(marked(one.output, Input(one.relation, one.input), mark))
    return found


_READERS: Mapping[str, Callable[[Statement], list[Edge]]] = {
    lineage.TYPE: _lineage,
    provenance.TYPE: _provenance,
    slsa.TYPE_V02: _old_provenance,
    slsa.TYPE_V01: _old_provenance,
    link.TYPE: _link,
    mlbom_edges.TYPE: _bom,
    spdx.TYPE: _spdx,
    imported.TYPE: _imported,
}
