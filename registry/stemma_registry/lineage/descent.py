"""Everything that came from a node, one line of JSON each, however much it is.

For each descendant its distance, and the edge by which it is nearest: of several the one
that is worth most. It is the same set as `trace` shows, without names: those take longer
than all the rest, and a digest can be asked for. Where there is a sidecar (`csr`) the walk
is in memory; else the database is asked level by level. The answers are the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Column

from stemma_attestations.digest import Digest
from stemma_attestations.relations import propagates
from stemma_attestations.trust import Assurance
from stemma_registry.catalogue import bulk, query
from stemma_registry.catalogue import tables as t
from stemma_registry.catalogue.rows import Fact
from stemma_registry.config import LIMITS
from stemma_registry.lineage import csr
from stemma_registry.registry import Snapshot

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, np.dtype[Any]]

CONTAINS = "contains"
_IN_A_QUERY = 50_000
_ORDER = tuple(Assurance)
Row = tuple[int, int, int, str]  # input, output, statement (0: bytes), relation


@dataclass(frozen=True)
class Descendant:
    """A node, its distance, and how it is nearest: `statement` is a row, 0 for containment."""

    node: int
    depth: int
    parent: int
    relation: str
    statement: int
    assurance: Assurance


def descendants(snapshot: Snapshot, start: int, sidecar: Path | None = None) -> list[Descendant]:
    """Everything downstream of a node, nearest first. Raises as queries do.

    `sidecar` is where the arrays of this catalogue are, or may be put.
    """
    limits = LIMITS.sidecar_nodes, LIMITS.sidecar_share
    found = csr.layers(snapshot.connection, sidecar, *limits) if sidecar else None
    if found is None:
        return _walk(_Rows(snapshot), start)
    from stemma_registry.lineage.strides import walk  # it needs numpy

    return walk(_Worth(snapshot), found, start)


def lines(snapshot: Snapshot, found: Sequence[Descendant]) -> Iterator[bytes]:
    """One line of JSON for each, without its end."""
    connection = snapshot.connection
    ids = {one.node for one in found} | {one.parent for one in found}
    names = _digests(connection, ids)
    said = _bundles(connection, {one.statement for one in found})
    words = {one.relation for one in found}
    spelled = {word: json.dumps(word) for word in words}
    for one in found:
        statement = f'"{said[one.statement]}"' if one.statement else "null"
        yield (
            f'{{"digest":"{names[one.node]}","depth":{one.depth},'
            f'"relation":{spelled[one.relation]},"from":"{names[one.parent]}",'
            f'"assurance":"{one.assurance.value}","statement":{statement}}}'
        ).encode()


@dataclass
class _Worth:
    """What an edge is worth, for a question about its output; asked once for a statement."""

    snapshot: Snapshot
    known: dict[int, Assurance | None] = field(default_factory=dict)
    voices: dict[tuple[Any, str], Assurance | None] = field(default_factory=dict)

    def of(self, rows: Iterable[Row]) -> list[Assurance]:
        """Of each row."""
        asked = list(rows)
        self.learn(row[2] for row in asked)
        return [self.one(row[2], row[1]) for row in asked]

    def one(self, statement: int, output: int) -> Assurance:
        """Of one edge, whose statement was learned."""
        if not statement:
            return Assurance.CONTAINS
        worth = self.known[statement]
        return self._named(statement, output) if worth is None else worth

    def learn(self, statements: Iterable[int]) -> None:
        """What each is worth whatever it is about; None where that hangs on the name."""
        new = set(statements) - self.known.keys() - {0}
        sql = "SELECT id, signer, predicate_type, root FROM statement"
        dated = set[int]()
        for rows in _by_ids(self.snapshot.connection, sql, new):
            for row_id, signer, predicate, root in rows:
                if root is not None:
                    dated.add(row_id)  # then what is proven about its time counts, too
                    continue
                voice = signer, predicate
                if voice not in self.voices:
                    self.voices[voice] = self._worth(_voice(signer, predicate))
                self.known[row_id] = self.voices[voice]
        for row_id, fact in query.facts_in(self.snapshot.connection, dated):
            self.known[row_id] = self._worth(fact)

    def _worth(self, fact: Fact) -> Assurance | None:
        trust = self.snapshot.trust
        if fact.signer is None:
            return Assurance.CLAIMED
        patterns = trust.patterns(fact.signer, fact.predicate_type, None, fact.signed)
        if not patterns:
            return Assurance.SIGNED
        return Assurance.ATTESTED if "**" in patterns else None

    def _named(self, statement: int, output: int) -> Assurance:
        said = "SELECT name FROM subject WHERE statement_id = :row AND node_id = :node"
        names = bulk.ask(self.snapshot.connection, said, row=statement, node=output)
        ((_, fact),) = query.facts_in(self.snapshot.connection, [statement])
        trust = self.snapshot.trust
        worths = [
            trust.assurance(fact.signer, fact.predicate_type, name, None, fact.signed)
            for (name,) in names
        ]
        return min(worths, key=_ORDER.index, default=Assurance.SIGNED)


class _Rows:
    """Steps in the database."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.connection = snapshot.connection
        self.worth = _Worth(snapshot)
        self.parts: set[int] = set()

    def below(self, frontier: Iterable[int]) -> list[Row]:
        """All edges one step down from the frontier."""
        nodes = sorted(frontier)
        sql = "SELECT input_id, output_id, statement_id, relation FROM edge WHERE input_id IN ({})"
        words: dict[str, str] = {}
        found: list[Row] = []
        for source, output, statement, word in self._all(sql, nodes):
            if word not in words:
                words[word] = _text(t.edge.c.relation, word)
            found.append((source, output, statement, words[word]))
        whole = [node for node in nodes if node not in self.parts]
        held = "SELECT DISTINCT blob_id, artifact_id FROM manifest_entry WHERE blob_id IN ({})"
        found += [(blob, artifact, 0, CONTAINS) for blob, artifact in self._all(held, whole)]
        used = (
            "SELECT DISTINCT m.artifact_id, m.blob_id FROM manifest_entry m "
            "WHERE m.artifact_id IN ({}) "
            "AND EXISTS (SELECT 1 FROM edge WHERE edge.input_id = m.blob_id)"
        )
        for artifact, blob in self._all(used, nodes):
            self.parts.add(blob)
            found.append((artifact, blob, 0, CONTAINS))
        return found

    def _all(self, sql: str, nodes: Sequence[int]) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(nodes), _IN_A_QUERY):
            listed, value = bulk.listed(self.connection, nodes[start : start + _IN_A_QUERY])
            yield from bulk.ask(self.connection, sql.format(listed), listed=value)


def _walk(rows: _Rows, start: int) -> list[Descendant]:
    found: dict[int, Descendant] = {}
    done, frontier, level = set[int](), {start}, 0
    while frontier:
        level += 1
        done |= frontier
        here = rows.below(frontier)
        new = [row for row in here if row[1] not in found and row[1] != start]
        worth = rows.worth.of(new)
        ranked = sorted(zip(new, worth, strict=True), key=lambda pair: _rank(*pair))
        for (source, output, statement, relation), assurance in ranked:
            if output not in found:
                found[output] = Descendant(output, level, source, relation, statement, assurance)
        frontier = {row[1] for row in here if row[3] == CONTAINS or propagates(row[3])} - done
    return sorted(found.values(), key=lambda one: (one.depth, one.node))


def _rank(row: Row, worth: Assurance) -> tuple[int, int, int, int, str]:
    """What comes first tells how a node is nearest."""
    return row[1], _ORDER.index(worth), row[0], row[2], row[3]


def _digests(connection: Any, ids: set[int]) -> dict[int, str]:
    """Of nodes, as people write them."""
    found = {}
    schemes: dict[str, str] = {}
    for rows in _by_ids(connection, "SELECT id, scheme, value FROM node", ids):
        for i, scheme, value in rows:
            if scheme not in schemes:
                schemes[scheme] = _text(t.node.c.scheme, scheme)
            found[i] = f"{schemes[scheme]}:{value.hex()}"
    return found


def _bundles(connection: Any, ids: set[int]) -> dict[int, str]:
    """The digests of statements' bundles."""
    pages = _by_ids(connection, "SELECT id, bundle FROM statement", ids - {0})
    return {i: f"sha256:{value.hex()}" for rows in pages for i, value in rows}


def _voice(signer: bytes | None, predicate: str) -> Fact:
    """A statement of somebody whose time is not proven."""
    kind = _text(t.statement.c.predicate_type, predicate)
    return Fact(Digest.of(b""), kind, None if signer is None else signer.hex(), 0)


def _text(column: Column[str], value: Any) -> str:
    """What the driver gave, as the column has it."""
    return str(column.type.process_result_value(value, None))  # type: ignore[attr-defined]


def _by_ids(connection: Any, sql: str, ids: set[int]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows by their ids: listed, or where they lie close together all that are between."""
    ordered = sorted(ids)
    for start in range(0, len(ordered), _IN_A_QUERY):
        part = ordered[start : start + _IN_A_QUERY]
        if part[-1] - part[0] < 4 * len(part):
            between = f"{sql} WHERE id BETWEEN :low AND :high"
            yield bulk.ask(connection, between, low=part[0], high=part[-1])
        else:
            listed, value = bulk.listed(connection, part)
            yield bulk.ask(connection, f"{sql} WHERE id IN ({listed})", listed=value)
