"""What a statement is about and what it says came from what, as rows: thousands, many a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat

from sqlalchemy import Connection

from stemma_attestations import edges as said_edges
from stemma_attestations.digest import NODES, Digest
from stemma_attestations.edges import Edge
from stemma_attestations.marks import Mark
from stemma_attestations.names import split_name
from stemma_attestations.statement import Statement
from stemma_registry.catalogue import bulk, made
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.nodes import Nodes

_SUBJECT = ("node_id", "statement_id", "position", "name", "version", "path")
_EDGE = ("output_id", "input_id", "relation", "statement_id", "input_name", "mark")
_RANK = {mark: rank for rank, mark in enumerate(Mark)}
_MARKS = {mark: None if mark is Mark.EXACT else str(mark) for mark in Mark}
_RELATION = 64  # characters

SubjectRow = tuple[int, int, int, str | None, str | None, str | None]
EdgeRow = tuple[int, int, str, int, str | None, str | None]


_AT_ONCE = 500  # digests in one query
Known = tuple[int, bool]  # the row, and whether it has a signer


def known(connection: Connection, bundles: Sequence[Digest]) -> dict[Digest, Known]:
    """Those of the bundles that have their row."""
    found: dict[Digest, Known] = {}
    for start in range(0, len(bundles), _AT_ONCE):
        wanted = {bytes.fromhex(one.value): one for one in bundles[start : start + _AT_ONCE]}
        # By the index, and by nothing else: of those with a head in common some are not wanted.
        text, values = bulk.places(list({value[: t.HEAD] for value in wanted}))
        query = (
            "SELECT id, bundle, signer FROM statement "  # noqa: S608 - places only
            f"WHERE substr(bundle, 1, {t.HEAD}) IN ({text})"
        )
        for row, bundle, signer in bulk.ask(connection, query, **values):
            if (one := wanted.get(bundle)) is not None:
                found[one] = (row, signer is not None)
    return found


def write_subjects(connection: Connection, row: int, statement: Statement, nodes: Nodes) -> None:
    """The subjects that have a digest by which they can be a node."""
    about = [
        (position, subject, digest)
        for position, subject in enumerate(statement.subjects)
        if (digest := subject.first(*NODES))
    ]
    ids = nodes.of([digest for _, _, digest in about])
    rows: list[SubjectRow] = []
    for (position, subject, _), node in zip(about, ids, strict=True):
        path = subject.annotations.get("path")
        said = split_name(subject.name) or (None, None)
        rows.append((node, row, position, *said, path if isinstance(path, str) else None))
    rows.sort()  # as they lie
    bulk.write(connection, t.subject, _SUBJECT, rows)


def write_edges(connection: Connection, row: int, edges: Iterable[Edge], nodes: Nodes) -> None:
    """Each edge once, by the best of its marks."""
    every = said_edges.both_ways(edges)
    if not every:
        return
    inputs = nodes.of([edge.input.digest for edge in every])
    outputs = nodes.of([edge.output for edge in every])
    rows = edge_rows(row, every, inputs, outputs)
    bulk.write(connection, t.edge, _EDGE, rows)
    made.of_files(connection, outputs, nodes)


def edge_rows(row: int, edges: list[Edge], inputs: list[int], outputs: list[int]) -> list[EdgeRow]:
    """The rows of what one statement says, in the order of their key: neighbours go together."""
    names = {said: _name(said) for said in {edge.input.name for edge in edges}}
    plain = _plain_rows(row, edges, inputs, outputs, names)
    if plain is not None:
        return plain
    order = sorted(range(len(edges)), key=lambda at: _RANK[edges[at].mark])
    rows: dict[tuple[int, int, str], tuple[str | None, str | None]] = {}
    for at in order:
        (relation, _, said), mark = edges[at].input, edges[at].mark
        key = (outputs[at], inputs[at], relation[:_RELATION])
        if key not in rows:
            rows[key] = (names[said], _MARKS[mark])
        elif rows[key][0] != names[said]:
            rows[key] = (None, rows[key][1])  # no quarantine of either name may miss it
    return [(*key, row, *rows[key]) for key in sorted(rows)]


def _name(said: str | None) -> str | None:
    found = split_name(said)
    return found[0] if found else None


def _plain_rows(
    row: int,
    edges: list[Edge],
    inputs: list[int],
    outputs: list[int],
    names: Mapping[str | None, str | None],
) -> list[EdgeRow] | None:
    """The same where all are said as exactly as can be, and none twice; None where not."""
    said = [edge.input for edge in edges]
    relations = [item.relation[:_RELATION] for item in said]
    if len(set(zip(inputs, outputs, relations, strict=True))) < len(edges):
        return None
    if any(edge.mark is not Mark.EXACT for edge in edges):
        return None
    called = [names[item.name] for item in said]
    return sorted(zip(outputs, inputs, relations, repeat(row), called, repeat(None)))
